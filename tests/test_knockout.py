"""Knock-outs against forward passes by hand and against a model without the head."""

import copy
import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from tiny import tiny_model

from explorer.knockout import heads_off, rank_correlation, without_heads, without_words
from explorer.predict import fill_mask
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


IDS_BT = torch.tensor([[CLS, 6, MASK, 8, SEP], [CLS, MASK, 7, 9, SEP]])


def pattern(*heads: tuple[int, int], rows: int = 1) -> torch.Tensor:
    """Heads that are off, by layer and number, the same in each row."""
    off_BNH = torch.zeros(rows, 2, 4, dtype=torch.bool)
    for layer, head in heads:
        off_BNH[:, layer, head] = True
    return off_BNH


@torch.no_grad()
def test_one_pattern_serves_a_whole_batch_and_the_model_stays_as_it_is(model):
    intact, expected = model(IDS_BT), without(model, 1, 2)(IDS_BT)
    silenced = heads_off(model, pattern((1, 2)))
    torch.testing.assert_close(silenced(IDS_BT), expected)
    assert torch.equal(model(IDS_BT), intact)
    assert (intact - expected).abs().max() > 0.01
    again = heads_off(silenced, pattern((0, 1)))  # and one more
    both = heads_off(model, pattern((0, 1), (1, 2)))
    assert torch.equal(again(IDS_BT), both(IDS_BT))
    assert torch.equal(silenced(IDS_BT), heads_off(model, pattern((1, 2)))(IDS_BT))


@pytest.mark.parametrize(
    "off_BNH",
    [
        torch.zeros(1, 2, 4),
        torch.zeros(1, 2, 4, dtype=torch.uint8),
        pattern()[0],
        pattern()[None],
        pattern()[:, :1],
        pattern().repeat(1, 2, 1),
        pattern()[..., :2],
        pattern().mT,
    ],
    ids=lambda off_BNH: f"{off_BNH.dtype} {[*off_BNH.shape]}",
)
def test_a_wrong_pattern_is_refused_and_leaves_nothing_behind(model, off_BNH):
    before = model(IDS_BT)
    with pytest.raises(ValueError, match=r"give torch.bool of shape \(B, 2, 4\)"):
        heads_off(model, off_BNH)
    assert torch.equal(model(IDS_BT), before)


@pytest.mark.parametrize("rows", [3, 0])
def test_a_pattern_of_another_batch_is_refused(model, rows):
    silenced = heads_off(model, pattern(rows=rows))
    for ids_BT in (IDS_BT, IDS_BT[:1]):
        with pytest.raises(ValueError, match=f"has {rows} rows, the batch"):
            silenced(ids_BT)


def test_two_threads_ask_one_model_at_the_same_time(model):
    found = fill_mask(model, TOKENIZER, SENTENCE, 1)
    heads, words = (
        ask(model, TOKENIZER, found) for ask in (without_heads, without_words)
    )
    asked = [(without_heads, heads), (without_words, words)] * 40
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda one: one[0](model, TOKENIZER, found), asked)
        for answer, (_, expected) in zip(answers, asked, strict=True):
            assert torch.equal(answer, expected)


def test_a_word_is_the_target_of_a_blank_only_as_the_guess(model):
    found = fill_mask(model, TOKENIZER, "the ___ sat on the [MASK]", 1)
    assert found.target == found.pred
    left_W = without_words(model, TOKENIZER, found)
    # Both blanks are hidden already: to hide them once more changes nothing.
    assert left_W[[1, 5]].tolist() == pytest.approx([found.p_pred] * 2, abs=1e-6)
    assert abs(left_W[0] - found.p_pred) > 1e-4


def test_a_tokenizer_of_another_size_is_refused(model):
    found = fill_mask(model, TOKENIZER, SENTENCE, 1)
    other = WordTokenizer([*SPECIALS, *WORDS, "more"])
    for ask in (without_words, without_heads):
        with pytest.raises(ValueError, match="tokenizer has 16 words.*vocab_size 15"):
            ask(model, other, found)


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
