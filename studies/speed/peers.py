"""Known libraries' models beside ours: the same weights, the same step, shown equal.

Each is built as its users would build it; our configuration follows it, and our weights
are copied into it. The others compute the head at all positions, as their users do, and
ours at masked positions only.

Shapes: B blocks, T positions, M masked positions of a block, D d_model, V vocabulary.
"""

from collections.abc import Iterator
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
class PeerBatch:
    """Inputs and labels (B, T); the masked positions and their labels (B, M)."""

    inputs_BT: Tensor
    labels_BT: Tensor
    at_BM: Tensor
    labels_BM: Tensor
    count: int


LEARNED = partial(ModelConfig, positions="learned")
OURS = {  # as each peer is
    "ours as BERT": ModelConfig.bert,
    "ours pre-norm": LEARNED,
    "ours, no bias": LEARNED,
}


@torch.no_grad()
def build_as_peer(name: str, **sizes) -> MaskedLanguageModel:
    """Builds ours and moves each weight a little: a bias of 0 would hide mistakes."""
    torch.manual_seed(0)
    model = MaskedLanguageModel(OURS[name](**sizes))
    if name == "ours, no bias":  # in attention and, outside the head, in LayerNorm
        for place, module in model.named_modules():
            keeps = place.startswith("head.") or ".feed_forward." in place
            if hasattr(module, "bias") and not keeps:
                module.register_parameter("bias", None)
    for p in model.parameters():
        p.add_(0.02 * torch.randn_like(p))
    return model


def loss_beside_peer(model, batch: PeerBatch) -> Tensor:
    """Our loss of training; in float64 without mlm_loss, which computes in float32."""
    logits_BMV = model(batch.inputs_BT, batch.at_BM)
    if logits_BMV.dtype == torch.float64:
        return F.cross_entropy(logits_BMV.flatten(0, 1), batch.labels_BM.flatten())
    return mlm_loss(logits_BMV, batch.labels_BM, batch.count)


class Peer:
    """Another library's model, `beside` ours of that name, which is built like it.

    `build` returns it with new weights. `modules` lists those of its modules that have
    parameters in the order of ours, whose `names` are given.
    """

    beside: str
    differs: str  # what was left out of either side to make both identical

    def loss(self, model, batch: PeerBatch) -> Tensor:
        """Computes logits at all positions, (B, T, V), of which masked ones count."""
        logits_BTV, labels_BT = model(batch.inputs_BT), batch.labels_BT
        flat = logits_BTV.flatten(0, 1), labels_BT.flatten()
        return F.cross_entropy(*flat, ignore_index=IGNORE)

    def pairs(self, ours, theirs, of=lambda p: p.data) -> Iterator[tuple]:
        """Yields the name of each parameter, and what `of` takes from both models."""
        names = {parameter: name for name, parameter in ours.named_parameters()}
        own = {n: m for n, m in ours.named_modules() if [*m.parameters(recurse=False)]}
        others = self.modules(theirs, [*own])
        for module, other in zip(own.values(), others, strict=True):
            place, third = other if isinstance(other, tuple) else (other, None)
            there = place.parameters(recurse=False)
            for mine, whole in zip(module.parameters(), there, strict=True):
                part = of(whole) if third is None else of(whole).chunk(3)[third]
                if mine in names:  # the output layer shares the word vectors
                    yield names.pop(mine), of(mine), part

    def copy_weights(self, ours: nn.Module, theirs: nn.Module) -> None:
        """Copies our weights into theirs; AssertionError if theirs has any others."""
        for _, mine, other in self.pairs(ours, theirs):
            other.copy_(mine)
        trained = sum(p.numel() for p in theirs.parameters() if p.requires_grad)
        assert trained == sum(p.numel() for p in ours.parameters()), "not all copied"

    def build_pair(self, **sizes) -> tuple[nn.Module, nn.Module]:
        """Builds ours and theirs with the same weights."""
        ours = build_as_peer(self.beside, **sizes)
        theirs = self.build(ours.config)
        self.copy_weights(ours, theirs)
        return ours, theirs


@dataclass(frozen=True)
class BertPeer(Peer):
    attention: str

    beside = "ours as BERT"
    differs = "theirs: segment vectors (one is left, zero and not trained)"

    def build(self, config: ModelConfig) -> nn.Module:
        from transformers import BertConfig, BertForMaskedLM

        settings, how = BertConfig(**export_config(config)), self.attention
        theirs = BertForMaskedLM._from_config(settings, attn_implementation=how)
        segment = theirs.bert.embeddings.token_type_embeddings.weight
        nn.init.zeros_(segment.requires_grad_(False))
        return theirs

    def modules(self, theirs, names: list[str]) -> list[nn.Module]:
        weights = [their_name(f"{name}.weight", BERT) for name in names]
        return [theirs.get_submodule(weight.rpartition(".")[0]) for weight in weights]

    def loss(self, model, batch: PeerBatch) -> Tensor:
        return model(input_ids=batch.inputs_BT, labels=batch.labels_BT).loss


class TorchPeer(Peer):
    """Our embedding with its positions, their encoder, our head."""

    beside = "ours pre-norm"
    differs = (
        "ours: rotary positions (learned instead); "
        "theirs: dropout inside the feed-forward layer"
    )

    def build(self, config: ModelConfig) -> nn.Module:
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
        embedding.dropout = nn.Dropout(config.dropout)  # PyTorch's, as in the encoder
        head.decoder.weight = embedding.token.weight
        return nn.Sequential(embedding, encoder, head)

    def modules(self, theirs, _) -> list[nn.Module | tuple[nn.Module, int]]:
        """Queries, keys and values are stacked there: each is a third."""
        embedding, encoder, head = theirs
        modules = [embedding.token, embedding.position]
        for layer in encoder.layers:
            modules += [(layer.self_attn, third) for third in range(3)]
            modules += [layer.self_attn.out_proj, layer.linear1, layer.linear2]
            modules += [layer.norm1, layer.norm2]
        return [*modules, encoder.norm, *head.children()]


class XPeer(Peer):
    beside = "ours, no bias"
    differs = (
        "ours: rotary positions (learned instead), biases of attention and, outside "
        "the head, of LayerNorm; theirs: the output layer (our head instead), the "
        "position vectors' scale 1 / √D"
    )

    def build(self, config: ModelConfig) -> nn.Module:
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

    def modules(self, theirs, _) -> list[nn.Module]:
        """Attention and feed-forward are two layers there."""
        modules = [theirs.token_emb.emb, theirs.pos_emb.emb]
        layers = theirs.attn_layers.layers
        for attending, feeding in zip(layers[0::2], layers[1::2], strict=True):
            (norm, *_), attention, _ = attending
            (other_norm, *_), feed, _ = feeding
            modules += [attention.to_q, attention.to_k, attention.to_v]
            modules += [attention.to_out, feed.ff[0][0], feed.ff[2], norm, other_norm]
        return [*modules, theirs.attn_layers.final_norm, *theirs.to_logits.children()]


PEERS = {
    "BertForMaskedLM, eager": BertPeer("eager"),
    "BertForMaskedLM, sdpa": BertPeer("sdpa"),
    "nn.TransformerEncoder": TorchPeer(),
    "x-transformers": XPeer(),
}
