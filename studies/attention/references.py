"""What can be reached without a network: guesses from counts.

Uniform: ln V nats. Unigram: `helpers.evaluate.unigram`. Two-sided bigram: the word's
own frequency, corrected by what stands left and right of it.
"""

import math
from pathlib import Path

import torch
from torch import Tensor

from helpers import record
from helpers.data import TrainingData
from helpers.evaluate import unigram
from helpers.masking import IGNORE
from helpers.settings import Number
from helpers.tokenizer import CLS, MASK

GUESSES, SCORES = ("uniform", "unigram", "bigram"), ("loss", "accuracy")
STRENGTHS = 3, 10, 30, 100, 300, 1_000, 3_000


def log_lift(pairs_P2: Tensor, prior_V: Tensor, strength: float) -> Tensor:
    """log P(word | neighbour) - log P(word), (neighbour, word).

    Counts of pairs (neighbour, word), shape (P, 2), are mixed with the word's own
    frequency, as if it had been seen `strength` times beside each neighbour (Dirichlet
    prior; MacKay & Peto 1995).
    """
    size = len(prior_V)
    counts_VV = (pairs_P2[:, 0] * size + pairs_P2[:, 1]).bincount(minlength=size**2)
    counts_VV = counts_VV.view(size, size).double()
    counts_VV[:, : MASK + 1] = 0  # never scored
    totals_V1 = counts_VV.sum(1, keepdim=True)
    chance_VV = (counts_VV + strength * prior_V) / (totals_V1 + strength)
    return chance_VV.log() - prior_V.log()


def bigram(data: TrainingData, vocab_size: int) -> dict:
    """Loss and accuracy of P(w | left) P(w | right) / P(w), renormalised, on subset 0.

    A neighbour that is hidden in the same subset, [CLS], or beyond the block says
    nothing, as for the model. The strength of the prior is chosen on subset 1.
    """
    counts_V = data.stream.bincount(minlength=vocab_size).double()
    counts_V[: MASK + 1] = 0
    prior_V = (counts_V + 1) / (counts_V + 1).sum()
    forward_P2 = torch.stack([data.stream[:-1], data.stream[1:]], dim=1)

    def score(subset: int, lifts: tuple[Tensor, Tensor]) -> dict:
        hidden_BT = data.subset_BT == subset
        seen_BT = data.validation_BT.masked_fill(hidden_BT, IGNORE)
        seen_BT = seen_BT.masked_fill(seen_BT == CLS, IGNORE)
        labels_M = data.validation_BT[hidden_BT]
        scores_MV = prior_V.log().expand(len(labels_M), -1).clone()
        for shift, lift_VV in zip((1, -1), lifts, strict=True):
            beside_BT = seen_BT.roll(shift, 1)
            beside_BT[:, 0 if shift == 1 else -1] = IGNORE
            beside_M = beside_BT[hidden_BT]
            known_M = beside_M != IGNORE
            scores_MV[known_M] += lift_VV[beside_M[known_M]]
        scores_MV[:, : MASK + 1] = -math.inf
        chance_MV = scores_MV.log_softmax(-1)
        loss = -chance_MV.gather(1, labels_M[:, None]).mean().item()
        accuracy = (chance_MV.argmax(-1) == labels_M).double().mean().item()
        return {"loss": loss, "accuracy": accuracy}

    def lifts(strength: float) -> tuple[Tensor, Tensor]:
        return tuple(
            log_lift(pairs_P2, prior_V, strength)
            for pairs_P2 in (forward_P2, forward_P2.flip(1))
        )

    best = min(STRENGTHS, key=lambda strength: score(1, lifts(strength))["loss"])
    return score(0, lifts(best)) | {"strength": best}


def references(data: TrainingData, vocab_size: int) -> dict:
    """Loss and accuracy of each guess, on the words that training curves score."""
    return {
        "uniform": {"loss": math.log(vocab_size), "accuracy": 1 / vocab_size},
        "unigram": unigram(data.stream, data.validation_BT, data.subset_BT, vocab_size),
        "bigram": bigram(data, vocab_size),
    }


def read_references(path: Path) -> dict:
    """The record of `references`; ValueError if it lacks a number of a guess."""
    found = record.read(path)
    try:
        sound = all(found[g][k] in Number() for g in GUESSES for k in SCORES)
    except (LookupError, TypeError):
        sound = False
    if not sound:
        raise ValueError(
            f"{path} lacks the {' or the '.join(SCORES)} of a guess ({found!r:.40}); "
            "restore it as it was made."
        )
    return found
