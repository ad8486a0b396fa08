"""The layers against torch's own kernels and modules, and complex numbers."""

import pytest
import torch
from tiny import scattered
from torch import nn

from helpers.layers import (
    EncoderBlock,
    FastDropout,
    FeedForward,
    SelfAttention,
    attend,
    attend_fused,
    gather_positions,
    rotate,
    sinusoidal_positions,
)

# Padding at the end, in the middle, and none.
REAL = torch.tensor([[1, 1, 1, 1, 0, 0, 0], [1, 0, 1, 1, 1, 1, 0], [1] * 7]).bool()
with_and_without_padding = pytest.mark.parametrize(
    "real", [None, REAL], ids=["all real", "padding"]
)
fused_or_written_out = pytest.mark.parametrize("fused", [False, True])
both_norms = pytest.mark.parametrize("norm", ["pre", "post"])


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


def copy_attention(ours: SelfAttention, theirs: nn.MultiheadAttention):
    """Writes our four matrices where nn.MultiheadAttention keeps them."""
    stacked = ours.query, ours.key, ours.value
    with torch.no_grad():
        for linear in (*stacked, ours.output):
            linear.bias.normal_()  # torch starts some of them at 0, which hides much
        theirs.in_proj_weight.copy_(torch.cat([x.weight for x in stacked]))
        theirs.in_proj_bias.copy_(torch.cat([x.bias for x in stacked]))
        theirs.out_proj.load_state_dict(ours.output.state_dict())


@fused_or_written_out
@with_and_without_padding
def test_self_attention_equals_torch_multihead_attention(real, fused):
    ours, x = SelfAttention(24, 4, fused=fused), draws(3, 7, 24)
    theirs = nn.MultiheadAttention(24, 4, batch_first=True)
    copy_attention(ours, theirs)
    hidden = None if real is None else ~real
    want, want_weights = theirs(x, x, x, hidden, average_attn_weights=False)
    out, none = ours(x, real)
    close(out, want)
    assert none is None
    out, weights = ours(x, real, need_weights=True)
    close(out, want)
    close(weights, want_weights)


@fused_or_written_out
@both_norms
def test_dropout_acts_in_training_alone_and_on_weights_after_they_are_returned(
    norm, fused
):
    attention = SelfAttention(24, 4, FastDropout(0.5), fused=fused)
    block = EncoderBlock(attention, FeedForward(24, 48), norm, FastDropout(0.5))
    plain = EncoderBlock(SelfAttention(24, 4), FeedForward(24, 48), norm)
    plain.load_state_dict(block.state_dict())
    x = draws(3, 7, 24)
    weights = block(x, need_weights=True)[1]
    close(block.eval()(x)[0], plain(x)[0])
    assert torch.equal(block(x, need_weights=True)[1], weights)
    for site in (attention.dropout, block.dropout):
        site.train()
        assert not torch.equal(block(x)[0], block(x)[0])
        site.eval()


def test_rotate_is_multiplication_by_complex_numbers():
    x = draws(2, 3, 11, 8, dtype=torch.float64)
    z = torch.complex(x[..., :4], x[..., 4:])
    position = torch.arange(11, dtype=torch.float64)[:, None]
    speed = 10_000 ** (-torch.arange(4, dtype=torch.float64) / 4)
    want = z * torch.polar(torch.ones(11, 4, dtype=torch.float64), position * speed)
    close(rotate(x), torch.cat([want.real, want.imag], -1), atol=1e-5, rtol=0)


@both_norms
def test_block_equals_torch_encoder_layer(norm):
    block = EncoderBlock(SelfAttention(24, 4), FeedForward(24, 48), norm)
    torchs = nn.TransformerEncoderLayer(
        24, 4, 48, 0.0, "gelu", batch_first=True, norm_first=norm == "pre"
    )
    copy_attention(block.attention, torchs.self_attn)
    pairs = {
        block.feed_forward.expand: torchs.linear1,
        block.feed_forward.contract: torchs.linear2,
        block.attention_norm: torchs.norm1,
        block.feed_forward_norm: torchs.norm2,
    }
    for ours, theirs in pairs.items():
        scattered(ours, 0.3)
        theirs.load_state_dict(ours.state_dict())
    x = draws(3, 7, 24)
    want = torchs(x, src_key_padding_mask=~REAL)
    got, weights = block(x, REAL, need_weights=True)
    close(got[REAL], want[REAL], atol=2e-6)
    looked = block.attention_norm(x) if norm == "pre" else x
    assert torch.equal(weights, block.attention(looked, REAL, True)[1])


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


@both_norms
@fused_or_written_out
@pytest.mark.parametrize("rotary", [False, True])
def test_chosen_positions_get_what_all_would_get(norm, fused, rotary):
    attention = SelfAttention(16, 2, rotary=rotary, fused=fused)
    block = EncoderBlock(attention, FeedForward(16, 24), norm)
    x, at = draws(3, 7, 16), torch.tensor([[6, 1], [0, 3], [2, 2]])
    rows = torch.stack([x_SD[at_T] for x_SD, at_T in zip(x, at, strict=True)])
    assert torch.equal(gather_positions(x, at), rows)
    assert gather_positions(x, None) is x
    whole, weights = block(x, REAL, need_weights=True)
    some, chosen = block(x, REAL, need_weights=True, at_BT=at)
    torch.testing.assert_close(some, gather_positions(whole, at))
    torch.testing.assert_close(block(x, REAL, at_BT=at)[0], some)
    index = at[:, None, :, None].expand(-1, 2, -1, 7)
    torch.testing.assert_close(chosen, weights.gather(2, index))


@pytest.mark.parametrize("p", [0.1, 0.9])
def test_fast_dropout_drops_its_share_each_number_alone(p):
    """Neighbours, which share a draw of 64 bits, fall together by chance only."""
    x = torch.ones(399_999, requires_grad=True)  # no multiple of four
    out = FastDropout(p).train()(x)
    out.sum().backward()
    assert torch.equal(x.grad, out) and out.unique().tolist() == pytest.approx(
        [0, 1 / (1 - p)]
    )
    gone = (out == 0).double()
    assert gone.mean().item() == pytest.approx(p, abs=0.004)
    for distance in (1, 2, 3, 4, 8):
        both = (gone[:-distance] * gone[distance:]).mean().item()
        assert both == pytest.approx(p * p, abs=0.004)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_fast_dropout_follows_the_seed_whatever_the_number_of_processes(dtype):
    x, layer, outs = torch.ones(8, 5, 3, dtype=dtype), FastDropout(0.4).train(), []
    for seed in (0, 1):
        torch.manual_seed(seed)
        outs.append(layer(x))
    assert outs[0].dtype == dtype and not torch.equal(*outs)
    for layer.world_size in (1, 2, 4):
        parts = []
        for rank, rows in enumerate(x.chunk(layer.world_size)):
            layer.rank = rank
            torch.manual_seed(0)
            parts.append(layer(rows))
        assert torch.equal(torch.cat(parts), outs[0])
    assert layer.eval()(x) is x and torch.equal(FastDropout(0.0).train()(x), x)
