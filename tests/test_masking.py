"""The masked-word task, counted on a large draw, and its loss against plain sums."""

import math

import pytest
import torch

from helpers.masking import (
    IGNORE,
    eligible,
    evaluation_subsets,
    mask_tokens,
    masked_positions,
    mlm_loss,
    select_fixed,
)
from helpers.tokenizer import MASK, PAD, SPECIALS, UNK

V = 50


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def text(rows=4_000, length=64):
    """Rows of random ids, special tokens and [UNK] among them."""
    return torch.randint(0, V, (rows, length), generator=seeded())


def by_chance(count, n, p):
    """Five standard errors: chance leaves them once in two million draws."""
    return abs(int(count) - n * p) < 5 * math.sqrt(n * p * (1 - p))


def test_eligible_is_all_but_special_tokens_and_unk():
    assert eligible(torch.arange(V)).tolist() == [False] * 5 + [True] * (V - 5)


def test_80_10_10_with_words_that_are_drawn_evenly_and_are_never_special():
    ids = text()
    inputs, labels = mask_tokens(ids, V, 1.0, seeded(2))  # selects all that is eligible
    chosen, words = labels != IGNORE, V - len(SPECIALS)
    assert torch.equal(chosen, eligible(ids))
    n = int(chosen.sum())
    swapped = inputs[chosen & (inputs != MASK) & (inputs != ids)]
    # One random word in `words` is the true one and looks like a word that stayed.
    assert by_chance((inputs[chosen] == MASK).sum(), n, 0.8)
    assert by_chance((inputs == ids)[chosen].sum(), n, 0.1 + 0.1 / words)
    assert by_chance(len(swapped), n, 0.1 * (words - 1) / words)
    counts = swapped.bincount(minlength=V)
    assert counts[: len(SPECIALS)].sum() == 0 and len(counts) == V
    evenly = len(swapped), 1 / words
    assert all(by_chance(count, *evenly) for count in counts[len(SPECIALS) :])


@pytest.mark.parametrize("rate", [0.15, 0.4])
def test_mask_tokens_labels_what_it_selected_and_touches_nothing_else(rate):
    ids = text()
    before = ids.clone()
    inputs, labels = mask_tokens(ids, V, rate, seeded())
    assert torch.equal(ids, before)
    chosen = labels != IGNORE
    assert torch.equal(labels[chosen], ids[chosen])
    assert torch.equal(inputs[~chosen], ids[~chosen])
    assert not (chosen & ~eligible(ids)).any()
    assert by_chance(chosen.sum(), int(eligible(ids).sum()), rate)
    assert by_chance((inputs[chosen] == MASK).sum(), int(chosen.sum()), 0.8)


