"""Wrong answers to the exercises of notebook 02, such as a learner might give."""

import torch

from helpers.layers import attend, attend_fused


def left(scores, diagonal=0):
    return torch.ones(scores.shape[-2:]).tril(diagonal).bool()


def scored(q, k):
    return q @ k.mT / q.shape[-1] ** 0.5


def hidden(scores, mask):
    return scores.masked_fill(~mask, float("-inf")).softmax(-1)


def masked_too_late(q, k, v):
    weights = scored(q, k).softmax(-1)
    return weights.masked_fill(~left(weights), 0) @ v


def without_root(q, k, v):
    return hidden(q @ k.mT, left(q @ k.mT)) @ v


def hides_itself(q, k, v):
    return hidden(scored(q, k), left(scored(q, k), -1)) @ v


def looks_right(q, k, v):
    return hidden(scored(q, k), left(scored(q, k)).T) @ v


def also_the_next(q, k, v):
    return hidden(scored(q, k), left(scored(q, k), 1)) @ v


def table(length, slope):
    at = torch.arange(length)
    return slope * (at[:, None] - at)


WRONG = {
    "2.1": [
        lambda q, k, v: attend(q, k, v)[0],
        lambda q, k, v: attend(q, k, v),
        lambda q, k, v: attend_fused(q, k, v, left(q @ k.mT))[0],
        masked_too_late,
        without_root,
        hides_itself,
        looks_right,
        also_the_next,
    ],
    "2.2": [
        lambda d, h: 4 * d * d,
        lambda d, h: 3 * (d * d + d),
        lambda d, h: d * d + d,
        lambda d, h: 4 * h * (d * d + d),
        lambda d, h: 263_168,
        lambda d, h: 0,
    ],
    "2.3": [
        table,
        lambda length, slope: table(length, slope).abs(),
        lambda length, slope: -table(length, slope).square(),
        lambda length, slope: -table(length, 0.5).abs(),
        lambda length, slope: -table(length, slope)[0].abs(),
        lambda length, slope: slope - table(length, slope).abs(),
    ],
}
