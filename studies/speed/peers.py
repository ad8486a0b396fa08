"""Known libraries' models beside ours: the same weights, the same step, shown equal.

transformers' BertForMaskedLM (eager and sdpa attention), nn.TransformerEncoder and
x-transformers. Each is built as its users would; our configuration follows it, and
its weights are copied from ours. `compare` makes sure that the losses and all gradients
of both agree in float64. `Peer.differs` says what was left out for that. Besides:

- The others compute the head at all positions and ignore all but those asked, as their
  users do; ours computes it, and the last block, only where a word is asked.
- nn.TransformerEncoder has no embedding and no head, so it takes ours.
- x-transformers' `flash` option is on; without it the softmax is always in float32.

Shapes: B blocks, T positions, M positions asked, D d_model, V vocabulary.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.masking import IGNORE, mlm_loss
from helpers.model import MaskedLanguageModel, MaskedWordHead, ModelConfig

# Where BertForMaskedLM, TorchEncoder and x-transformers keep our modules; those of a
# block begin as in the first line. * weight or bias, {n} the block, @ a third of a
# stacked matrix. x-transformers counts attention and feed-forward as layers {a}, {f}.
PLACES = """
block bert.encoder.layer.{n}. encoder.layers.{n}. attn_layers.layers.

embedding.token    bert.embeddings.word_embeddings.*     token.*    token_emb.emb.*
embedding.position bert.embeddings.position_embeddings.* position.* pos_emb.emb.*
embedding.norm     bert.embeddings.LayerNorm.*           -          -

attention.query       attention.self.query.*       self_attn.in_proj_*@0 {a}.1.to_q.*
attention.key         attention.self.key.*         self_attn.in_proj_*@1 {a}.1.to_k.*
attention.value       attention.self.value.*       self_attn.in_proj_*@2 {a}.1.to_v.*
attention.output      attention.output.dense.*     self_attn.out_proj.*  {a}.1.to_out.*
attention_norm        attention.output.LayerNorm.* norm1.*               {a}.0.0.gamma
feed_forward.expand   intermediate.dense.*         linear1.*             {f}.1.ff.0.0.*
feed_forward.contract output.dense.*               linear2.*             {f}.1.ff.2.*
feed_forward_norm     output.LayerNorm.*           norm2.*               {f}.0.0.gamma

norm           - encoder.norm.* attn_layers.final_norm.gamma
head.transform cls.predictions.transform.dense.* head.transform.* to_logits.transform.*
head.norm      cls.predictions.transform.LayerNorm.* head.norm.*  to_logits.norm.*
head.decoder   cls.predictions.decoder.*         head.decoder.*   to_logits.decoder.*
"""
ROWS = [line.split() for line in PLACES.splitlines() if line]
BERT, TORCH, X = ({row[0]: row[column] for row in ROWS} for column in (1, 2, 3))
OUR_NAME = re.compile(r"(?:blocks\.(\d+)\.)?(.+)\.(\w+)")  # block, module, kind


@dataclass(frozen=True)
class Batch:
    """Inputs and labels (B, T); where words are asked and their labels (B, M)."""

    inputs_BT: Tensor
    labels_BT: Tensor
    at_BM: Tensor
    labels_BM: Tensor
    count: int


def our_loss(model, batch: Batch) -> Tensor:
    """As in training. In float64 without mlm_loss, which computes in float32."""
    logits_BMV = model(batch.inputs_BT, batch.at_BM)
    if logits_BMV.dtype == torch.float64:
        return F.cross_entropy(logits_BMV.flatten(0, 1), batch.labels_BM.flatten())
    return mlm_loss(logits_BMV, batch.labels_BM, batch.count)


def bert_loss(model, batch: Batch) -> Tensor:
    return model(input_ids=batch.inputs_BT, labels=batch.labels_BT).loss


def plain_loss(model, batch: Batch) -> Tensor:
    """Logits everywhere, (B, T, V), and all but the asked ones ignored."""
    logits_BTV = model(batch.inputs_BT)
    return F.cross_entropy(
        logits_BTV.flatten(0, 1), batch.labels_BT.flatten(), ignore_index=IGNORE
    )


def like_bert(**sizes) -> MaskedLanguageModel:
    return MaskedLanguageModel(ModelConfig.bert(**sizes))


def like_torch(**sizes) -> MaskedLanguageModel:
    return MaskedLanguageModel(ModelConfig(positions="learned", norm="pre", **sizes))


def like_x(**sizes) -> MaskedLanguageModel:
    """Without the biases of attention and LayerNorm; the head keeps its own."""
    model = like_torch(**sizes)
    for name, module in [*model.blocks.named_modules(), ("norm", model.norm)]:
        if name.endswith("norm") or re.search(r"attention\.[a-z]+$", name):
            module.register_parameter("bias", None)
    return model


def build_bert(config: ModelConfig, attention: str) -> nn.Module:
    from transformers import BertConfig, BertForMaskedLM

    settings = BertConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.d_model,
        num_hidden_layers=config.n_layers,
        num_attention_heads=config.n_heads,
        intermediate_size=config.d_ff,
        max_position_embeddings=config.max_length,
        hidden_dropout_prob=config.dropout,
        attention_probs_dropout_prob=config.dropout,
        type_vocab_size=1,
    )
    theirs = BertForMaskedLM._from_config(settings, attn_implementation=attention)
    segment = theirs.bert.embeddings.token_type_embeddings.weight
    nn.init.zeros_(segment.requires_grad_(False))
    return theirs


class TorchEncoder(nn.Module):
    """nn.TransformerEncoder between an embedding with positions and our head."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        sizes = config.d_model, config.n_heads, config.d_ff, config.dropout
        layer = nn.TransformerEncoderLayer(
            *sizes, "gelu", config.norm_eps, batch_first=True, norm_first=True
        )
        layer.dropout = nn.Identity()  # inside the feed-forward layer; BERT has none
        norm = nn.LayerNorm(config.d_model, eps=config.norm_eps)
        self.token = nn.Embedding(config.vocab_size, config.d_model)
        self.position = nn.Embedding(config.max_length, config.d_model)
        self.dropout = nn.Dropout(config.dropout)
        self.encoder = nn.TransformerEncoder(
            layer, config.n_layers, norm, enable_nested_tensor=False
        )
        self.head = MaskedWordHead(config)
        self.head.decoder.weight = self.token.weight

    def forward(self, ids_BT: Tensor) -> Tensor:
        x_BTD = self.token(ids_BT) + self.position.weight[: ids_BT.shape[1]]
        return self.head(self.encoder(self.dropout(x_BTD)))


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


