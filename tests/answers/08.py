"""Plausible wrong answers to the exercises of notebook 08."""

import torch
from faults import masking, two_draws, with_words


def rows_of_the_weights(attend):
    """Looks whether rows sum to 1, as they also do where [PAD] is looked at."""
    q, k, v = torch.randn(3, 2, 2, 5, 8)
    real_BS = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    weights = attend(q, k, v, real_BS, 0.0)[1]
    return not torch.allclose(weights.sum(-1), torch.ones(()))


def without_padding(attend):
    """Compares rows that hold no [PAD]."""
    q, k, v = torch.randn(3, 2, 2, 5, 8)
    real_BS = torch.ones(2, 5, dtype=torch.bool)
    one, two = (attend(q, k, v, x, 0.0)[0] for x in (real_BS, None))
    return not torch.allclose(one, two)


def too_tolerant(attend):
    """Overlooks a small leak."""
    q, k, v = torch.randn(3, 2, 2, 5, 8)
    real_BS = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    weights = attend(q, k, v, real_BS, 0.0)[1]
    return bool((weights[1, :, :, 3:] > 0.2).any())


WRONG = {
    "8.1": [masking(fill=two_draws), masking(fill=with_words(0, None))],
    "8.2": [{7, 8}, {2, 8}, {4, 7}, [2, 7]],
    "8.3": [rows_of_the_weights, without_padding, too_tolerant, lambda attend: True],
}
