"""The masked language model: embedding, encoder blocks, BERT's head.

One configuration covers the series' default (pre-norm, rotary positions) and BERT
itself (`ModelConfig.bert`; Devlin et al. 2019). Left out: segment embeddings and the
next-sentence head, which a single sentence does not need.

Shapes: B rows of text, T positions, D d_model, H heads, V vocabulary, N layers, M
selected positions of a row.
"""

import copy
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.layers import (
    EncoderBlock,
    FastDropout,
    FeedForward,
    SelfAttention,
    gather_positions,
    sinusoidal_positions,
)
from helpers.seeds import seeding_defaults
from helpers.settings import POSITIVE, NumberSetting, SettingError, require_settings
from helpers.tokenizer import PAD, SPECIALS

DROPOUT = NumberSetting(0, 0.999)  # 1 would leave nothing
MODEL_VALUES = {  # the ends are far beyond BERT; what lies beyond them is a slip
    "vocab_size": NumberSetting.whole(len(SPECIALS) + 1, 1_000_000),
    "max_length": NumberSetting.whole(3, 1_000_000),  # at least [CLS], a word, [SEP]
    "n_layers": NumberSetting.whole(1, 100),
    "d_model": NumberSetting.whole(1, 4_096),
    "n_heads": NumberSetting.whole(1),
    "d_ff": NumberSetting.whole(1, 100_000),
    "dropout": DROPOUT,
    "positions": ("rotary", "learned", "sinusoidal", "none"),
    "norm": ("pre", "post"),
    "norm_eps": POSITIVE,
    "tied": (True, False),
}


@dataclass(frozen=True)
class ModelConfig:
    """The sizes and choices of a model."""

    vocab_size: int = 2_000
    max_length: int = 64
    n_layers: int = 4
    d_model: int = 256
    n_heads: int = 8
    d_ff: int = 512
    dropout: float = 0.0  # of the embedding and of each sublayer's output
    attention_dropout: float | None = None  # of attention weights; None: as `dropout`
    positions: str = "rotary"  # or "learned", "sinusoidal", "none"
    norm: str = "pre"  # or "post"
    norm_eps: float = 1e-5
    tied: bool = True  # the output layer shares the token embedding's weights

    def __post_init__(self):
        require_settings(self, **MODEL_VALUES)
        if self.attention_dropout is not None:
            require_settings(self, attention_dropout=DROPOUT)
        require_model_config(self)

    @classmethod
    def bert(cls, **sizes) -> "ModelConfig":
        """BERT's choices (Devlin 2019), at this series' sizes or at those given."""
        choices = dict(positions="learned", norm="post", norm_eps=1e-12, dropout=0.1)
        return cls(**(choices | sizes))


def require_model_config(config: ModelConfig) -> None:
    """Raises SettingError for sizes that do not fit together."""
    divisors = {"rotary": 2 * config.n_heads, "sinusoidal": math.lcm(2, config.n_heads)}
    divisor = divisors.get(config.positions, config.n_heads)
    if config.d_model % divisor:
        why = f"as n_heads is {config.n_heads} and positions is {config.positions!r}"
        raise SettingError("d_model", config.d_model, f"a multiple of {divisor}, {why}")


class Embedding(nn.Module):
    """A vector for each token, plus one for a learned or sinusoidal position.

    Maps ids (B, T) to (B, T, D). Sinusoidal positions have amplitude 1, so the token
    vectors beside them are scaled by √D (Vaswani 2017, section 3.4). With post-norm, a
    LayerNorm follows, as in BERT.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.kind, self.max_length = config.positions, config.max_length
        self.token = nn.Embedding(config.vocab_size, config.d_model)
        if self.kind == "learned":
            self.position = nn.Embedding(config.max_length, config.d_model)
        if self.kind == "sinusoidal":
            waves_TD = sinusoidal_positions(config.max_length, config.d_model)
            self.register_buffer("waves_TD", waves_TD, persistent=False)
        self.norm = nn.Identity()
        if config.norm == "post":
            self.norm = nn.LayerNorm(config.d_model, eps=config.norm_eps)
        self.dropout = FastDropout(config.dropout)

    def forward(self, ids_BT: Tensor) -> Tensor:
        x_BTD = self.token(ids_BT)
        length, d_model = x_BTD.shape[1:]
        if length > self.max_length:
            raise ValueError(
                f"{length} tokens are more than max_length {self.max_length}; "
                "shorten the text."
            )
        if self.kind == "learned":
            x_BTD = x_BTD + self.position.weight[:length]
        if self.kind == "sinusoidal":
            x_BTD = x_BTD * d_model**0.5 + self.waves_TD[:length]
        return self.dropout(self.norm(x_BTD))


class MaskedWordHead(nn.Module):
    """BERT's head: scores every word of the vocabulary at each position.

    Linear, GELU and LayerNorm, then a dot product with each word's vector, plus a bias.
    Maps (..., D) to logits (..., V).
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.transform = nn.Linear(config.d_model, config.d_model)
        self.norm = nn.LayerNorm(config.d_model, eps=config.norm_eps)
        self.decoder = nn.Linear(config.d_model, config.vocab_size)

    def forward(self, hidden_BMD: Tensor) -> Tensor:
        return self.decoder(self.norm(F.gelu(self.transform(hidden_BMD))))


