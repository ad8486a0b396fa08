"""Checks of scaled dot-product attention."""

import math

import torch

from notebooks.grader import grader_check, grader_difference


def attention_check_reference(q_TK, k_SK):
    """The weights of one head, in plain loops."""
    rows = []
    for q_K in q_TK:
        powers = [math.exp(float(q_K @ k_K) / math.sqrt(len(q_K))) for k_K in k_SK]
        rows.append([power / sum(powers) for power in powers])
    return torch.tensor(rows)


def attention_evidence(seen, adapters):
    draw = torch.Generator().manual_seed(0)
    q_BHTK = torch.randn(2, 3, 4, 8, generator=draw)
    k_BHSK, v_BHSK = torch.randn(2, 2, 3, 6, 8, generator=draw)
    real_BS = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    seen.inputs, seen.attend = (q_BHTK, k_BHSK, v_BHSK), adapters.attention
    seen.mixed_BHTK, seen.weights_BHTS = seen.attend(*seen.inputs, None, 0.0)
    seen.weights_TS = attention_check_reference(q_BHTK[1, 2], k_BHSK[1, 2])
    seen.padded_BHTS = seen.attend(*seen.inputs, real_BS, 0.0)[1]


def attention_check_near(left, right, told: str) -> tuple[bool, str]:
    """Whether two tensors are equal but for rounding, and how far they are apart."""
    furthest = grader_difference(left, right)
    return furthest < 1e-5, told.format(furthest)


@grader_check(
    "weights have the shape (B, H, T, S)",
    "Give each word that looks a row, and each that is looked at a column: q @ k.mT.",
)
def check_attention_shape(seen):
    found = [*seen.weights_BHTS.shape]
    return found == [2, 3, 4, 6], f"it is {found}"


@grader_check(
    "each row of weights sums to 1",
    "Apply the softmax over S, the last dimension.",
)
def check_attention_sums(seen):
    return attention_check_near(seen.weights_BHTS.sum(-1), 1, "a sum is {:.2f} off")


@grader_check(
    "weights equal those of plain loops",
    "softmax(q kᵀ / √K): K is the size of a head. Divide by √K, not by K or √d_model.",
)
def check_attention_weights(seen):
    weights_TS = seen.weights_BHTS[1, 2]
    return attention_check_near(weights_TS, seen.weights_TS, "a weight is {:.2f} off")


@grader_check(
    "mixed values are the weighted mean of the values",
    "Multiply the weights by v, not by k, and separately in each head.",
)
def check_attention_mixed(seen):
    right_BHTK = seen.weights_BHTS @ seen.inputs[2]
    return attention_check_near(seen.mixed_BHTK, right_BHTK, "a number is {:.2f} off")


@grader_check(
    "[PAD] gets no weight",
    "Set its scores to -inf before the softmax. Hide columns (keys), not rows.",
)
def check_attention_padding(seen):
    share = float(seen.padded_BHTS[1, :, :, 4:].sum(-1).max())
    return share < 1e-6, f"up to {share:.0%} of a row's weight lies on [PAD]"


@grader_check(
    "real words are looked at",
    "The mask may be upside down: in scaled_dot_product_attention True means 'look', "
    "in MultiheadAttention's key_padding_mask it means 'do not look'.",
)
def check_attention_words(seen):
    share = float(seen.padded_BHTS[1, :, :, :4].sum(-1).min())
    return share > 0.01, f"in a padded row they get {share:.0%} of the weight"


@grader_check(
    "rows beside [PAD] still sum to 1",
    "Mask the scores before the softmax, not the weights after it.",
)
def check_attention_padded_sums(seen):
    return attention_check_near(seen.padded_BHTS[1].sum(-1), 1, "a sum is {:.2f} off")


@grader_check(
    "a row without [PAD] is not changed by the mask",
    "Each row of the batch has a mask of its own: real_BS[:, None, None, :].",
)
def check_attention_rows(seen):
    padded_HTS, weights_HTS = seen.padded_BHTS[0], seen.weights_BHTS[0]
    return attention_check_near(padded_HTS, weights_HTS, "a weight moved by {:.2f}")


@grader_check(
    "the weights are returned as they are before dropout",
    "Return the softmax, and use dropout(weights) only for the mixing. Otherwise a "
    "map shows holes, and its rows do not sum to 1.",
)
def check_attention_before_dropout(seen):
    torch.manual_seed(0)
    weights_BHTS = seen.attend(*seen.inputs, None, 0.5)[1]
    told = "with dropout a weight is {:.2f} off"
    return attention_check_near(weights_BHTS, seen.weights_BHTS, told)


@grader_check(
    "dropout acts on the mixing",
    "Mix the values with dropout(weights).",
)
def check_attention_dropout(seen):
    torch.manual_seed(0)
    mixed_BHTK = seen.attend(*seen.inputs, None, 0.5)[0]
    moved = grader_difference(mixed_BHTK, seen.mixed_BHTK)
    return moved > 1e-3, "with p = 0.5 nothing changes"


@grader_check(
    "large scores give numbers, not nan",
    "Use torch.softmax, which subtracts the largest score, not exp(x) / sum(exp(x)).",
)
def check_attention_overflow(seen):
    q_BHTK, k_BHSK, v_BHSK = seen.inputs
    mixed_BHTK, _ = seen.attend(q_BHTK * 1_000, k_BHSK, v_BHSK, None, 0.0)
    return bool(mixed_BHTK.isfinite().all()), "scores in the thousands give nan or inf"
