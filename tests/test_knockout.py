"""Knock-outs against forward passes by hand and against a model without the head."""

import copy
import math

import pytest
import torch
from tiny import tiny_model

from helpers.knockout import heads_off, rank_correlation, without_heads, without_words
from helpers.predict import fill_mask
from helpers.tokenizer import CLS, MASK, SEP, SPECIALS, WordTokenizer

WORDS = "the cat dog sat on a mat and . ran".split()
TOKENIZER = WordTokenizer([*SPECIALS, *WORDS])
SENTENCE = "the cat sat on the zebra"


@pytest.fixture(scope="module")
def model():
    return tiny_model(len(TOKENIZER), n_heads=4)


@torch.no_grad()
def by_hand(model, hidden: list[int], asked: int, word: str) -> float:
    """Probability of a word at one place with several words masked."""
    ids = [CLS, *TOKENIZER.encode(SENTENCE), SEP]
    for i in hidden:
        ids[1 + i] = MASK
    scores = model(torch.tensor([ids]))[0, 1 + asked, len(SPECIALS) :].double()
    return float(scores.softmax(-1)[WORDS.index(word)])


def without(model, layer: int, head: int):
    """A copy whose output projection does not read one head."""
    cut = copy.deepcopy(model)
    columns = slice(4 * head, 4 * head + 4)
    cut.blocks[layer].attention.output.weight.data[:, columns] = 0
    return cut


@pytest.mark.parametrize("position", [1, 4, 5])
def test_a_word_is_knocked_out_by_a_second_mask(model, position):
    found = fill_mask(model, TOKENIZER, SENTENCE, position)
    left_S = without_words(model, TOKENIZER, found)
    expected = [by_hand(model, [position, i], position, found.target) for i in range(6)]
    assert left_S.tolist() == pytest.approx(expected, abs=1e-6)
    assert left_S[position] == pytest.approx(found.p_target, abs=1e-6)
    assert len({round(p, 5) for p in expected}) > 3


@pytest.mark.parametrize("position", [1, 5])
def test_a_head_is_switched_off_before_the_projection(model, position):
    found = fill_mask(model, TOKENIZER, SENTENCE, position)
    left_NH = without_heads(model, TOKENIZER, found)
    for n in range(2):
        for h in range(4):
            p = by_hand(without(model, n, h), [position], position, found.target)
            assert left_NH[n, h] == pytest.approx(p, abs=1e-6)
    assert len({*left_NH.flatten().tolist()}) == 8
    torch.testing.assert_close(
        fill_mask(model, TOKENIZER, SENTENCE, position).chance_V, found.chance_V
    )  # and on again


def test_one_pattern_serves_a_whole_batch_and_hooks_go_with_an_error(model):
    ids_BT = torch.tensor([[CLS, 6, MASK, 8, SEP], [CLS, MASK, 7, 9, SEP]])
    off_BNH = torch.zeros(1, 2, 4, dtype=torch.bool)
    off_BNH[0, 1, 2] = True
    with torch.no_grad():
        intact, expected = model(ids_BT), without(model, 1, 2)(ids_BT)
        with heads_off(model, off_BNH):
            torch.testing.assert_close(model(ids_BT), expected)
        with pytest.raises(RuntimeError), heads_off(model, off_BNH):
            raise RuntimeError
        torch.testing.assert_close(model(ids_BT), intact)
    assert (intact - expected).abs().max() > 0.01


def test_rank_correlation_is_spearmans():
    stats = pytest.importorskip("scipy.stats")
    draw = torch.Generator().manual_seed(0)
    for _ in range(5):
        one, other = torch.randint(6, (2, 12), generator=draw).double()
        expected = stats.spearmanr(one.numpy(), other.numpy()).statistic
        assert rank_correlation(one, other) == pytest.approx(expected)
    rising = torch.tensor([1.0, 2.0, 3.0])
    assert rank_correlation(rising, rising.exp()) == pytest.approx(1)
    assert rank_correlation(rising, -rising) == pytest.approx(-1)
    for one in (rising[:2], torch.ones(3)):
        assert rank_correlation(one, rising[: len(one)]) is None
    assert not math.isnan(rank_correlation(rising, torch.tensor([1.0, 1.0, 2.0])))
