"""Known libraries' models beside ours: the same weights, the same step, shown equal.

transformers' BertForMaskedLM (eager and sdpa attention), nn.TransformerEncoder and
x-transformers. Each is built as its users would build it; our configuration follows it,
and our weights are copied into it. `compare` in studies.speed.steps makes sure that in
float64 the losses and all gradients of both agree. `Peer.differs` says what was left
out for that. Besides:

- The others compute the head at all positions and ignore all but the masked ones, as
  their users do; ours computes the head, and the last block, at masked positions only.
- nn.TransformerEncoder has no embedding and no head, so it takes ours.
- x-transformers' `flash` option is on; without it the softmax is always in float32.

Shapes: B blocks, T positions, M masked positions of a block, D d_model, V vocabulary.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.masking import IGNORE, mlm_loss
from helpers.model import Embedding, MaskedLanguageModel, MaskedWordHead, ModelConfig
from interop.export import export_config
from interop.weight_names import BERT
from interop.weight_names import their_weight_name as their_name


@dataclass(frozen=True)
class Batch:
    """Inputs and labels (B, T); the masked positions and their labels (B, M)."""

    inputs_BT: Tensor
    labels_BT: Tensor
    at_BM: Tensor
    labels_BM: Tensor
    count: int


def our_loss(model, batch: Batch) -> Tensor:
    """The loss of training; in float64 without mlm_loss, which computes in float32."""
    logits_BMV = model(batch.inputs_BT, batch.at_BM)
    if logits_BMV.dtype == torch.float64:
        return F.cross_entropy(logits_BMV.flatten(0, 1), batch.labels_BM.flatten())
    return mlm_loss(logits_BMV, batch.labels_BM, batch.count)


def bert_loss(model, batch: Batch) -> Tensor:
    return model(input_ids=batch.inputs_BT, labels=batch.labels_BT).loss


def plain_loss(model, batch: Batch) -> Tensor:
    """Computes logits at all positions, (B, T, V), of which the masked ones count."""
    logits_BTV = model(batch.inputs_BT)
    return F.cross_entropy(
        logits_BTV.flatten(0, 1), batch.labels_BT.flatten(), ignore_index=IGNORE
    )


def build_bert(config: ModelConfig, attention: str) -> nn.Module:
    from transformers import BertConfig, BertForMaskedLM

    settings = BertConfig(**export_config(config))
    theirs = BertForMaskedLM._from_config(settings, attn_implementation=attention)
    segment = theirs.bert.embeddings.token_type_embeddings.weight
    nn.init.zeros_(segment.requires_grad_(False))
    return theirs


def build_torch(config: ModelConfig) -> nn.Module:
    """Our embedding with its positions, their encoder, our head."""
    sizes = config.d_model, config.n_heads, config.d_ff, config.dropout
    layer = nn.TransformerEncoderLayer(
        *sizes, "gelu", config.norm_eps, batch_first=True, norm_first=True
    )
    layer.dropout = nn.Identity()  # inside the feed-forward layer; BERT has none
    norm = nn.LayerNorm(config.d_model, eps=config.norm_eps)
    encoder = nn.TransformerEncoder(
        layer, config.n_layers, norm, enable_nested_tensor=False
    )
    embedding, head = Embedding(config), MaskedWordHead(config)
    embedding.dropout = nn.Dropout(config.dropout)  # PyTorch's own, as in the encoder
    head.decoder.weight = embedding.token.weight
    return nn.Sequential(embedding, encoder, head)


def build_x(config: ModelConfig) -> nn.Module:
    from x_transformers import Encoder, TransformerWrapper

    layers = Encoder(
        dim=config.d_model,
        depth=config.n_layers,
        heads=config.n_heads,
        attn_dim_head=config.d_model // config.n_heads,
        attn_flash=True,
        attn_dropout=config.dropout,
        attn_sublayer_dropout=config.dropout,
        ff_mult=config.d_ff / config.d_model,
        ff_sublayer_dropout=config.dropout,
        norm_add_unit_offset=False,
    )
    theirs = TransformerWrapper(
        num_tokens=config.vocab_size,
        max_seq_len=config.max_length,
        emb_dropout=config.dropout,
        attn_layers=layers,
        to_logits=MaskedWordHead(config),
    )
    theirs.pos_emb.scale = 1.0
    theirs.to_logits.decoder.weight = theirs.token_emb.emb.weight
    return theirs


def bert_modules(theirs, names: list[str]) -> list[nn.Module]:
    """Lists their modules that have parameters; `names` are those of ours, in order."""
    weights = [their_name(f"{name}.weight", BERT) for name in names]
    return [theirs.get_submodule(weight.rpartition(".")[0]) for weight in weights]


def torch_modules(theirs, _) -> list[nn.Module | tuple[nn.Module, int]]:
    """The same for PyTorch, which stacks queries, keys and values: each is a third."""
    embedding, encoder, head = theirs
    modules = [embedding.token, embedding.position]
    for layer in encoder.layers:
        modules += [(layer.self_attn, third) for third in range(3)]
        modules += [layer.self_attn.out_proj, layer.linear1, layer.linear2]
        modules += [layer.norm1, layer.norm2]
    return [*modules, encoder.norm, *head.children()]


def x_modules(theirs, _) -> list[nn.Module]:
    """The same for x-transformers, where attention and feed-forward are two layers."""
    modules = [theirs.token_emb.emb, theirs.pos_emb.emb]
    layers = theirs.attn_layers.layers
    for attending, feeding in zip(layers[0::2], layers[1::2], strict=True):
        (norm, *_), attention, _ = attending
        (other_norm, *_), feed_forward, _ = feeding
        modules += [attention.to_q, attention.to_k, attention.to_v, attention.to_out]
        modules += [feed_forward.ff[0][0], feed_forward.ff[2], norm, other_norm]
    return [*modules, theirs.attn_layers.final_norm, *theirs.to_logits.children()]


LEARNED = partial(ModelConfig, positions="learned")
OURS = {  # as each peer is
    "ours as BERT": ModelConfig.bert,
    "ours pre-norm": LEARNED,
    "ours, no bias": LEARNED,
}


@dataclass(frozen=True)
class Peer:
    """Another library's model, and the name of ours that is built like it."""

    beside: str
    build: Callable[[ModelConfig], nn.Module]
    modules: Callable[[nn.Module, list[str]], list]
    differs: str  # what was left out of either side to make both identical
    loss: Callable[[nn.Module, Batch], Tensor] = plain_loss


