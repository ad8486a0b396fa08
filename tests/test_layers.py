"""The layers against torch's own kernels and modules."""

import pytest
import torch
from torch import nn

from helpers.layers import (
    EncoderBlock,
    FastDropout,
    SelfAttention,
    attend,
    attend_fused,
    sinusoidal_positions,
)

# Padding at the end, in the middle, and none.
REAL = torch.tensor([[1, 1, 1, 1, 0, 0, 0], [1, 0, 1, 1, 1, 1, 0], [1] * 7]).bool()
with_and_without_padding = pytest.mark.parametrize(
    "real", [None, REAL], ids=["all real", "padding"]
)


def close(got, want, atol=1e-6, rtol=1e-5):
    torch.testing.assert_close(got, want, atol=atol, rtol=rtol)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def draws(*shape, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=dtype)


def queries_keys_values():
    """B = 3, H = 2, T = 5, S = 7, K = 4; T and S differ so that no swap can hide."""
    shapes = (3, 2, 5, 4), (3, 2, 7, 4), (3, 2, 7, 4)
    tensors = [draws(*s, seed=i, dtype=torch.float64) for i, s in enumerate(shapes)]
    return [tensor.requires_grad_() for tensor in tensors]


@with_and_without_padding
def test_attend_equals_the_fused_kernel_and_so_do_its_gradients(real):
    results = []
    for function in (attend, attend_fused):
        parts = queries_keys_values()
        mixed, _ = function(*parts, real)
        (mixed * draws(*mixed.shape, seed=9, dtype=mixed.dtype)).sum().backward()
        results.append([mixed, *(part.grad for part in parts)])
    for ours, theirs in zip(*results, strict=True):
        close(ours, theirs, atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("fused", [False, True])
@with_and_without_padding
def test_self_attention_equals_torch_multihead_attention(real, fused):
    ours, x = SelfAttention(24, 4, fused=fused), draws(3, 7, 24)
    theirs = nn.MultiheadAttention(24, 4, batch_first=True)
    with torch.no_grad():
        for linear in ours.children():
            linear.bias.normal_()  # torch starts some of them at 0, which hides much
        stacked = ours.query, ours.key, ours.value
        theirs.in_proj_weight.copy_(torch.cat([x.weight for x in stacked]))
        theirs.in_proj_bias.copy_(torch.cat([x.bias for x in stacked]))
        theirs.out_proj.load_state_dict(ours.output.state_dict())
    hidden = None if real is None else ~real
    want, want_weights = theirs(x, x, x, hidden, average_attn_weights=False)
    out, none = ours(x, real)
    close(out, want)
    assert none is None
    out, weights = ours(x, real, need_weights=True)
    close(out, want)
    close(weights, want_weights)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: SelfAttention(10, 3), "10 does not divide into 3 heads"),
        (lambda: SelfAttention(6, 2, rotary=True), "even"),
        (lambda: sinusoidal_positions(5, 7), "d_model is 7"),
        (lambda: EncoderBlock(None, None, norm="mid"), "'mid'; choose 'pre' or 'post'"),
    ],
)
def test_impossible_sizes_are_refused_in_one_sentence(build, said):
    with pytest.raises(ValueError, match=said):
        build()


@pytest.mark.parametrize("p", [0.1, 0.9])
def test_fast_dropout_drops_its_share_each_number_alone(p):
    """Neighbours, which share a draw of 64 bits, fall together by chance only."""
    x = torch.ones(399_999, requires_grad=True)  # no multiple of four
    out = FastDropout(p).train()(x)
    out.sum().backward()
    assert torch.equal(x.grad, out) and out.unique().tolist() == pytest.approx(
        [0, 1 / (1 - p)]
    )
    assert FastDropout(p).train()(x.bfloat16()).dtype == torch.bfloat16
    gone = (out == 0).double()
    assert gone.mean().item() == pytest.approx(p, abs=0.004)
    for distance in (1, 2, 3, 4, 8):
        both = (gone[:-distance] * gone[distance:]).mean().item()
        assert both == pytest.approx(p * p, abs=0.004)
