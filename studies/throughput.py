"""One training step of ours beside the same step of three known libraries.

transformers' BertForMaskedLM (eager and sdpa attention), nn.TransformerEncoder and
x-transformers. Each is built as its users would; our configuration follows it, and
its weights are copied from ours. Before anything is timed, the losses and all gradients
of both must agree in float64. Where they differ on purpose:

- The others compute the head at all positions and ignore all but those asked, as their
  users do; ours computes it, and the last block, only where a word is asked.
- BertForMaskedLM has one segment vector, zero and not trained: we have none.
- nn.TransformerEncoder has no embedding and no head, so it takes ours, and its dropout
  inside the feed-forward layer, which BERT does not have, is taken out.
- x-transformers takes our head. It has no biases in attention and LayerNorm, so ours go
  without. Its `flash` option is on; without it the softmax is always in float32. Its
  own scale of the position vectors, 1 / √D, is set to 1.

    python -m studies.throughput [--compile] [--table] [--out PATH]

Shapes: B blocks, T positions, M positions asked, D d_model.
"""

import argparse
import itertools
import os
import re
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers import ROOT
from helpers.masking import IGNORE, asked, mask_tokens, mlm_loss
from helpers.model import MaskedLanguageModel, MaskedWordHead, ModelConfig
from helpers.record import hardware, read, write
from helpers.tokenizer import CLS, SPECIALS, UNK

UNKNOWN, MASK_RATE = 0.26, 0.15  # the share of [UNK] in the training text, and asked
WARM_UP = 2  # steps before the clock runs

# Where a peer keeps our modules: {kind} weight or bias, {n} the block, @ a third of a
# stacked matrix. x-transformers counts attention and feed-forward as layers {a}, {f}.
HEAD = {f"head.{x}": f"head.{x}.{{kind}}" for x in ("transform", "norm", "decoder")}
BERT_LAYER, TORCH_LAYER = "bert.encoder.layer.{n}.", "encoder.layers.{n}."
X_LAYERS = "attn_layers.layers."
BERT_PLACES = {
    "embedding.token": "bert.embeddings.word_embeddings.{kind}",
    "embedding.position": "bert.embeddings.position_embeddings.{kind}",
    "embedding.norm": "bert.embeddings.LayerNorm.{kind}",
    "attention.query": BERT_LAYER + "attention.self.query.{kind}",
    "attention.key": BERT_LAYER + "attention.self.key.{kind}",
    "attention.value": BERT_LAYER + "attention.self.value.{kind}",
    "attention.output": BERT_LAYER + "attention.output.dense.{kind}",
    "attention_norm": BERT_LAYER + "attention.output.LayerNorm.{kind}",
    "feed_forward.expand": BERT_LAYER + "intermediate.dense.{kind}",
    "feed_forward.contract": BERT_LAYER + "output.dense.{kind}",
    "feed_forward_norm": BERT_LAYER + "output.LayerNorm.{kind}",
    "head.transform": "cls.predictions.transform.dense.{kind}",
    "head.norm": "cls.predictions.transform.LayerNorm.{kind}",
    "head.decoder": "cls.predictions.decoder.{kind}",
}
TORCH_PLACES = HEAD | {
    "embedding.token": "token.{kind}",
    "embedding.position": "position.{kind}",
    "attention.query": TORCH_LAYER + "self_attn.in_proj_{kind}@0",
    "attention.key": TORCH_LAYER + "self_attn.in_proj_{kind}@1",
    "attention.value": TORCH_LAYER + "self_attn.in_proj_{kind}@2",
    "attention.output": TORCH_LAYER + "self_attn.out_proj.{kind}",
    "attention_norm": TORCH_LAYER + "norm1.{kind}",
    "feed_forward.expand": TORCH_LAYER + "linear1.{kind}",
    "feed_forward.contract": TORCH_LAYER + "linear2.{kind}",
    "feed_forward_norm": TORCH_LAYER + "norm2.{kind}",
    "norm": "encoder.norm.{kind}",
}
X_PLACES = {
    name: place.replace("head", "to_logits") for name, place in HEAD.items()
} | {
    "embedding.token": "token_emb.emb.{kind}",
    "embedding.position": "pos_emb.emb.{kind}",
    "attention.query": X_LAYERS + "{a}.1.to_q.{kind}",
    "attention.key": X_LAYERS + "{a}.1.to_k.{kind}",
    "attention.value": X_LAYERS + "{a}.1.to_v.{kind}",
    "attention.output": X_LAYERS + "{a}.1.to_out.{kind}",
    "attention_norm": X_LAYERS + "{a}.0.0.gamma",
    "feed_forward.expand": X_LAYERS + "{f}.1.ff.0.0.{kind}",
    "feed_forward.contract": X_LAYERS + "{f}.1.ff.2.{kind}",
    "feed_forward_norm": X_LAYERS + "{f}.0.0.gamma",
    "norm": "attn_layers.final_norm.gamma",
}