@dataclass(frozen=True)
class Peer:
    """Another library's model, and the name of the one of ours that is like it."""

    beside: str
    build: Callable[[ModelConfig], nn.Module]
    places: dict[str, str]  # where it keeps our weights
    differs: str  # what was left out of either side to make both identical
    loss: Callable[[nn.Module, Batch], Tensor] = plain_loss


OURS = {"ours as BERT": like_bert, "ours pre-norm": like_torch, "ours, no bias": like_x}
PEERS = {
    f"BertForMaskedLM, {attention}": Peer(
        "ours as BERT",
        partial(build_bert, attention=attention),
        BERT,
        "theirs: segment vectors (one is left, zero and not trained)",
        bert_loss,
    )
    for attention in ("eager", "sdpa")
} | {
    "nn.TransformerEncoder": Peer(
        "ours pre-norm",
        TorchEncoder,
        TORCH,
        "ours: rotary positions (learned instead); "
        "theirs: dropout inside the feed-forward layer",
    ),
    "x-transformers": Peer(
        "ours, no bias",
        build_x,
        X,
        "ours: rotary positions (learned instead), biases of attention and, outside "
        "the head, of LayerNorm; theirs: the output layer (our head instead), the "
        "position vectors' scale 1 / √D",
    ),
}


def pairs(ours, theirs, peer: Peer, of=lambda p: p.data) -> Iterator[tuple]:
    """Name, ours and theirs of each parameter: its numbers, or what `of` returns."""
    for name, parameter in ours.named_parameters():
        n, module, kind = OUR_NAME.fullmatch(name).groups()
        place = peer.places[module].replace("*", kind)
        if n is not None:
            place = peer.places["block"] + place
            place = place.format(n=n, a=2 * int(n), f=2 * int(n) + 1)
        place, _, third = place.partition("@")
        other = of(theirs.get_parameter(place))
        yield name, of(parameter), other.chunk(3)[int(third)] if third else other


def copy_weights(ours: nn.Module, theirs: nn.Module, peer: Peer) -> None:
    """Writes our weights into theirs, and makes sure that it was all of theirs."""
    for _, mine, other in pairs(ours, theirs, peer):
        other.copy_(mine)
    trained = sum(p.numel() for p in theirs.parameters() if p.requires_grad)
    assert trained == sum(p.numel() for p in ours.parameters()), "not all was copied"


@torch.no_grad()
def build_ours(name: str, **sizes) -> MaskedLanguageModel:
    """Ours, each weight moved a little: biases start at 0, which would hide much."""
    torch.manual_seed(0)
    model = OURS[name](**sizes)
    for p in model.parameters():
        p.add_(0.02 * torch.randn_like(p))
    return model


def build_pair(peer: Peer, **sizes) -> tuple[nn.Module, nn.Module]:
    """Ours and theirs with the same weights."""
    ours = build_ours(peer.beside, **sizes)
    theirs = peer.build(ours.config)
    copy_weights(ours, theirs, peer)
    return ours, theirs


def compare(ours: nn.Module, theirs: nn.Module, peer: Peer, batch: Batch) -> dict:
    """Loss and every gradient of both in float64. Raises AssertionError if unequal."""
    losses = []
    for model, loss_of in ((ours, our_loss), (theirs, peer.loss)):
        model.double().zero_grad()
        losses.append(loss_of(model, batch))
        losses[-1].backward()
    mine, other = losses
    torch.testing.assert_close(other, mine, rtol=1e-9, atol=0)
    gaps = []
    for name, want, grad in pairs(ours, theirs, peer, lambda p: p.grad):
        # Softmax does not see the same number added to all, so key biases get none.
        assert want.any() or name.endswith("key.bias"), f"{name} has no gradient"
        torch.testing.assert_close(
            grad, want, rtol=1e-7, atol=1e-12, msg=lambda m, name=name: f"{name}: {m}"
        )
        gaps.append((grad - want).abs().max().item())
    gap = abs(mine.item() - other.item()) / mine.item()
    found = {"identical": True, "differs": peer.differs, "gradients": len(gaps)}
    return found | {"loss": mine.item(), "loss_gap": gap, "gradient_gap": max(gaps)}


def equality(batch: Batch, **sizes) -> dict[str, dict]:
    """Every peer against ours on this batch, without dropout, in float64."""
    found, device = {}, batch.inputs_BT.device
    for name, peer in PEERS.items():
        ours, theirs = build_pair(peer, dropout=0.0, **sizes)
        found[name] = compare(ours.to(device), theirs.to(device), peer, batch)
    return found