def build_model_block(config: ModelConfig) -> EncoderBlock:
    """Builds one encoder block according to the configuration."""
    p = config.dropout if config.attention_dropout is None else config.attention_dropout
    rotary, dropout = config.positions == "rotary", FastDropout(config.dropout)
    attention = SelfAttention(config.d_model, config.n_heads, FastDropout(p), rotary)
    feed_forward = FeedForward(config.d_model, config.d_ff)
    return EncoderBlock(attention, feed_forward, config.norm, dropout, config.norm_eps)


def initialise(module: nn.Module) -> None:
    """Draws weights from N(0, 0.02²), as BERT does, and sets biases to 0."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


class MaskedLanguageModel(nn.Module):
    """Predicts masked words from the words on both sides (Devlin 2019)."""

    @seeding_defaults()  # so that a seed gives the same weights everywhere
    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.embedding = Embedding(config)
        self.blocks = nn.ModuleList(
            build_model_block(config) for _ in range(config.n_layers)
        )
        self.norm = nn.Identity()
        if config.norm == "pre":  # its encoder blocks end without a LayerNorm
            self.norm = nn.LayerNorm(config.d_model, eps=config.norm_eps)
        self.head = MaskedWordHead(config)
        if config.tied:
            self.head.decoder.weight = self.embedding.token.weight
        self.apply(initialise)

    def forward(self, ids_BT, at_BM=None, need_weights=False):
        """Returns logits (B, T, V), or (B, M, V) at the positions `at_BM` alone.

        With `need_weights` it also returns all attention weights (B, N, H, T, S). No
        word looks at [PAD]. Raises ValueError for more than `max_length` tokens.
        """
        real_BT = ids_BT != PAD
        # Without padding there is nothing to hide, and attention is faster unmasked.
        mask_BS = None if real_BT.all() else real_BT
        x_BTD, weights = self.embedding(ids_BT), []
        for block in self.blocks:
            # Nothing reads the other positions after the last block, so it skips them.
            early = block is self.blocks[-1] and not need_weights
            at_BT = at_BM if early else None
            x_BTD, weights_BHTS = block(x_BTD, mask_BS, need_weights, at_BT)
            weights.append(weights_BHTS)
        hidden_BTD = gather_positions(x_BTD, at_BM) if need_weights else x_BTD
        logits = self.head(self.norm(hidden_BTD))
        return (logits, torch.stack(weights, dim=1)) if need_weights else logits


def require_model_vocabulary(model, tokenizer) -> None:
    """Raises ValueError if tokenizer and model differ in their number of words."""
    if len(tokenizer) != model.config.vocab_size:
        raise ValueError(
            f"The tokenizer has {len(tokenizer):,} words, but the model has vocab_size "
            f"{model.config.vocab_size:,}; load the two that were saved together."
        )


def shallow_model_copy(module: nn.Module) -> nn.Module:
    """Copies a module and its submodules, which go on sharing weights and hooks.

    The original may be in use elsewhere: it does not notice when the copy changes its
    mode or gets another submodule.
    """
    # A compiled module wraps the one that is copied.
    copied = copy.copy(getattr(module, "_orig_mod", module))
    copied._modules = {
        name: child if child is None else shallow_model_copy(child)
        for name, child in copied._modules.items()
    }
    return copied
