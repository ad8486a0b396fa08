"""The layers against loops in float64, torch's own modules, and complex numbers."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers.layers import (
    Dropout,
    EncoderBlock,
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


def draws(*shape, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=dtype)


def queries_keys_values(dtype=torch.float64):
    """B = 3, H = 2, T = 5, S = 7, K = 4; T and S differ so that no swap can hide."""
    shapes = (3, 2, 5, 4), (3, 2, 7, 4), (3, 2, 7, 4)
    tensors = [draws(*s, seed=i, dtype=dtype) for i, s in enumerate(shapes)]
    return [tensor.requires_grad_() for tensor in tensors]


def attend_in_loops(q, k, v, real):
    """Attention one number at a time, in Python's own floats."""
    q, k, v = q.tolist(), k.tolist(), v.tolist()
    n_items, n_heads, width = len(q), len(q[0]), len(q[0][0][0])
    mixed, weights = [], []
    for b in range(n_items):
        for h in range(n_heads):
            for look in q[b][h]:
                seen = [s for s in range(len(k[b][h])) if real is None or real[b][s]]
                scores = {
                    s: sum(look[i] * k[b][h][s][i] for i in range(width))
                    / math.sqrt(width)
                    for s in seen
                }
                total = sum(math.exp(score) for score in scores.values())
                row = [
                    math.exp(scores[s]) / total if s in scores else 0.0
                    for s in range(len(k[b][h]))
                ]
                weights.append(row)
                mixed.append(
                    [
                        sum(w * v[b][h][s][i] for s, w in enumerate(row))
                        for i in range(width)
                    ]
                )
    return torch.tensor(mixed).double(), torch.tensor(weights).double()


@pytest.mark.parametrize("real", [None, REAL], ids=["all real", "padding"])
def test_attend_equals_explicit_loops(real):
    q, k, v = queries_keys_values()
    mixed, weights = attend(q, k, v, real)
    want_mixed, want_weights = attend_in_loops(q, k, v, real)
    torch.testing.assert_close(
        mixed.flatten(0, 2), want_mixed.view(-1, 4), atol=1e-6, rtol=0
    )
    torch.testing.assert_close(
        weights.flatten(0, 2), want_weights.view(-1, 7), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("real", [None, REAL], ids=["all real", "padding"])
def test_attend_equals_the_fused_kernel_and_so_do_its_gradients(real):
    results = []
    for function in (attend, attend_fused):
        parts = queries_keys_values()
        mixed, _ = function(*parts, real)
        (mixed * draws(*mixed.shape, seed=9, dtype=mixed.dtype)).sum().backward()
        results.append([mixed, *(part.grad for part in parts)])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=1e-9)


def test_padding_gets_no_weight_and_no_gradient():
    q, k, v = queries_keys_values()
    mixed, weights = attend(q, k, v, REAL)
    mixed.square().sum().backward()
    hidden = ~REAL
    assert (weights.transpose(1, 3)[hidden] == 0).all()
    for part in (k, v):
        assert (part.grad.transpose(1, 2)[hidden] == 0).all()
        assert (part.grad.transpose(1, 2)[REAL] != 0).all()


