"""What can be reached without a network: guesses from counts of the training text.

The unigram goes by how frequent a word is; the two-sided bigram corrects that by what
stands left and right of the word. A guess is called like a model, with ids (B, T) and
the positions asked (B, M), and returns scores (B, M, V). Shapes: as in
helpers.evaluate; P pairs of neighbours.
"""

import itertools
import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm.auto import tqdm

from helpers.data import TrainingData
from helpers.evaluate import unigram, word_frequencies
from helpers.masking import IGNORE, masked_positions
from helpers.tokenizer import MASK, PAD

STRENGTHS = 3, 10, 30, 100, 300, 1_000, 3_000

Guess = Callable[[Tensor, Tensor], Tensor]


def bigram_lift(pairs_P2: Tensor, chance_V: Tensor, strength: float) -> Tensor:
    """log P(word | neighbour) - log P(word), (neighbour, word).

    Counts of pairs (neighbour, word), shape (P, 2), are mixed with the word's own
    frequency, as if it had been seen `strength` times beside each neighbour (Dirichlet
    prior; MacKay & Peto 1995). A token that has no neighbours in the text, such as
    [MASK], [CLS] or [PAD], lifts nothing.
    """
    size = len(chance_V)
    counts_VV = (pairs_P2[:, 0] * size + pairs_P2[:, 1]).bincount(minlength=size**2)
    counts_VV = counts_VV.view(size, size).double()
    counts_VV[:, : MASK + 1] = 0  # never scored
    totals_V1 = counts_VV.sum(1, keepdim=True)
    mixed_VV = (counts_VV + strength * chance_V) / (totals_V1 + strength)
    return mixed_VV.log() - chance_V.log()


def bigram_guess(stream: Tensor, chance_V: Tensor, strength: float) -> Guess:
    """P(w | left) P(w | right) / P(w), not yet normalised.

    A neighbour that is masked, [CLS], or beyond the row says nothing, as for a model.
    """
    pairs_P2 = torch.stack([stream[:-1], stream[1:]], dim=1)
    left_VV = bigram_lift(pairs_P2, chance_V, strength)
    right_VV = bigram_lift(pairs_P2.flip(1), chance_V, strength)

    def guess(ids_BT: Tensor, at_BM: Tensor) -> Tensor:
        around_BT = F.pad(ids_BT, (1, 1), value=MASK)
        left_BM, right_BM = around_BT.gather(1, at_BM), around_BT.gather(1, at_BM + 2)
        scores_BMV = chance_V.log() + left_VV[left_BM] + right_VV[right_BM]
        scores_BMV[..., : MASK + 1] = -math.inf
        return scores_BMV

    return guess


@torch.no_grad()
def score_reference(guess: Guess, ids_BT, subset_BT, subsets=range(7)) -> dict:
    """Loss in nats of each word, and whether the guess is right: arrays (M,) by name.

    Masks one subset after the other, as helpers.evaluate does; a model is in eval mode.
    The words of these subsets come row by row, in the order of the text.
    """
    loss_BT, right_BT = torch.zeros(2, *ids_BT.shape, dtype=torch.double)
    starts = [*itertools.product(subsets, range(0, len(ids_BT), 64))]
    for subset, first in tqdm(starts, leave=False, desc="batches"):
        rows = slice(first, first + 64)
        part = rows, slice(int((ids_BT[rows] != PAD).sum(1).max()))
        masked_BT = subset_BT[part] == subset
        if not masked_BT.any():
            continue
        at_BM, labels_BM = masked_positions(ids_BT[part].where(masked_BT, IGNORE))
        logits_BMV = guess(ids_BT[part].masked_fill(masked_BT, MASK), at_BM)
        asked_BM = labels_BM != IGNORE
        logits_MV, labels_M = logits_BMV[asked_BM], labels_BM[asked_BM]
        losses_M = F.cross_entropy(logits_MV, labels_M, reduction="none")
        loss_BT[part][masked_BT] = losses_M.double()
        right_BT[part][masked_BT] = (logits_MV.argmax(-1) == labels_M).double()
    scored_BT = torch.isin(subset_BT, torch.tensor([*subsets]))
    scores = {"accuracy": right_BT, "loss": loss_BT}
    return {name: score_BT[scored_BT].numpy() for name, score_BT in scores.items()}


def bigram_reference(data: TrainingData, vocab_size: int) -> dict:
    """Loss and accuracy of the two-sided bigram on subset 0.

    The strength of its prior is chosen on subset 1.
    """
    chance_V = word_frequencies(data.stream, vocab_size)

    def score(strength: float, subset: int) -> dict:
        guess = bigram_guess(data.stream, chance_V, strength)
        scores = score_reference(guess, data.validation_BT, data.subset_BT, [subset])
        return {name: float(np.mean(scores[name])) for name in ("loss", "accuracy")}

    best = min(STRENGTHS, key=lambda strength: score(strength, 1)["loss"])
    return score(best, 0) | {"strength": best}


def all_references(data: TrainingData, vocab_size: int) -> dict:
    """Loss and accuracy of each guess, on the words that training curves score."""
    return {
        "uniform": {"loss": math.log(vocab_size), "accuracy": 1 / vocab_size},
        "unigram": unigram(data.stream, data.validation_BT, data.subset_BT, vocab_size),
        "bigram": bigram_reference(data, vocab_size),
    }
