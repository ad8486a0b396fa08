"""Guesses from counts: what a model can be compared with."""

import itertools
import math

import numpy as np
import pytest
import torch
from tiny import scored_on, tiny_model

from helpers.evaluate import evaluate, word_frequencies
from helpers.masking import mask_subsets
from helpers.tokenizer import CLS, MASK, PAD, SEP, SPECIALS
from studies.attention import references


def chain(count: int, sure: float):
    """Words from 5 to 44, each with a probability the one that follows the last."""
    draw = torch.Generator().manual_seed(0)
    words = [5]
    jump = torch.rand(count, generator=draw) > sure
    anywhere = torch.randint(5, 45, (count,), generator=draw)
    for i in range(count):
        words.append(int(anywhere[i]) if jump[i] else 5 + (words[-1] - 4) % 40)
    return torch.tensor(words)


def guesses_of(sure: float) -> dict:
    """The references of such a text, the last quarter of which is scored."""
    stream, text = chain(60_000, sure)[:60_000].split((45_000, 15_000))
    ids = torch.cat([torch.full((1_000, 1), CLS), text.view(-1, 15)], 1)
    return references.all_references(scored_on(stream, ids), 45)


def test_a_bigram_by_hand():
    """It hears neither [MASK], [CLS] nor what lies beyond the row."""
    a, b, c = range(len(SPECIALS), len(SPECIALS) + 3)
    text = [a, b, SEP, a, b, a, c, SEP]
    chance_V = word_frequencies(torch.tensor(text), c + 1)
    assert chance_V[[a, b, c]].tolist() == pytest.approx([4 / 14, 3 / 14, 2 / 14])
    forward = [pair for pair in itertools.pairwise(text) if pair[1] > MASK]
    backward = [(y, x) for x, y in itertools.pairwise(text) if x > MASK]

    def lift(word, beside, pairs) -> float:
        chance, counted = chance_V[word].item(), [x for x, _ in pairs].count(beside)
        return (pairs.count((beside, word)) + 2 * chance) / (counted + 2) / chance

    ids_BT = torch.tensor([[CLS, MASK, b, MASK, MASK, SEP, MASK]])
    sides = {1: (None, b), 3: (b, None), 4: (None, SEP), 6: (SEP, None)}
    guess = references.bigram_guess(torch.tensor(text), chance_V, strength=2)
    scores_MV = guess(ids_BT, torch.tensor([[*sides]]))[0].exp()
    assert (scores_MV[:, : MASK + 1] == 0).all()
    for (left, right), scores_V in zip(sides.values(), scores_MV, strict=True):
        for word in (a, b, c):
            both = lift(word, left, forward) * lift(word, right, backward)
            assert scores_V[word].item() == pytest.approx(chance_V[word].item() * both)


def test_references_are_in_order():
    """The left neighbour alone, always in view, would leave 1.2 nats."""
    guesses = guesses_of(0.8)
    assert guesses["uniform"] == {"loss": math.log(45), "accuracy": 1 / 45}
    losses = [guesses[name]["loss"] for name in ("uniform", "unigram", "bigram")]
    assert losses == sorted(losses, reverse=True)
    one_sided = -(0.805 * math.log(0.805) + 0.195 * math.log(0.005))
    assert losses[-1] < one_sided - 0.1 and guesses["bigram"]["accuracy"] > 0.75


def test_a_bigram_of_unrelated_words_is_the_unigram():
    """The strongest prior is chosen."""
    guesses = guesses_of(0.0)
    assert guesses["bigram"]["strength"] == max(references.STRENGTHS)
    unigram = guesses["unigram"]["loss"]
    assert guesses["bigram"]["loss"] == pytest.approx(unigram, abs=0.02)


def test_each_word_is_scored_as_in_evaluate():
    """Also where rows are short, and word by word, in the order of the text."""
    ids_BT = chain(2_400, 0.8)[:2_400].view(-1, 16)
    lengths = torch.arange(len(ids_BT)) % 9 + 7
    ids_BT = ids_BT.masked_fill(torch.arange(16) >= lengths[:, None], PAD)
    subset_BT, model = mask_subsets(ids_BT), tiny_model(45)
    scores = references.score_reference(model, ids_BT, subset_BT)
    number_M = subset_BT[subset_BT >= 0].numpy()
    for subsets in (range(7), (3,)):
        whole = evaluate(model, ids_BT, subset_BT, subsets=subsets)
        alone = references.score_reference(model, ids_BT, subset_BT, subsets)
        for measure in ("loss", "accuracy"):
            own = scores[measure][np.isin(number_M, subsets)]
            assert [*own] == [*alone[measure]] and len(own) == whole["words"]
            assert own.mean() == pytest.approx(whole[measure], rel=1e-5)
