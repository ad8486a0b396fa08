"""What an answer depends on: take something away, look again.

A word is knocked out by [MASK], so that all others keep their places; a head by zeros
in place of its output. Left out: two at once, and gradients.
"""

from contextlib import contextmanager

import pandas as pd
import torch
from torch import Tensor

from helpers.predict import Prediction, word_chances
from helpers.tokenizer import CLS, MASK, SEP


def masked_ids(tokenizer, prediction: Prediction) -> Tensor:
    """The ids that the model saw, shape (T,)."""
    ids = tokenizer.encode(prediction.words)
    ids[prediction.position] = MASK
    return torch.tensor([CLS, *ids, SEP], device="cpu")


def target_chances(model, tokenizer, prediction: Prediction, inputs_BT) -> Tensor:
    """Probability of the target at the masked position of each row, shape (B,)."""
    at_BM = inputs_BT.new_full((len(inputs_BT), 1), prediction.position + 1)
    chance_BMV, _ = word_chances(model, inputs_BT, at_BM)
    return chance_BMV[:, 0, tokenizer.ids[prediction.target]]


def without_words(model, tokenizer, prediction: Prediction) -> Tensor:
    """Probability of the target with each word masked as well, shape (W,), W words.

    At the masked position itself: what it is anyway. This is the erasure of one word
    of Li et al. 2016, with [MASK] in its place.
    """
    ids_T = masked_ids(tokenizer, prediction)
    own = torch.arange(1, len(ids_T) - 1, device="cpu")[:, None]
    inputs_BT = ids_T.repeat(len(own), 1).scatter(1, own, MASK)
    return target_chances(model, tokenizer, prediction, inputs_BT)


@contextmanager
def heads_off(model, off_BNH: Tensor):
    """Within it, heads where `off_BNH` is True add nothing to their layer.

    Shape (B, N, H), a pattern for each row of the batch; B 1 is the same for all.
    Their slice is set to 0 before the output projection (Michel et al. 2019, eq. 2).
    """

    def silence(off_BH):
        def before(module, inputs):
            mixed_BTD = inputs[0]
            off = off_BH.repeat_interleave(mixed_BTD.shape[-1] // off_BH.shape[1], 1)
            return (mixed_BTD.masked_fill(off[:, None].to(mixed_BTD.device), 0),)

        return before

    hooks = [
        block.attention.output.register_forward_pre_hook(silence(off_BH))
        for block, off_BH in zip(model.blocks, off_BNH.unbind(1), strict=True)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def without_heads(model, tokenizer, prediction: Prediction) -> Tensor:
    """Probability of the target with each head switched off, shape (N, H)."""
    count = model.config.n_layers, model.config.n_heads
    number = count[0] * count[1]
    inputs_BT = masked_ids(tokenizer, prediction).repeat(number, 1)
    off_BB = torch.eye(number, dtype=torch.bool, device="cpu")
    with heads_off(model, off_BB.view(number, *count)):
        chance_B = target_chances(model, tokenizer, prediction, inputs_BT)
    return chance_B.view(count)


def rank_correlation(one: Tensor, other: Tensor) -> float | None:
    """Spearman's rank correlation; equal values share their mean rank.

    None where it is not defined: fewer than three values, or all of one side equal.
    """
    ranks = [pd.Series(values.tolist()).rank() for values in (one, other)]
    if len(ranks[0]) < 3 or min(rank.nunique() for rank in ranks) < 2:
        return None
    return float(ranks[0].corr(ranks[1]))