def copy_attention(ours: SelfAttention, theirs: nn.MultiheadAttention):
    """Writes our four matrices where nn.MultiheadAttention keeps them."""
    stacked = ours.query, ours.key, ours.value
    with torch.no_grad():
        for linear in (*stacked, ours.output):
            linear.bias.normal_()  # torch starts some of them at 0, which hides much
        theirs.in_proj_weight.copy_(torch.cat([x.weight for x in stacked]))
        theirs.in_proj_bias.copy_(torch.cat([x.bias for x in stacked]))
        theirs.out_proj.load_state_dict(ours.output.state_dict())


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("real", [None, REAL], ids=["all real", "padding"])
def test_self_attention_equals_torch_multihead_attention(real, fused):
    torch.manual_seed(0)
    ours = SelfAttention(24, 4, fused=fused)
    theirs = nn.MultiheadAttention(24, 4, batch_first=True)
    copy_attention(ours, theirs)
    x = draws(3, 7, 24)
    want, want_weights = theirs(
        x, x, x, None if real is None else ~real, average_attn_weights=False
    )
    torch.testing.assert_close(ours(x, real)[0], want, atol=1e-6, rtol=1e-5)
    out, weights = ours(x, real, need_weights=True)
    torch.testing.assert_close(out, want, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(weights, want_weights, atol=1e-6, rtol=1e-5)


def test_weights_are_those_before_dropout():
    torch.manual_seed(0)
    layer, x = SelfAttention(24, 4, dropout=0.5), draws(3, 7, 24)
    train_out, train_weights = layer.train()(x, need_weights=True)
    eval_out, eval_weights = layer.eval()(x, need_weights=True)
    assert torch.equal(train_weights, eval_weights)
    torch.testing.assert_close(train_weights.sum(-1), torch.ones(3, 4, 7))
    assert not torch.allclose(train_out, eval_out, atol=1e-2)
    assert layer(x)[1] is None


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_dropout_acts_in_training_and_not_in_eval(norm, fused):
    torch.manual_seed(0)
    attention = SelfAttention(24, 4, dropout=0.5, fused=fused)
    block, x = EncoderBlock(attention, FeedForward(24, 48), norm, 0.5), draws(3, 7, 24)
    plain = EncoderBlock(SelfAttention(24, 4), FeedForward(24, 48), norm)
    plain.load_state_dict(block.state_dict())
    block.eval()
    torch.testing.assert_close(block(x)[0], plain(x)[0], atol=1e-6, rtol=1e-5)
    block.train()
    assert not torch.equal(block(x)[0], block(x)[0])
    block.dropout.eval()  # leaves the dropout of the attention weights
    assert not torch.equal(block(x)[0], block(x)[0])


def test_dropout_of_attention_keeps_the_expected_value():
    torch.manual_seed(0)
    layer, x = SelfAttention(8, 2, dropout=0.3), draws(1, 5, 8)
    want = layer.eval()(x)[0]
    many = layer.train()(x.expand(20_000, -1, -1))[0]
    assert layer.dropout.p == 0.3
    torch.testing.assert_close(many.mean(0, keepdim=True), want, atol=0.02, rtol=0)


def test_rotate_is_multiplication_by_complex_numbers():
    x = draws(2, 3, 11, 8, dtype=torch.float64)
    z = torch.complex(x[..., :4], x[..., 4:])
    position = torch.arange(11, dtype=torch.float64)[:, None]
    speed = 10_000 ** (-torch.arange(4, dtype=torch.float64) / 4)
    want = z * torch.polar(torch.ones(11, 4, dtype=torch.float64), position * speed)
    got = rotate(x)
    torch.testing.assert_close(got[..., :4], want.real, atol=1e-5, rtol=0)
    torch.testing.assert_close(got[..., 4:], want.imag, atol=1e-5, rtol=0)


def test_rotated_products_depend_on_the_distance_alone():
    q, k = draws(8, seed=1), draws(8, seed=2)
    turned_q = rotate(q.expand(1, 1, 30, 8))[0, 0]
    turned_k = rotate(k.expand(1, 1, 30, 8))[0, 0]
    products = turned_q @ turned_k.T
    for distance in range(-29, 30):
        diagonal = products.diagonal(distance)
        torch.testing.assert_close(
            diagonal, diagonal[:1].expand_as(diagonal), atol=1e-4, rtol=0
        )
    by_distance = [products.diagonal(d)[0].item() for d in range(-5, 6)]
    assert len({round(p, 3) for p in by_distance}) == 11
    torch.testing.assert_close(turned_q.norm(dim=-1), q.norm().expand(30))


def test_rotary_attention_is_unchanged_when_all_move_together():
    torch.manual_seed(0)
    layer, x = SelfAttention(24, 4, rotary=True), draws(1, 5, 24)
    real = torch.tensor([[False] * 3 + [True] * 5])
    moved = torch.cat([draws(1, 3, 24, seed=5), x], dim=1)
    torch.testing.assert_close(
        layer(moved, real)[0][:, 3:], layer(x)[0], atol=1e-5, rtol=1e-4
    )
    order = torch.tensor([1, 0, 2, 3, 4])
    assert not torch.allclose(layer(x[:, order])[0], layer(x)[0][:, order], atol=1e-3)


def test_without_positions_attention_does_not_know_order():
    torch.manual_seed(0)
    layer, x = SelfAttention(24, 4), draws(2, 6, 24)
    order = torch.randperm(6)
    torch.testing.assert_close(
        layer(x[:, order])[0], layer(x)[0][:, order], atol=1e-6, rtol=1e-5
    )


def test_sinusoidal_positions_are_the_formula():
    got = sinusoidal_positions(50, 6)
    assert got.shape == (50, 6)
    for t in range(50):
        for i in range(3):
            angle = t / 10_000 ** (2 * i / 6)
            assert got[t, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-5)
            assert got[t, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-5)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_block_equals_torch_encoder_layer(norm):
    torch.manual_seed(0)
    block = EncoderBlock(SelfAttention(24, 4), FeedForward(24, 48), norm)
    torchs = nn.TransformerEncoderLayer(
        24, 4, 48, 0.0, "gelu", batch_first=True, norm_first=norm == "pre"
    )
    copy_attention(block.attention, torchs.self_attn)
    pairs = (
        (block.feed_forward.expand, torchs.linear1),
        (block.feed_forward.contract, torchs.linear2),
        (block.attention_norm, torchs.norm1),
        (block.feed_forward_norm, torchs.norm2),
    )
    with torch.no_grad():
        for ours, theirs in pairs:
            ours.weight.add_(0.3 * draws(*ours.weight.shape))
            ours.bias.normal_()
            theirs.load_state_dict(ours.state_dict())
    x = draws(3, 7, 24)
    want = torchs(x, src_key_padding_mask=~REAL)
    got, weights = block(x, REAL, need_weights=True)
    torch.testing.assert_close(got[REAL], want[REAL], atol=2e-6, rtol=1e-5)
    looked = block.attention_norm(x) if norm == "pre" else x
    assert torch.equal(weights, block.attention(looked, REAL, True)[1])


def test_feed_forward_looks_at_one_position_only():
    torch.manual_seed(0)
    layer, x = FeedForward(6, 12), draws(1, 4, 6)
    other = x.clone()
    other[0, 2] += 1
    changed = (layer(other) != layer(x)).any(-1)
    assert changed.tolist() == [[False, False, True, False]]
    by_hand = [
        F.linear(
            0.5 * h * (1 + torch.erf(h / 2**0.5)),
            layer.contract.weight,
            layer.contract.bias,
        )
        for h in (layer.expand.weight @ row + layer.expand.bias for row in x[0])
    ]
    torch.testing.assert_close(layer(x)[0], torch.stack(by_hand), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: SelfAttention(10, 3), "10 does not divide into 3 heads"),
        (lambda: SelfAttention(9, 3, rotary=True), "even"),
        (lambda: sinusoidal_positions(5, 7), "d_model is 7"),
        (
            lambda: EncoderBlock(SelfAttention(4, 2), FeedForward(4, 4), norm="mid"),
            "'mid'; choose 'pre' or 'post'",
        ),
    ],
)
def test_impossible_sizes_are_refused_in_one_sentence(build, said):
    with pytest.raises(ValueError, match=said):
        build()