@dataclass(frozen=True)
class Batch:
    """Inputs and labels (B, T); where words are asked and their labels (B, M)."""

    inputs_BT: Tensor
    labels_BT: Tensor
    at_BM: Tensor
    labels_BM: Tensor
    count: int


def make_batch(blocks: int, config: ModelConfig, device="cpu", seed=0) -> Batch:
    """Random words as rare words leave them, [CLS] first, masked once and for all."""
    generator = torch.Generator().manual_seed(seed)
    shape = blocks, config.max_length
    ids_BT = torch.randint(len(SPECIALS), config.vocab_size, shape, generator=generator)
    ids_BT[torch.rand(shape, generator=generator) < UNKNOWN] = UNK
    ids_BT[:, 0] = CLS
    masked = mask_tokens(ids_BT, config.vocab_size, MASK_RATE, generator, fixed=True)
    tensors = [rows.to(device) for rows in (*masked, *asked(masked[1]))]
    return Batch(*tensors, count=int((masked[1] != IGNORE).sum()))


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

    theirs = BertForMaskedLM._from_config(
        BertConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.d_model,
            num_hidden_layers=config.n_layers,
            num_attention_heads=config.n_heads,
            intermediate_size=config.d_ff,
            max_position_embeddings=config.max_length,
            hidden_dropout_prob=config.dropout,
            attention_probs_dropout_prob=config.dropout,
            type_vocab_size=1,
        ),
        attn_implementation=attention,
    )
    segment = theirs.bert.embeddings.token_type_embeddings.weight
    nn.init.zeros_(segment.requires_grad_(False))
    return theirs


class TorchEncoder(nn.Module):
    """nn.TransformerEncoder between an embedding with positions and our head."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            config.d_model,
            config.n_heads,
            config.d_ff,
            config.dropout,
            activation="gelu",
            layer_norm_eps=config.norm_eps,
            batch_first=True,
            norm_first=True,
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
    """Another library's model: ours like it, its own, where it keeps our weights."""

    ours: Callable[..., MaskedLanguageModel]
    build: Callable[[ModelConfig], nn.Module]
    places: dict[str, str]
    loss: Callable[[nn.Module, Batch], Tensor]


def build_eager(config):
    return build_bert(config, "eager")


def build_sdpa(config):
    return build_bert(config, "sdpa")


PEERS = {
    "BertForMaskedLM, eager": Peer(like_bert, build_eager, BERT_PLACES, bert_loss),
    "BertForMaskedLM, sdpa": Peer(like_bert, build_sdpa, BERT_PLACES, bert_loss),
    "nn.TransformerEncoder": Peer(like_torch, TorchEncoder, TORCH_PLACES, plain_loss),
    "x-transformers": Peer(like_x, build_x, X_PLACES, plain_loss),
}
OURS = {like_bert: "ours as BERT", like_torch: "ours pre-norm", like_x: "ours, no bias"}


def pairs(ours: nn.Module, theirs: nn.Module, peer: Peer):
    """Each parameter of ours, its name, theirs, and the third of theirs or None."""
    for name, parameter in ours.named_parameters():
        n, module, kind = re.fullmatch(
            r"(?:blocks\.(\d+)\.)?(.+)\.(\w+)", name
        ).groups()
        n = int(n or 0)
        place = peer.places[module].format(kind=kind, n=n, a=2 * n, f=2 * n + 1)
        place, _, third = place.partition("@")
        yield (
            parameter,
            name,
            theirs.get_parameter(place),
            int(third) if third else None,
        )


def part(whole: Tensor, third: int | None) -> Tensor:
    return whole if third is None else whole.chunk(3)[third]


@torch.no_grad()
def copy_weights(ours: nn.Module, theirs: nn.Module, peer: Peer) -> None:
    """Writes our weights into theirs, and makes sure that it was all of theirs."""
    for mine, _, whole, third in pairs(ours, theirs, peer):
        part(whole, third).copy_(mine)
    trained = sum(p.numel() for p in theirs.parameters() if p.requires_grad)
    assert trained == sum(p.numel() for p in ours.parameters()), "not all was copied"


def build_ours(like: Callable, **sizes) -> MaskedLanguageModel:
    """Ours, each weight moved a little: biases start at 0, which would hide much."""
    torch.manual_seed(0)
    model = like(**sizes)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.02 * torch.randn_like(p))
    return model


