"""Plausible wrong answers to the exercises of notebook 07."""

import math


def room(gradients):
    return 65_504 / gradients.abs().max().item()


WRONG = {
    "7.1": [
        lambda gradients: room(gradients),  # no power of two
        lambda gradients: 2.0 ** math.ceil(math.log2(room(gradients))),
        lambda gradients: (
            2.0 ** math.floor(math.log2(65_504 / gradients.abs().min().item()))
        ),  # of the smallest
        lambda gradients: 2.0 ** (math.floor(math.log2(room(gradients))) - 1),
        lambda gradients: 2.0**16,  # whatever the gradients are
    ],
    "7.2": [
        lambda gradients, counts: sum(gradients) / len(gradients),  # the mean of means
        lambda gradients, counts: sum(
            g * n for g, n in zip(gradients, counts, strict=True)
        ),
        lambda gradients, counts: sum(gradients),
        lambda gradients, counts: sum(
            g / n for g, n in zip(gradients, counts, strict=True)
        ),
    ],
}
