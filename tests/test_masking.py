"""The masked-word task and its loss; test_grader counts the shares of masks."""

import math

import pytest
import torch
import torch.nn.functional as F

from helpers.masking import (
    IGNORE,
    eligible,
    mask_subsets,
    mask_tokens,
    mlm_loss,
    select_fixed,
)
from helpers.seeds import seeded
from helpers.tokenizer import PAD, SPECIALS, UNK

V = 50


def text(rows=4_000, length=64):
    """Rows of random ids, special tokens and [UNK] among them."""
    return torch.randint(0, V, (rows, length), generator=seeded())


def by_chance(count, n, p):
    """Five standard errors: chance leaves them once in two million draws."""
    return abs(int(count) - n * p) < 5 * math.sqrt(n * p * (1 - p))


def test_eligible_is_all_but_special_tokens_and_unk():
    assert eligible(torch.arange(V)).tolist() == [False] * 5 + [True] * (V - 5)


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


def test_fixed_masks_are_the_rate_of_the_mean_that_is_eligible():
    ids = torch.randint(len(SPECIALS), V, (50, 40), generator=seeded())
    ids[:, ::3] = UNK
    labels = mask_tokens(ids, V, 0.3, seeded(), fixed=True)[1]
    assert (labels != IGNORE).sum(1).unique().tolist() == [round(0.3 * 26)]
    free = mask_tokens(ids, V, 0.3, seeded())[1]  # the rate of each position
    assert by_chance((free != IGNORE).sum(), 50 * 26, 0.3)
    few = torch.full((2, 8), UNK)
    few[0, 3] = 9
    inputs, labels = mask_tokens(few, V, 0.1, seeded(), fixed=True)
    assert (labels != IGNORE).sum(1).tolist() == [1, 0]  # at least one where there is
    assert torch.equal(inputs[1], few[1])


def test_mask_subsets_divide_the_text_and_do_not_follow_it():
    ids = text(501, 31)
    before, state = ids.clone(), torch.get_rng_state()
    subset = mask_subsets(ids)
    assert torch.equal(ids, before) and torch.equal(torch.get_rng_state(), state)
    assert torch.equal(subset >= 0, eligible(ids))  # a position has one number only
    sizes = subset[subset >= 0].bincount()
    assert len(sizes) == 7 and sizes.max() - sizes.min() <= 1
    assert torch.equal(subset, mask_subsets(ids))
    assert not torch.equal(subset, mask_subsets(ids, seed=1))
    even = mask_subsets(torch.full((1_000, 63), 9))
    assert by_chance((even[:, 1:] == even[:, :-1]).sum(), 62_000, 1 / 7)


def test_loss_is_cross_entropy_in_float32_where_there_is_a_label():
    logits = torch.randn(3, 5, V, generator=seeded()).bfloat16()
    labels = torch.full((3, 5), IGNORE)
    with pytest.raises(ValueError, match="No position is selected"):
        mlm_loss(logits, labels)
    labels[0, 1], labels[2, 4], labels[2, 0] = 7, 8, 49
    chosen = labels != IGNORE
    loss = F.cross_entropy(logits[chosen].float(), labels[chosen])
    torch.testing.assert_close(mlm_loss(logits, labels), loss)
    torch.testing.assert_close(mlm_loss(logits[chosen], labels[chosen]), loss)
    # A part of a batch has its share of the loss.
    parts = [mlm_loss(logits[i], labels[i], count=3) for i in (0, 2)]
    torch.testing.assert_close(sum(parts), loss)