def build_pair(peer: Peer, **sizes) -> tuple[nn.Module, nn.Module]:
    """Ours and theirs with the same weights."""
    ours = build_ours(peer.ours, **sizes)
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
    for parameter, name, whole, third in pairs(ours, theirs, peer):
        grad, want = part(whole.grad, third), parameter.grad
        # Softmax does not see the same number added to all, so key biases get none.
        assert want.any() or name.endswith("key.bias"), f"{name} has no gradient"
        torch.testing.assert_close(
            grad, want, rtol=1e-7, atol=1e-12, msg=lambda m, name=name: f"{name}: {m}"
        )
        gaps.append((grad - want).abs().max().item())
    gap = abs(mine.item() - other.item()) / mine.item()
    found = {"loss": mine.item(), "loss_gap": gap, "gradient_gap": max(gaps)}
    return {"identical": True, "gradients": len(gaps)} | found


def equality(device="cpu", blocks=4, **sizes) -> dict[str, dict]:
    """Every peer against ours, without dropout, in float64."""
    found = {}
    for name, peer in PEERS.items():
        ours, theirs = build_pair(peer, dropout=0.0, **sizes)
        batch = make_batch(blocks, ours.config, device)
        found[name] = compare(ours.to(device), theirs.to(device), peer, batch)
    return found


def training_step(model, loss_of, batch: Batch, precision: str) -> Callable:
    """Forward, backward, clip, AdamW: the step to be timed, on this batch."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.1, fused=True)
    device = batch.inputs_BT.device.type

    def step(batch: Batch = batch) -> None:
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            loss = loss_of(model, batch)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def contestant(name: str, device: str, **sizes) -> tuple[nn.Module, Callable]:
    """The model of that name in training mode, and its loss."""
    for like, label in OURS.items():
        if name == label:
            return build_ours(like, **sizes).to(device).train(), our_loss
    peer = PEERS[name]
    return build_pair(peer, **sizes)[1].to(device).train(), peer.loss


def seconds_of(step: Callable[[], None], device: str) -> float:
    """How long one step takes, to its end on the device too."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    step()
    wait()
    return time.perf_counter() - start


def take_turns(steps: dict, rounds: int, limit: float, device: str) -> dict[str, list]:
    """One step each, in turn, after warming up; at least 3 rounds if `limit` passes."""
    found, start = {name: [] for name in steps}, time.perf_counter()
    for done in range(-WARM_UP, rounds):
        if done >= 3 and time.perf_counter() - start > limit:
            break
        for name, step in steps.items():
            seconds = seconds_of(step, device)
            if done >= 0:
                found[name].append(seconds)
    return found


def spread(numbers: list[float]) -> list[float]:
    """Lower quartile, median, upper quartile."""
    quarters = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
    return torch.tensor(numbers, dtype=torch.float64).quantile(quarters).tolist()


