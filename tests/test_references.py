"""Guesses from counts: what a model can be compared with."""

import math

import pytest
import torch

from helpers.data import TrainingData
from helpers.evaluate import unigram
from helpers.masking import evaluation_subsets
from helpers.tokenizer import CLS
from studies.attention.references import bigram, references


def chain(count: int, vocab_size: int, sure: float):
    """Text in which each word follows from the one before with a probability."""
    draw = torch.Generator().manual_seed(0)
    words, spread = [5], vocab_size - 5
    jump = torch.rand(count, generator=draw) > sure
    anywhere = torch.randint(5, vocab_size, (count,), generator=draw)
    for i in range(count):
        following = 5 + (words[-1] - 5 + 1) % spread
        words.append(int(anywhere[i]) if jump[i] else following)
    return torch.tensor(words)


def prepared(stream, text, vocab_size):
    ids = torch.cat([torch.full((len(text) // 15, 1), CLS), text.view(-1, 15)], 1)
    subset = evaluation_subsets(ids)
    return TrainingData(stream, ids, subset, ids, subset)


def test_a_two_sided_bigram_uses_both_neighbours():
    """The left neighbour alone, always in view, would leave 1.2 nats."""
    text = chain(60_000, 45, 0.8)
    data = prepared(text[:45_000], text[45_000:60_000], 45)
    one_sided = -(0.805 * math.log(0.805) + 0.195 * math.log(0.005))
    found = bigram(data, 45)
    assert found["loss"] < one_sided - 0.1
    assert found["accuracy"] > 0.75


def test_a_bigram_of_unrelated_words_is_the_unigram():
    text = chain(60_000, 45, 0.0)
    data = prepared(text[:45_000], text[45_000:60_000], 45)
    plain = unigram(data.stream, data.validation_BT, data.subset_BT, 45)
    assert bigram(data, 45)["loss"] == pytest.approx(plain["loss"], abs=0.02)


def test_a_bigram_does_not_see_what_is_hidden():
    """A word hidden in the same subset changes no other guess than its own."""
    text = chain(6_000, 45, 0.8)
    data = prepared(text[:4_500], text[4_500:6_000], 45)
    all_hidden = torch.zeros_like(data.subset_BT)
    all_hidden[:, 0] = -1
    everything = TrainingData(
        data.stream, data.validation_BT, all_hidden, data.sample_BT, all_hidden
    )
    # Nothing is left to look at, so both are the unigram.
    found = bigram(everything, 45)
    plain = unigram(data.stream, data.validation_BT, all_hidden, 45)
    assert found["loss"] == pytest.approx(plain["loss"], abs=2e-3)


def test_references_are_in_order():
    text = chain(60_000, 45, 0.8)
    data = prepared(text[:45_000], text[45_000:60_000], 45)
    found = references(data, 45)
    assert found["uniform"] == {"loss": math.log(45), "accuracy": 1 / 45}
    losses = [found[name]["loss"] for name in ("uniform", "unigram", "bigram")]
    assert losses == sorted(losses, reverse=True)
