"""Graders of notebook 02: a causal mask, a count of parameters, a distance penalty."""

import torch
import torch.nn.functional as F

from notebooks.exercises import exercise


@exercise("2.1")
def grade_layers_causal(attend_left):
    """Two rows, three heads, five positions, four numbers."""
    draw = torch.Generator().manual_seed(2)
    q, k, v = torch.randn(3, 2, 3, 5, 4, generator=draw)
    right = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    mixed = attend_left(q, k, v)
    if not torch.is_tensor(mixed) or mixed.shape != v.shape:
        return "return the mixed values alone, with the shape of v, (B, H, T, K)."
    # Values that are unit vectors come back as the weights.
    weights = attend_left(q, k, torch.eye(5).expand(2, 3, 5, 5))
    if weights.isnan().any():
        return "some weights are nan. The first word must be able to look at itself."
    if weights.triu(1).abs().max() > 1e-6:
        return "a word still looks at words that come after it."
    if weights.tril().count_nonzero() < 2 * 3 * 15:
        return "a word does not look at itself, or at a word before it."
    if (weights.sum(-1) - 1).abs().max() > 1e-4:
        return (
            "the weights of a word do not sum to 1. Does the softmax run over the "
            "keys, and does the mask act in time?"
        )
    if not torch.allclose(mixed.float(), right, atol=1e-6):
        return "the right words are looked at, but with the wrong weights."


@exercise("2.2")
def grade_layers_parameters(n_parameters):
    """Three sizes; one of them checks that the number of heads does not matter."""
    for d_model, n_heads in ((256, 8), (256, 1), (48, 6)):
        count = n_parameters(d_model, n_heads)
        matrix = d_model * d_model
        known = {
            4 * matrix: "each nn.Linear also has a bias.",
            3 * (matrix + d_model): "one more matrix follows the joined heads.",
            matrix + d_model: "that is one nn.Linear; how many are there?",
            n_heads * 4 * (matrix + d_model): "are there D × D matrices per head?",
        }
        if count != 4 * (matrix + d_model):
            hint = known.get(count, "begin with one nn.Linear(d_model, d_model).")
            return (
                f"with d_model {d_model} and {n_heads} heads, {count} is wrong: {hint}"
            )


@exercise("2.3")
def grade_layers_penalty(distance_penalty):
    """Six positions, and two slopes."""
    table = distance_penalty(6, 0.5)
    if not torch.is_tensor(table) or table.shape != (6, 6):
        return "return a tensor of shape (T, S), here 6 times 6."
    table = table.float()
    if table.diagonal().any():
        return "a word is at distance 0 from itself, so its own score must not change."
    if not torch.equal(table, table.T):
        return "words equally far to the left and to the right get different penalties."
    if table[0, 1] > 0:
        return "words further away should get lower scores, not higher ones."
    if not torch.allclose(table[0], -0.5 * torch.arange(6.0)):
        return "the score should fall by the slope for each step of distance."
    if not torch.allclose(distance_penalty(6, 2.0).float(), 4 * table):
        return "with four times the slope, the penalty should be four times as large."