def test_masks_are_dynamic_and_follow_the_generator():
    ids, generator = text(), seeded(7)
    first, second = (mask_tokens(ids, V, 0.15, generator)[1] for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(first, mask_tokens(ids, V, 0.15, seeded(7))[1])


@pytest.mark.parametrize("fixed", [False, True])
def test_nothing_eligible_nothing_masked(fixed):
    ids = torch.tensor([[PAD, UNK, MASK, 2, 3]])
    inputs, labels = mask_tokens(ids, V, 0.9, seeded(), fixed)
    assert torch.equal(inputs, ids) and (labels == IGNORE).all()


def test_a_fixed_count_is_exact_and_even():
    ids = text(20_000)
    ids[0], ids[1, 3:] = PAD, PAD
    ids[1, :3] = torch.tensor([9, UNK, 11])
    chosen = select_fixed(ids, 10, seeded())
    assert not (chosen & ~eligible(ids)).any()
    assert (chosen.sum(1) == eligible(ids).sum(1).clamp(max=10)).all()
    assert chosen[1].nonzero().flatten().tolist() == [0, 2]
    counts = select_fixed(torch.full((20_000, 16), 9), 4, seeded()).sum(0)
    assert all(by_chance(count, 20_000, 1 / 4) for count in counts)
    assert select_fixed(torch.full((2, 8), 9), 10, seeded()).all()  # more than it has


@pytest.mark.parametrize("rate", [0.15, 0.3])
def test_fixed_masks_are_the_rate_of_the_mean_that_is_eligible(rate):
    ids = torch.randint(len(SPECIALS), V, (50, 40), generator=seeded())
    ids[:, ::3] = UNK
    labels = mask_tokens(ids, V, rate, seeded(), fixed=True)[1]
    assert (labels != IGNORE).sum(1).unique().tolist() == [round(rate * 26)]
    few = torch.full((2, 8), UNK)
    few[0, 3] = 9
    labels = mask_tokens(few, V, 0.1, seeded(), fixed=True)[1]
    assert (labels != IGNORE).sum(1).tolist() == [1, 0]  # at least one where there is


def test_masked_positions_are_every_label_filled_up_with_none():
    labels = torch.full((3, 6), IGNORE)
    labels[0, [1, 4]], labels[2, 5] = torch.tensor([7, 8]), 9
    at, answers = masked_positions(labels)
    assert at[0].tolist() == [1, 4] and at[2, 0] == 5
    assert answers.tolist() == [[7, 8], [IGNORE] * 2, [9, IGNORE]]
    assert torch.equal(labels.gather(1, at), answers)
    assert [len(set(row)) for row in at.tolist()] == [2, 2, 2]


def test_evaluation_subsets_divide_the_text_and_do_not_follow_it():
    ids = text(501, 31)
    before, state = ids.clone(), torch.get_rng_state()
    subset = evaluation_subsets(ids)
    assert torch.equal(ids, before) and torch.equal(torch.get_rng_state(), state)
    assert torch.equal(subset >= 0, eligible(ids))  # a position has one number only
    sizes = subset[subset >= 0].bincount()
    assert len(sizes) == 7 and sizes.max() - sizes.min() <= 1
    assert torch.equal(subset, evaluation_subsets(ids))
    assert not torch.equal(subset, evaluation_subsets(ids, seed=1))
    assert evaluation_subsets(ids, 3).max() == 2
    even = evaluation_subsets(torch.full((1_000, 63), 9))
    first_column = even[:, 0].bincount(minlength=7)
    assert all(by_chance(count, 1_000, 1 / 7) for count in first_column)
    assert by_chance((even[:, 1:] == even[:, :-1]).sum(), 62_000, 1 / 7)


def loss_in_a_loop(logits, labels):
    """The mean of -log p, one word at a time, in Python's own floats."""
    surprises = []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        if label != IGNORE:
            total = sum(math.exp(score) for score in row)
            surprises.append(-math.log(math.exp(row[label]) / total))
    return sum(surprises) / len(surprises)


def test_loss_equals_a_loop_and_does_not_see_other_positions():
    logits = torch.randn(3, 5, V, generator=seeded()).requires_grad_()
    labels = torch.full((3, 5), IGNORE)
    labels[0, 1], labels[2, 4], labels[2, 0] = 7, 8, 49
    loss = mlm_loss(logits, labels)
    want = loss_in_a_loop(logits.flatten(0, 1), labels.flatten())
    assert loss.item() == pytest.approx(want, abs=1e-5)
    loss.backward()
    chosen = labels != IGNORE
    assert (logits.grad[~chosen] == 0).all()
    one_hot = torch.nn.functional.one_hot(labels[chosen], V)
    want = (logits[chosen].softmax(-1) - one_hot) / 3
    torch.testing.assert_close(logits.grad[chosen], want, atol=1e-7, rtol=1e-5)
    assert mlm_loss(logits[chosen], labels[chosen]).item() == pytest.approx(loss.item())
    with torch.no_grad():
        logits[~chosen] = 1e4
    assert mlm_loss(logits, labels) == loss


def test_a_part_of_a_batch_has_its_share_of_the_loss():
    logits, labels = torch.randn(4, 5, V), torch.randint(5, V, (4, 5))
    labels[2:, 1:] = IGNORE
    count = int((labels != IGNORE).sum())
    parts = [mlm_loss(logits[i : i + 2], labels[i : i + 2], count) for i in (0, 2)]
    torch.testing.assert_close(sum(parts), mlm_loss(logits, labels))


def test_loss_of_even_scores_is_ln_v_in_float32():
    loss = mlm_loss(torch.zeros(4, V).bfloat16(), torch.tensor([5, 6, 7, 8]))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(math.log(V))


def test_loss_of_nothing_is_refused():
    with pytest.raises(ValueError, match="No position is selected"):
        mlm_loss(torch.zeros(2, 3, V), torch.full((2, 3), IGNORE))
