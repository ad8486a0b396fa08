"""The series' own code, plugged into the grader: one example of each adapter."""

import torch
from torch import nn

from helpers.layers import attend
from helpers.masking import mask_tokens, mlm_loss
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.tokenizer import WordTokenizer
from notebooks.grader import Adapters


def our_mask(ids_BT, vocab_size, generator):
    return mask_tokens(ids_BT, vocab_size, 0.15, generator)


def our_attention(q_BHTK, k_BHSK, v_BHSK, real_BS, p):
    return attend(q_BHTK, k_BHSK, v_BHSK, real_BS, nn.Dropout(p))


def our_model(vocab_size, max_length, dropout):
    sizes = {"n_layers": 2, "d_model": 32, "n_heads": 4, "d_ff": 64}
    return MaskedLanguageModel(
        ModelConfig(
            vocab_size=vocab_size, max_length=max_length, dropout=dropout, **sizes
        )
    )


def our_train(module, ids_BT, vocab_size, steps, seed):
    draw = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.01)
    module.train()
    losses = []
    for _ in range(steps):
        inputs_BT, labels_BT = our_mask(ids_BT, vocab_size, draw)
        optimizer.zero_grad()
        loss = mlm_loss(module(inputs_BT), labels_BT)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


OURS = Adapters(
    WordTokenizer.train, our_mask, our_attention, mlm_loss, our_model, our_train
)
