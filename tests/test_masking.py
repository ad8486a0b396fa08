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
    replace,
    select,
    select_fixed,
)
from helpers.tokenizer import MASK, PAD, SPECIALS, UNK

V = 50


def text(rows=4_000, length=64, seed=0):
    """Rows of random ids, special tokens and [UNK] among them."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, V, (rows, length), generator=generator)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def within(count, n, p):
    """Five standard errors: chance leaves them once in two million draws."""
    return abs(count - n * p) < 5 * math.sqrt(n * p * (1 - p))


def test_eligible_is_all_but_special_tokens_and_unk():
    assert eligible(torch.arange(V)).tolist() == [False] * 5 + [True] * (V - 5)


@pytest.mark.parametrize("rate", [0.15, 0.4])
def test_the_selected_share_is_the_rate_among_eligible(rate):
    ids = text()
    chosen = select(ids, rate, seeded())
    assert not (chosen & ~eligible(ids)).any()
    assert within(int(chosen.sum()), int(eligible(ids).sum()), rate)


def test_80_10_10():
    ids = text()
    chosen = select(ids, 0.3, seeded(1))
    inputs = replace(ids, chosen, V, seeded(2))
    n, words = int(chosen.sum()), V - len(SPECIALS)
    masked = int((inputs[chosen] == MASK).sum())
    same = int((inputs[chosen] == ids[chosen]).sum())
    # One random word in `words` is the true one and looks like a word that stayed.
    assert within(masked, n, 0.8)
    assert within(same, n, 0.1 + 0.1 / words)
    assert within(n - masked - same, n, 0.1 * (words - 1) / words)


def test_random_words_are_drawn_evenly_and_are_never_special():
    ids = text()
    chosen = eligible(ids)
    inputs = replace(ids, chosen, V, seeded(3))
    swapped = inputs[chosen & (inputs != MASK) & (inputs != ids)]
    assert swapped.min() == len(SPECIALS)
    assert swapped.max() == V - 1
    counts = swapped.bincount(minlength=V)[len(SPECIALS) :]
    p = 1 / len(counts)
    assert all(within(int(c), len(swapped), p) for c in counts)


def test_mask_tokens_labels_what_it_selected_and_touches_nothing_else():
    ids = text()
    before = ids.clone()
    inputs, labels = mask_tokens(ids, V, 0.15, seeded())
    assert torch.equal(ids, before)
    chosen = labels != IGNORE
    assert torch.equal(labels[chosen], ids[chosen])
    assert torch.equal(inputs[~chosen], ids[~chosen])
    assert not (chosen & ~eligible(ids)).any()
    assert within(int(chosen.sum()), int(eligible(ids).sum()), 0.15)
    assert within(int((inputs[chosen] == MASK).sum()), int(chosen.sum()), 0.8)


def test_masks_are_dynamic_and_follow_the_generator():
    ids, generator = text(), seeded(7)
    first, second = (mask_tokens(ids, V, 0.15, generator)[1] for _ in range(2))
    assert not torch.equal(first, second)
    again = mask_tokens(ids, V, 0.15, seeded(7))[1]
    assert torch.equal(first, again)


def test_nothing_eligible_nothing_masked():
    ids = torch.tensor([[PAD, UNK, MASK, 2, 3]])
    inputs, labels = mask_tokens(ids, V, 0.9, seeded())
    assert torch.equal(inputs, ids)
    assert (labels == IGNORE).all()


def test_a_fixed_count_is_exact_and_even():
    ids = text(20_000)
    ids[0], ids[1, 3:] = PAD, PAD
    ids[1, :3] = torch.tensor([9, UNK, 11])
    chosen = select_fixed(ids, 10, seeded())
    assert not (chosen & ~eligible(ids)).any()
    assert (chosen.sum(1) == eligible(ids).sum(1).clamp(max=10)).all()
    assert chosen[1].nonzero().flatten().tolist() == [0, 2]
    counts = select_fixed(torch.full((20_000, 16), 9), 4, seeded()).sum(0)
    assert all(within(int(c), 20_000, 1 / 4) for c in counts)


def test_a_fixed_count_larger_than_the_block_takes_all():
    assert select_fixed(torch.full((2, 8), 9), 10, seeded()).all()


@pytest.mark.parametrize("rate", [0.15, 0.3])
def test_fixed_masks_are_the_rate_of_the_mean_that_is_eligible(rate):
    ids = torch.randint(len(SPECIALS), V, (50, 40), generator=seeded())
    ids[:, ::3] = UNK
    labels = mask_tokens(ids, V, rate, seeded(), fixed=True)[1]
    numbers = (labels != IGNORE).sum(1).unique().tolist()
    assert numbers == [round(rate * 26)]
    few = torch.full((2, 8), UNK)
    few[0, 3] = 9
    labels = mask_tokens(few, V, 0.1, seeded(), fixed=True)[1]
    assert (labels != IGNORE).sum(1).tolist() == [1, 0]  # at least one where there is


def test_asked_finds_every_label_and_fills_up_with_none():
    labels = torch.full((3, 6), IGNORE)
    labels[0, [1, 4]], labels[2, 5] = torch.tensor([7, 8]), 9
    at, answers = masked_positions(labels)
    assert at.shape == (3, 2)
    assert at[0].tolist() == [1, 4] and at[2, 0] == 5
    assert answers.tolist() == [[7, 8], [IGNORE] * 2, [9, IGNORE]]
    assert torch.equal(labels.gather(1, at), answers)
    assert [len(set(row)) for row in at.tolist()] == [2, 2, 2]


def test_a_part_of_a_batch_has_its_share_of_the_loss():
    logits, labels = torch.randn(4, 5, V), torch.randint(5, V, (4, 5))
    labels[2:, 1:] = IGNORE
    count = int((labels != IGNORE).sum())
    parts = [mlm_loss(logits[i : i + 2], labels[i : i + 2], count) for i in (0, 2)]
    torch.testing.assert_close(sum(parts), mlm_loss(logits, labels))


def test_evaluation_subsets_divide_the_text():
    ids = text(501, 31)
    before, state = ids.clone(), torch.get_rng_state()
    subset = evaluation_subsets(ids)
    assert torch.equal(ids, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(subset >= 0, eligible(ids))  # a position has one number only
    sizes = subset[subset >= 0].bincount()
    assert len(sizes) == 7
    assert sizes.max() - sizes.min() <= 1
    assert torch.equal(subset, evaluation_subsets(ids))
    assert not torch.equal(subset, evaluation_subsets(ids, seed=1))
    assert evaluation_subsets(ids, 3).max() == 2


def test_evaluation_subsets_do_not_follow_the_text():
    subset = evaluation_subsets(torch.full((1_000, 63), 9))
    first_column = subset[:, 0].bincount(minlength=7)
    assert all(within(int(c), 1_000, 1 / 7) for c in first_column)
    pairs = (subset[:, 1:] == subset[:, :-1]).sum()
    assert within(int(pairs), 62_000, 1 / 7)


def loss_in_a_loop(logits, labels):
    """The mean of -log p, one word at a time, in Python's own floats."""
    surprises = []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        if label != IGNORE:
            total = sum(math.exp(score) for score in row)
            surprises.append(-math.log(math.exp(row[label]) / total))
    return sum(surprises) / len(surprises)


def test_loss_equals_a_loop_and_has_no_gradient_elsewhere():
    generator = seeded()
    logits = torch.randn(3, 5, V, generator=generator).requires_grad_()
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


def test_loss_does_not_see_what_stands_at_other_positions():
    logits, labels = torch.randn(2, 6, V), torch.full((2, 6), IGNORE)
    labels[1, 2] = 9
    before = mlm_loss(logits, labels)
    logits[labels == IGNORE] = 1e4
    assert mlm_loss(logits, labels) == before


def test_loss_of_even_scores_is_ln_v():
    loss = mlm_loss(torch.zeros(4, V), torch.tensor([5, 6, 7, 8]))
    assert loss.item() == pytest.approx(math.log(V))


def test_loss_is_computed_in_float32():
    logits = torch.randn(4, V).bfloat16()
    assert mlm_loss(logits, torch.tensor([5, 6, 7, 8])).dtype == torch.float32


def test_loss_of_nothing_is_refused():
    with pytest.raises(ValueError, match="No position is selected"):
        mlm_loss(torch.zeros(2, 3, V), torch.full((2, 3), IGNORE))