PEERS = {
    f"BertForMaskedLM, {attention}": Peer(
        "ours as BERT",
        partial(build_bert, attention=attention),
        bert_modules,
        "theirs: segment vectors (one is left, zero and not trained)",
        bert_loss,
    )
    for attention in ("eager", "sdpa")
} | {
    "nn.TransformerEncoder": Peer(
        "ours pre-norm",
        build_torch,
        torch_modules,
        "ours: rotary positions (learned instead); "
        "theirs: dropout inside the feed-forward layer",
    ),
    "x-transformers": Peer(
        "ours, no bias",
        build_x,
        x_modules,
        "ours: rotary positions (learned instead), biases of attention and, outside "
        "the head, of LayerNorm; theirs: the output layer (our head instead), the "
        "position vectors' scale 1 / √D",
    ),
}


def drop_biases(model: MaskedLanguageModel) -> None:
    """Leaves out the biases of attention and, outside the head, of LayerNorm."""
    modules = [model.norm]
    for block in model.blocks:
        modules += [block.attention_norm, block.feed_forward_norm]
        modules += [m for m in block.attention.children() if isinstance(m, nn.Linear)]
    for module in modules:
        module.register_parameter("bias", None)


@torch.no_grad()
def build_ours(name: str, **sizes) -> MaskedLanguageModel:
    """Builds ours and moves each weight a little: a bias of 0 would hide mistakes."""
    torch.manual_seed(0)
    model = MaskedLanguageModel(OURS[name](**sizes))
    if name == "ours, no bias":
        drop_biases(model)
    for p in model.parameters():
        p.add_(0.02 * torch.randn_like(p))
    return model
