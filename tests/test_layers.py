"""Attention beside PyTorch's own, and dropout; test_export compares whole models."""

import pytest
import torch

from helpers import layers

# Padding at the end, in the middle, and none.
REAL = torch.tensor([[1, 1, 1, 1, 0, 0, 0], [1, 0, 1, 1, 1, 1, 0], [1] * 7]).bool()


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("real", [None, REAL], ids=["all real", "padding"])
def test_attend_equals_the_fused_kernel_and_so_do_its_gradients(real):
    """B = 3, H = 2, T = 5, S = 7, K = 4; T and S differ so that no swap can hide."""
    shapes, results = ((3, 2, 5, 4), (3, 2, 7, 4), (3, 2, 7, 4)), []
    *parts, factor = (torch.randn(s).double() for s in (*shapes, shapes[0]))
    for function in (layers.attend, layers.attend_fused):
        leaves = [part.clone().requires_grad_() for part in parts]
        mixed, _ = function(*leaves, real)
        (mixed * factor).sum().backward()
        results.append([mixed, *(leaf.grad for leaf in leaves)])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: layers.SelfAttention(10, 3), "10 does not divide into 3 heads"),
        (lambda: layers.SelfAttention(6, 2, rotary=True), "even"),
        (lambda: layers.sinusoidal_positions(5, 7), "d_model is 7"),
        (lambda: layers.EncoderBlock(0, 0, "mid"), "'mid'; choose 'pre' or 'post'"),
    ],
)
def test_impossible_sizes_are_refused_in_one_sentence(build, said):
    with pytest.raises(ValueError, match=said):
        build()


@pytest.mark.parametrize("p", [0.1, 0.9])
def test_fast_dropout_drops_its_share_each_number_alone(p):
    """Neighbours, which share a draw of 64 bits, fall together by chance only."""
    x = torch.ones(399_999, requires_grad=True)  # no multiple of four
    out = layers.FastDropout(p).train()(x)
    out.sum().backward()
    assert torch.equal(x.grad, out)
    assert out.unique().tolist() == pytest.approx([0, 1 / (1 - p)])
    assert layers.FastDropout(p).train()(x.bfloat16()).dtype == torch.bfloat16
    gone = (out == 0).double()
    assert gone.mean().item() == pytest.approx(p, abs=0.004)
    for distance in (1, 2, 3, 4, 8):
        both = (gone[:-distance] * gone[distance:]).mean().item()
        assert both == pytest.approx(p * p, abs=0.004)
