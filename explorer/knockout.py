"""What an answer depends on: take something away and ask again.

A word is knocked out by replacing it with [MASK], so that all others keep their places.
A head is knocked out by setting its output to 0. One word or head is taken at a time.
"""

import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from explorer.chances import span_chances
from explorer.predict import Prediction, prediction_ids
from explorer.tokens import sentence_tokens, special_tokens
from helpers.model import require_model_vocabulary, shallow_model_copy


def knockout_chances(model, tokenizer, prediction: Prediction, inputs_BT) -> Tensor:
    """Probability of the target at the masked position of each row, shape (B,)."""
    require_model_vocabulary(model, tokenizer)
    position = prediction.position
    span = sentence_tokens(tokenizer, prediction.words).spans[position]
    asked = model, tokenizer, inputs_BT, position, span
    return span_chances(*asked, prediction.target_ids)


def without_words(model, tokenizer, prediction: Prediction) -> Tensor:
    """Probability of the target with each word masked as well, shape (W,), W words.

    At the masked position itself nothing more is masked, so the probability is
    unchanged. This is the erasure of one word in Li et al. 2016, with [MASK] in its
    place.
    """
    spans = sentence_tokens(tokenizer, prediction.words).spans
    inputs_BT = prediction_ids(tokenizer, prediction).repeat(len(spans), 1)
    for row, span in enumerate(spans):
        inputs_BT[row, span] = special_tokens(tokenizer).mask
    return knockout_chances(model, tokenizer, prediction, inputs_BT)


class SilencedHeads(nn.Module):
    """Sets to 0 what some heads would send into the output projection.

    `off_BH` is True for these heads, in each row of the batch; B 1 is the same for all.
    """

    def __init__(self, off_BH: Tensor):
        super().__init__()
        self.off_BH = off_BH

    def forward(self, mixed_BTD: Tensor) -> Tensor:
        rows, batch = len(self.off_BH), len(mixed_BTD)
        if rows not in (1, batch):
            raise ValueError(
                f"The pattern of heads has {rows} rows, the batch {batch}; give one "
                "for each row, or one for all."
            )
        width = mixed_BTD.shape[-1] // self.off_BH.shape[1]
        off_BD = self.off_BH.to(mixed_BTD.device).repeat_interleave(width, 1)
        return mixed_BTD.masked_fill(off_BD[:, None], 0)


def silence_heads(model, off_BNH: Tensor) -> nn.Module:
    """The model in which heads where `off_BNH` is True add nothing to their layer.

    Shape (B, N, H), a pattern for each row of the batch; B 1 is the same for all.
    Their slice is set to 0 before the output projection (Michel et al. 2019, eq. 2).
    It shares the weights of the one given, which stays as it is.
    """
    count = model.config.n_layers, model.config.n_heads
    if off_BNH.dtype != torch.bool or off_BNH.shape[1:] != count:
        raise ValueError(
            f"{off_BNH.dtype} of shape {tuple(off_BNH.shape)} does not say which heads "
            f"are off; give torch.bool of shape (B, {count[0]}, {count[1]})."
        )
    silenced = shallow_model_copy(model)
    for block, off_BH in zip(silenced.blocks, off_BNH.unbind(1), strict=True):
        attention = block.attention
        attention.output = nn.Sequential(SilencedHeads(off_BH), attention.output)
    return silenced


def without_heads(model, tokenizer, prediction: Prediction) -> Tensor:
    """Probability of the target with each head switched off, shape (N, H)."""
    count = model.config.n_layers, model.config.n_heads
    number = count[0] * count[1]
    inputs_BT = prediction_ids(tokenizer, prediction).repeat(number, 1)
    each_BNH = torch.eye(number, dtype=torch.bool, device="cpu").view(number, *count)
    silenced = silence_heads(model, each_BNH)
    return knockout_chances(silenced, tokenizer, prediction, inputs_BT).view(count)


def knockout_correlation(one: Tensor, other: Tensor) -> float | None:
    """Spearman's rank correlation; equal values share their mean rank.

    None where it is not defined: fewer than three values, or all of one side equal.
    """
    if len(one) < 3 or min(len(values.unique()) for values in (one, other)) < 2:
        return None
    return float(spearmanr(one.numpy(), other.numpy()).statistic)