def race(cell: dict, rounds, limit, device, compiled=False, **sizes) -> list[dict]:
    """One cell of the grid: all contestants, and what each took beside ours."""
    steps, batch = {}, None
    torch.compiler.reset()  # else it gives up after the 8th model of a kind
    for name in [*OURS.values(), *PEERS]:
        model, loss_of = contestant(name, device, dropout=cell["dropout"], **sizes)
        if batch is None:
            config = model.config
            batch = make_batch(cell["tokens"] // config.max_length, config, device)
        for fast in (False, True) if compiled else (False,):
            model = torch.compile(model) if fast else model
            label = name, fast
            steps[label] = training_step(model, loss_of, batch, cell["precision"])
    found, rows = take_turns(steps, rounds, limit, device), []
    for (name, fast), seconds in found.items():
        beside = OURS[PEERS[name].ours] if name in PEERS else name
        pace = zip(seconds, found[beside, fast], strict=True)
        low, middle, high = spread([1e3 * s for s in seconds])
        entry = {"contestant": name, "compiled": fast, "beside": beside, "ms": middle}
        entry |= {"ms_quartiles": [low, high], "rounds": len(seconds)}
        entry |= {"tokens_per_second": 1e3 * cell["tokens"] / middle}
        low, middle, high = spread([theirs / ours for theirs, ours in pace])
        entry |= {"ratio": middle, "ratio_quartiles": [low, high]}
        rows.append(cell | entry)
    return rows


def resident(what: str) -> int | None:
    """This process's memory in bytes, now (VmRSS) or at most (VmHWM). Linux only.

    Not getrusage: its ru_maxrss starts at the peak of the process that started this.
    """
    with suppress(FileNotFoundError):
        text = Path("/proc/self/status").read_text()
        return 1024 * int(re.search(rf"{what}:\s+(\d+)", text)[1])
    return None


def peak_of(step: Callable[[], None], device: str) -> float | None:
    """What a step takes at most, in MB, beyond what lies there before it.

    Weights and AdamW's averages lie there, so this is activations, gradients and what
    the operators need beside them. To be called in a fresh process.
    """
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    before = resident("VmRSS")
    step()
    return None if before is None else (resident("VmHWM") - before) / 1e6


def peak_memory(
    name: str, tokens: int, precision: str, device: str, sizes: dict
) -> float | None:
    """Peak of one step, after a step on two blocks has loaded all that is needed."""
    config = ModelConfig(**sizes)
    small, whole = (
        make_batch(n, config, device) for n in (2, tokens // config.max_length)
    )
    step = training_step(*contestant(name, device, **sizes), small, precision)
    step()
    return peak_of(lambda: step(whole), device)


def in_fresh_process(function: Callable, *arguments):
    """What the function returns in a process of its own, whose memory can be trusted.

    There glibc returns a tensor above 1 MiB as soon as it is freed. It otherwise keeps
    some of them, and the same step's peak varies by a fifth.
    """
    os.environ["MALLOC_MMAP_THRESHOLD_"] = str(2**20)  # read when a process starts
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def measure(arguments, **sizes) -> dict:
    """Equality, memory, then the whole grid, with a line of progress each."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    record = {"hardware": hardware(), "config": asdict(ModelConfig(**sizes))}
    record["equality"] = equality(device, **sizes)
    print("float64: losses and all gradients are equal", flush=True)
    record["memory"], record["steps"] = [], []
    for name in [*OURS.values(), *PEERS] if arguments.memory_tokens else ():
        task = name, arguments.memory_tokens, "fp32", device, {"dropout": 0.1} | sizes
        entry = {"contestant": name, "tokens": task[1], "precision": task[2]}
        entry |= {"dropout": 0.1, "peak_mb": in_fresh_process(peak_memory, *task)}
        record["memory"].append(entry)
        print(f"memory: {entry}", flush=True)
    for tokens, precision, dropout in itertools.product(
        arguments.tokens, arguments.precisions, arguments.dropouts
    ):
        cell = {"tokens": tokens, "precision": precision, "dropout": dropout}
        rounds = arguments.rounds or (15 if tokens <= 4096 else 5)
        rows = race(cell, rounds, arguments.seconds, device, arguments.compile, **sizes)
        record["steps"] += rows
        paces = (f"{row['contestant']} {row['ms']:.0f}" for row in rows)
        print(f"{cell}, {rows[0]['rounds']} rounds, ms: {'; '.join(paces)}", flush=True)
    return record


def table(record: dict) -> str:
    """The record as Markdown: what theirs takes, as a multiple of ours; memory."""
    head = ["tokens", "numbers", "dropout", *PEERS]
    lines = [" | ".join(head), " | ".join(["---:", "---", "---:", *["---:"] * 4])]
    cells = {}
    for row in record["steps"]:
        mode = row["precision"] + (", compiled" if row["compiled"] else "")
        cell = cells.setdefault((row["tokens"], mode, row["dropout"]), {})
        cell[row["contestant"]] = row
    for (tokens, mode, dropout), cell in cells.items():
        shown = [f"{tokens:,}", mode, f"{dropout:g}"]
        for name in PEERS:
            theirs, ours = cell[name], cell[cell[name]["beside"]]
            times = f"{theirs['ms']:.0f} / {ours['ms']:.0f} ms"
            shown.append(f"{theirs['ratio']:.2f} ({times})")
        lines.append(" | ".join(shown))
    peaks = {row["contestant"]: row["peak_mb"] for row in record["memory"]}
    if peaks and None not in peaks.values():
        shown = []
        for name, peer in PEERS.items():
            theirs, ours = peaks[name], peaks[OURS[peer.ours]]
            shown.append(f"{theirs / ours:.2f} ({theirs:.0f} / {ours:.0f} MB)")
        row = record["memory"][0]
        mode = f"{row['precision']}, memory"
        cells = f"{row['tokens']:,}", mode, f"{row['dropout']:g}", *shown
        lines.append(" | ".join(cells))
    return "\n".join(f"| {line} |" for line in lines)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    path = ROOT / "plots" / "records" / "throughput.json"
    parser.add_argument("--out", type=Path, default=path, help="the record")
    parser.add_argument("--table", action="store_true", help="print it, as Markdown")
    parser.add_argument("--compile", action="store_true", help="torch.compile as well")
    parser.add_argument("--rounds", type=int, help="default: 15; 5 with many tokens")
    parser.add_argument(
        "--seconds", type=float, default=45, help="of a cell; 3 rounds at least"
    )
    parser.add_argument("--tokens", type=int, nargs="+", default=[4096, 16384])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--dropouts", type=float, nargs="+", default=[0.0, 0.1])
    parser.add_argument("--memory-tokens", type=int, default=16384, help="0: none")
    return parser.parse_args()


if __name__ == "__main__":
    arguments = parse()
    if arguments.table:
        print(table(read(arguments.out)))
    else:
        write(arguments.out, measure(arguments))
