"""Knock-outs against forward passes by hand and against a model without the head."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from test_predict import SENTENCE, TOKENIZER, WORDS, by_hand
from tiny import tiny_model

from explorer import knockout
from explorer.knockout import silence_heads, without_heads, without_words
from explorer.predict import fill_mask
from helpers.tokenizer import CLS, MASK, SEP

IDS_BT = torch.tensor([[CLS, 6, MASK, 8, SEP], [CLS, MASK, 7, 9, SEP]])
MODEL = tiny_model(len(TOKENIZER), n_heads=4)


def chance(model, masked: list[int], position: int, word: str) -> float:
    """Probability of a word at one place with several words masked."""
    chances, _ = by_hand(model, SENTENCE.split(), masked, position)
    return float(chances[WORDS.index(word)])


def without(layer: int, head: int):
    """A copy whose output projection does not read one head."""
    cut = copy.deepcopy(MODEL)
    cut.blocks[layer].attention.output.weight.data[:, 4 * head : 4 * head + 4] = 0
    return cut


@pytest.mark.parametrize("position", [1, 5])
def test_words_are_knocked_out_by_a_second_mask_heads_before_the_projection(position):
    found = fill_mask(MODEL, TOKENIZER, SENTENCE, position)
    after_W = without_words(MODEL, TOKENIZER, found).tolist()
    expected = [chance(MODEL, [position, i], position, found.target) for i in range(6)]
    assert after_W == pytest.approx(expected, abs=1e-6)
    assert after_W[position] == pytest.approx(found.p_target, abs=1e-6)
    assert len({round(p, 5) for p in expected}) > 3
    after_NH = without_heads(MODEL, TOKENIZER, found)
    cut = [without(n, h) for n in range(2) for h in range(4)]
    expected = [chance(one, [position], position, found.target) for one in cut]
    assert after_NH.flatten().tolist() == pytest.approx(expected, abs=1e-6)
    assert len({*expected}) == 8


def test_to_mask_a_blank_once_more_changes_nothing():
    found = fill_mask(MODEL, TOKENIZER, "the ___ sat on the [MASK]", 1)
    after_W = without_words(MODEL, TOKENIZER, found)
    assert after_W[[1, 5]].tolist() == pytest.approx([found.p_pred] * 2, abs=1e-6)
    assert abs(after_W[0] - found.p_pred) > 1e-4


def pattern(*heads: tuple[int, int], rows: int = 1) -> torch.Tensor:
    """Heads that are off, by layer and number, the same in each row."""
    off_BNH = torch.zeros(rows, 2, 4, dtype=torch.bool)
    for layer, head in heads:
        off_BNH[:, layer, head] = True
    return off_BNH


@torch.no_grad()
def test_one_pattern_serves_a_whole_batch_and_the_model_stays_as_it_is():
    intact, expected = MODEL(IDS_BT), without(1, 2)(IDS_BT)
    silenced = silence_heads(MODEL, pattern((1, 2)))
    torch.testing.assert_close(silenced(IDS_BT), expected)
    assert torch.equal(MODEL(IDS_BT), intact)
    assert (intact - expected).abs().max() > 0.01
    again = silence_heads(silenced, pattern((0, 1)))  # and one more
    both = silence_heads(MODEL, pattern((0, 1), (1, 2)))
    assert torch.equal(again(IDS_BT), both(IDS_BT))
    assert torch.equal(silenced(IDS_BT), silence_heads(MODEL, pattern((1, 2)))(IDS_BT))


WRONG = [torch.zeros(1, 2, 4), pattern()[0], pattern()[:, :1], pattern()[..., :2]]


@pytest.mark.parametrize("off_BNH", WRONG, ids=range(4))
def test_a_wrong_pattern_is_refused(off_BNH):
    with pytest.raises(ValueError, match=r"give torch.bool of shape \(B, 2, 4\)"):
        silence_heads(MODEL, off_BNH)
    silenced = silence_heads(MODEL, pattern(rows=3))  # of another batch
    with pytest.raises(ValueError, match="has 3 rows, the batch 2"):
        silenced(IDS_BT)


def test_two_threads_ask_one_model_at_the_same_time():
    found = fill_mask(MODEL, TOKENIZER, SENTENCE, 1)
    kinds = [without_heads, without_words] * 40
    expected = [ask(MODEL, TOKENIZER, found) for ask in kinds[:2]] * 40
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda ask: ask(MODEL, TOKENIZER, found), kinds)
        assert all(map(torch.equal, answers, expected))


def test_rank_correlation_is_defined_where_both_sides_vary():
    rising = torch.tensor([1.0, 2.0, 3.0])
    assert knockout.knockout_correlation(rising, rising.exp()) == pytest.approx(1)
    for one in (rising[:2], torch.ones(3)):
        assert knockout.knockout_correlation(one, rising[: len(one)]) is None
