"""The layers of a transformer encoder, written out.

Cross-attention, causal masks and key-value caches are left out, because an encoder
needs none of them. Tensor names carry their dimensions: B batch, T position that looks,
S position looked at, D d_model, H heads, K head dimension, F feed-forward.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def attend(q_BHTK, k_BHSK, v_BHSK, real_BS=None, dropout=None):
    """Scaled dot-product attention, softmax(q kᵀ / √K) v (Vaswani 2017, eq. 1).

    `real_BS` is True where a token may be looked at and False at [PAD]; every row needs
    at least one True. Returns the mixed values (B, H, T, K) and weights (B, H, T, S)
    as they are before dropout, so that their rows sum to 1.
    """
    scores_BHTS = (q_BHTK / q_BHTK.shape[-1] ** 0.5) @ k_BHSK.mT
    if real_BS is not None:
        hidden = ~real_BS[:, None, None, :]  # the same for every head and query
        scores_BHTS = scores_BHTS.masked_fill(hidden, float("-inf"))
    weights_BHTS = scores_BHTS.softmax(dim=-1)
    used_BHTS = weights_BHTS if dropout is None else dropout(weights_BHTS)
    return used_BHTS @ v_BHSK, weights_BHTS


def attend_fused(q_BHTK, k_BHSK, v_BHSK, real_BS=None, dropout=None):
    """`attend` in one fused kernel, which never forms the weights: they are None."""
    mask = None if real_BS is None else real_BS[:, None, None, :]
    p = dropout.p if dropout is not None and dropout.training else 0.0
    mixed_BHTK = F.scaled_dot_product_attention(
        q_BHTK, k_BHSK, v_BHSK, attn_mask=mask, dropout_p=p
    )
    return mixed_BHTK, None


def gather_positions(x_BSD: Tensor, at_BT: Tensor | None) -> Tensor:
    """The vectors at the positions `at_BT` of each row, (B, T, D); None takes all."""
    if at_BT is None:
        return x_BSD
    return x_BSD.gather(1, at_BT[..., None].expand(-1, -1, x_BSD.shape[-1]))


def sinusoidal_positions(length: int, d_model: int) -> Tensor:
    """Fixed waves, one row for each position: (T, D) (Vaswani 2017, section 3.5).

    Dimension 2i holds sin(t / 10000^(2i/D)) and dimension 2i+1 the cosine.
    """
    if d_model % 2:
        raise ValueError(f"d_model is {d_model}; sine and cosine need an even number.")
    how = {"device": "cpu", "dtype": torch.float32}
    frequency = 10_000 ** (-torch.arange(0, d_model, 2, **how) / d_model)
    angle = torch.arange(length, **how)[:, None] * frequency
    positions_TD = torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
    return positions_TD


def rotate(x_BHTK: Tensor, at_BT: Tensor | None = None) -> Tensor:
    """Rotary positions: rotates each query or key by its position (Su 2021, eq. 34).

    Coordinates i and i + K/2 form a pair, which is rotated by the angle
    t / 10000^(2i/K); Su et al. pair neighbours instead. The product of a rotated query
    and a rotated key depends on positions only through their distance t - s. `at_BT`
    gives the positions; without it they are 0, 1, 2 and so on.
    """
    length, d_head = x_BHTK.shape[-2:]
    pair = torch.arange(0, d_head, 2, device=x_BHTK.device, dtype=torch.float32)
    at = torch.arange(length, device=x_BHTK.device) if at_BT is None else at_BT[:, None]
    angle = at[..., None] * 10_000 ** (-pair / d_head)
    cos, sin = angle.cos().to(x_BHTK.dtype), angle.sin().to(x_BHTK.dtype)
    first, second = x_BHTK.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


class SelfAttention(nn.Module):
    """Multi-head self-attention (Vaswani 2017, section 3.2.2).

    `dropout` acts on the attention weights, `rotary` rotates queries and keys by their
    position, and `fused` selects the fused kernel; None selects it on a GPU only.
    """

    def __init__(self, d_model, n_heads, dropout=None, rotary=False, fused=None):
        super().__init__()
        if d_model % n_heads or (rotary and d_model // n_heads % 2):
            raise ValueError(
                f"d_model {d_model} does not divide into {n_heads} heads of equal"
                f"{', even' if rotary else ''} size; choose another number of heads."
            )
        self.n_heads, self.rotary, self.fused = n_heads, rotary, fused
        self.query = nn.Linear(d_model, d_model)
        self.key = nn.Linear(d_model, d_model)
        self.value = nn.Linear(d_model, d_model)
        self.output = nn.Linear(d_model, d_model)
        self.dropout = dropout

    def split_heads(self, x_BTD: Tensor) -> Tensor:
        """(B, T, D) to (B, H, T, K): splits D into heads, then brings heads first."""
        return x_BTD.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)

    def forward(self, x_BSD, real_BS=None, need_weights=False, at_BT=None):
        """Returns (B, T, D), and the weights if asked; `at_BT` limits who looks."""
        x_BTD = gather_positions(x_BSD, at_BT)
        q_BHTK = self.split_heads(self.query(x_BTD))
        k_BHSK = self.split_heads(self.key(x_BSD))
        v_BHSK = self.split_heads(self.value(x_BSD))
        if self.rotary:
            q_BHTK, k_BHSK = rotate(q_BHTK, at_BT), rotate(k_BHSK)
        fused = x_BSD.is_cuda if self.fused is None else self.fused
        mix = attend_fused if fused and not need_weights else attend
        mixed_BHTK, weights_BHTS = mix(q_BHTK, k_BHSK, v_BHSK, real_BS, self.dropout)
        mixed_BTD = mixed_BHTK.transpose(1, 2).flatten(2)
        return self.output(mixed_BTD), weights_BHTS if need_weights else None


class FastDropout(nn.Dropout):
    """Zeroes each number with probability p and scales the rest by 1 / (1 - p).

    Srivastava et al. 2014. In evaluation nothing changes. On a CPU PyTorch draws one
    random number at a time; here one draw of 64 bits decides about four numbers,
    with p rounded to a multiple of 1/65,536. `rank` and `world_size` are those of DDP:
    each process draws for the whole batch and uses its own rows, so that together the
    processes drop what a single one would.
    """

    rank, world_size = 0, 1

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda or not self.training or not self.p:
            return super().forward(x)
        count = self.world_size * x.numel()
        draws = torch.empty(math.ceil(count / 4), dtype=torch.int64, device="cpu")
        bits = draws.random_(-(2**63), None).view(torch.int16)[:count]
        own_bits = bits.view(self.world_size, *x.shape)[self.rank]
        kept = own_bits >= round(self.p * 2**16) - 2**15
        return x * (kept.to(x.dtype) / (1 - self.p))


class FeedForward(nn.Module):
    """GELU(x W₁ + b₁) W₂ + b₂ at each position (Vaswani 2017, section 3.3).

    Maps (B, T, D) to (B, T, D) through F numbers. GELU (Hendrycks 2016) as in BERT.
    """

    def __init__(self, d_model, d_ff):
        super().__init__()
        self.expand = nn.Linear(d_model, d_ff)
        self.contract = nn.Linear(d_ff, d_model)

    def forward(self, x_BTD: Tensor) -> Tensor:
        hidden_BTF = F.gelu(self.expand(x_BTD))
        return self.contract(hidden_BTF)


class EncoderBlock(nn.Module):
    """Attention, then feed-forward, each with a residual connection and LayerNorm.

    "pre":  x + f(LayerNorm(x)), which needs less care in training (Xiong et al. 2020);
    "post": LayerNorm(x + f(x)), the original order (Vaswani 2017; Devlin 2019).
    Maps (B, S, D) to (B, T, D). `dropout` acts on each f(x) before it is added.
    """

    def __init__(self, attention, feed_forward, norm="pre", dropout=None, eps=1e-5):
        super().__init__()
        if norm not in ("pre", "post"):
            raise ValueError(f"norm is {norm!r}; choose 'pre' or 'post'.")
        d_model = attention.output.out_features
        self.pre = norm == "pre"
        self.attention, self.feed_forward = attention, feed_forward
        self.attention_norm = nn.LayerNorm(d_model, eps=eps)
        self.feed_forward_norm = nn.LayerNorm(d_model, eps=eps)
        self.dropout = nn.Identity() if dropout is None else dropout

    def forward(self, x_BSD, real_BS=None, need_weights=False, at_BT=None):
        """Returns the vectors (B, T, D) and the attention weights (B, H, T, S).

        Computes all positions, or only those in `at_BT`. The weights are None unless
        `need_weights` asks for them.
        """
        how = real_BS, need_weights, at_BT
        if self.pre:
            mixed_BTD, weights_BHTS = self.attention(self.attention_norm(x_BSD), *how)
            x_BTD = gather_positions(x_BSD, at_BT) + self.dropout(mixed_BTD)
            made_BTD = self.feed_forward(self.feed_forward_norm(x_BTD))
            x_BTD = x_BTD + self.dropout(made_BTD)
        else:
            mixed_BTD, weights_BHTS = self.attention(x_BSD, *how)
            x_BTD = gather_positions(x_BSD, at_BT) + self.dropout(mixed_BTD)
            x_BTD = self.attention_norm(x_BTD)
            made_BTD = self.feed_forward(x_BTD)
            x_BTD = self.feed_forward_norm(x_BTD + self.dropout(made_BTD))
        return x_BTD, weights_BHTS
