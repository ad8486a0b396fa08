"""Training steps on identical work, of ours and of the peers."""

from collections.abc import Callable

import torch
from torch import nn

from helpers.masking import IGNORE, mask_tokens, masked_positions
from helpers.model import ModelConfig
from helpers.tokenizer import CLS, SPECIALS, UNK
from studies.speed.equality import build_pair
from studies.speed.peers import OURS, PEERS, Batch, build_ours, our_loss

UNKNOWN, MASK_RATE = 0.26, 0.15  # shares: of [UNK] in the training text, of masks


def make_batch(blocks: int, config: ModelConfig, device="cpu") -> Batch:
    """Makes blocks of random words with as many [UNK] as text has, and masks them."""
    generator = torch.Generator().manual_seed(0)
    shape = blocks, config.max_length
    ids_BT = torch.randint(len(SPECIALS), config.vocab_size, shape, generator=generator)
    ids_BT[torch.rand(shape, generator=generator) < UNKNOWN] = UNK
    ids_BT[:, 0] = CLS
    masked = mask_tokens(ids_BT, config.vocab_size, MASK_RATE, generator, fixed=True)
    tensors = [rows.to(device) for rows in (*masked, *masked_positions(masked[1]))]
    return Batch(*tensors, count=int((masked[1] != IGNORE).sum()))


def step_on(batch: Batch, model, loss_of, precision: str) -> Callable:
    """Returns the step to be timed: forward, backward, clip and AdamW on this batch."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.1, fused=True)
    device = batch.inputs_BT.device.type

    def step(batch: Batch = batch) -> None:
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            loss = loss_of(model, batch)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def contestant(name: str, device: str, **sizes) -> tuple[nn.Module, Callable]:
    """Returns the model of that name in training mode, and its loss."""
    if name in OURS:
        return build_ours(name, **sizes).to(device).train(), our_loss
    peer = PEERS[name]
    return build_pair(peer, **sizes)[1].to(device).train(), peer.loss