def test_dropout_drops_its_share_and_keeps_the_mean():
    torch.manual_seed(0)
    ones = torch.ones(64, 64, 61)  # no multiple of four
    for p in (0.1, 0.5, 0.9):
        out = Dropout(p).train()(ones)
        n, gone = ones.numel(), (out == 0).sum().item()
        assert abs(gone / n - p) < 5 * (p * (1 - p) / n) ** 0.5
        assert out[out > 0].unique().tolist() == pytest.approx([1 / (1 - p)])


def test_dropout_has_the_gradient_of_what_it_kept():
    x = torch.randn(8, 16, requires_grad=True)
    out = Dropout(0.25).train()(x)
    out.sum().backward()
    torch.testing.assert_close(x.grad, (out != 0) / 0.75)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_dropout_keeps_the_number_format_and_follows_the_seed(dtype):
    x, layer = torch.ones(16, 33, dtype=dtype), Dropout(0.3).train()
    outs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outs.append(layer(x))
    assert outs[0].dtype == dtype
    assert torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[0], outs[2])


def test_dropout_draws_each_number_alone():
    """Neighbours, which share a draw of 64 bits, fall together by chance only."""
    torch.manual_seed(0)
    gone = (Dropout(0.5).train()(torch.ones(400_000)) == 0).double()
    for distance in (1, 2, 3, 4, 8):
        both = (gone[:-distance] * gone[distance:]).mean().item()
        assert both == pytest.approx(0.25, abs=0.004)


def test_dropout_off_is_the_identity():
    x = torch.randn(3, 4)
    assert Dropout(0.5).eval()(x) is x
    assert torch.equal(Dropout(0.0).train()(x), x)


@pytest.mark.parametrize("parts", [2, 4])
def test_parts_of_dropout_are_the_whole(parts):
    x, layer = torch.ones(8, 5, 3), Dropout(0.4).train()
    torch.manual_seed(0)
    whole = layer(x)
    found = []
    for rank, rows in enumerate(x.chunk(parts)):
        layer.part = rank, parts
        torch.manual_seed(0)
        found.append(layer(rows))
    assert torch.equal(torch.cat(found), whole)


def test_take_picks_vectors_by_row():
    x, at = torch.arange(24.0).view(2, 4, 3), torch.tensor([[3, 0], [1, 1]])
    want = torch.stack([x[0, [3, 0]], x[1, [1, 1]]])
    assert torch.equal(gather_positions(x, at), want)
    assert gather_positions(x, None) is x


@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize("fused", [False, True])
def test_asked_positions_get_what_all_would_get(rotary, fused):
    torch.manual_seed(0)
    attention = SelfAttention(16, 2, rotary=rotary, fused=fused)
    x, real = torch.randn(3, 7, 16), torch.ones(3, 7, dtype=torch.bool)
    real[1, 5:] = False
    at = torch.tensor([[6, 1], [0, 3], [2, 2]])
    whole, some = attention(x, real)[0], attention(x, real, at_BT=at)[0]
    torch.testing.assert_close(some, gather_positions(whole, at))


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_block_at_asked_positions_is_the_block_there(norm):
    torch.manual_seed(0)
    block = EncoderBlock(SelfAttention(16, 2, rotary=True), FeedForward(16, 24), norm)
    x, at = torch.randn(3, 7, 16), torch.tensor([[6, 1], [0, 3], [2, 5]])
    whole, weights = block(x, need_weights=True)
    some, chosen = block(x, need_weights=True, at_BT=at)
    torch.testing.assert_close(some, gather_positions(whole, at))
    rows = at[:, None, :, None].expand(-1, 2, -1, 7)
    torch.testing.assert_close(chosen, weights.gather(2, rows))
