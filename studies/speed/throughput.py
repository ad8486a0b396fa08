"""One training step of ours beside the same step of three known libraries.

Before anything is timed, both are shown to compute the same: see studies.speed.peers.
All take turns, step by step, so that a busy machine slows all of them.

    python -m studies.speed.throughput [--compile] [--table] [--out PATH] [--help]
"""

import itertools
import os
import re
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import nn

from helpers.masking import IGNORE, mask_tokens, masked_positions
from helpers.model import DROPOUT, ModelConfig
from helpers.record import hardware, write
from helpers.settings import whole
from helpers.tokenizer import CLS, SPECIALS, UNK
from studies.lab.command import (
    COUNT,
    RECORDS,
    command,
    option,
    require_blocks,
    require_whole,
    required,
)
from studies.speed.peers import (
    OURS,
    PEERS,
    Batch,
    build_ours,
    build_pair,
    equality,
    our_loss,
)

UNKNOWN, MASK_RATE = 0.26, 0.15  # the share of [UNK] in the training text, and asked
PRECISIONS, DROPOUTS, TOKENS = ("fp32", "bf16"), (0.0, 0.1), (4_096, 16_384)
MOST_TOKENS = 2**20  # a step
WARM_UP = 2  # steps before the clock runs
LIMIT = 45  # seconds after which a cell of the grid ends, once it has 3 rounds


def make_batch(blocks: int, config: ModelConfig, device="cpu", seed=0) -> Batch:
    """Random words as rare words leave them, [CLS] first, masked once and for all."""
    generator = torch.Generator().manual_seed(seed)
    shape = blocks, config.max_length
    ids_BT = torch.randint(len(SPECIALS), config.vocab_size, shape, generator=generator)
    ids_BT[torch.rand(shape, generator=generator) < UNKNOWN] = UNK
    ids_BT[:, 0] = CLS
    masked = mask_tokens(ids_BT, config.vocab_size, MASK_RATE, generator, fixed=True)
    tensors = [rows.to(device) for rows in (*masked, *masked_positions(masked[1]))]
    return Batch(*tensors, count=int((masked[1] != IGNORE).sum()))


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
    if name in OURS:
        return build_ours(name, **sizes).to(device).train(), our_loss
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


def race(cell: dict, rounds: int, device: str, compiled=False, **sizes) -> list[dict]:
    """One cell of the grid: all contestants, and what each took beside ours."""
    steps, config = {}, ModelConfig(**sizes)
    batch = make_batch(cell["tokens"] // config.max_length, config, device)
    torch.compiler.reset()  # else it gives up after the 8th model of a kind
    for name in [*OURS, *PEERS]:
        model, loss_of = contestant(name, device, dropout=cell["dropout"], **sizes)
        for fast in (False, True) if compiled else (False,):
            model = torch.compile(model) if fast else model
            step = training_step(model, loss_of, batch, cell["precision"])
            steps[name, fast] = step
    found, rows = take_turns(steps, rounds, LIMIT, device), []
    for (name, fast), seconds in found.items():
        beside = PEERS[name].beside if name in PEERS else name
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
        text = Path("/proc/self/status").read_text("utf-8")
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


def measure_memory(tokens: int, device: str, **sizes) -> list[dict]:
    """Peak of a step of each contestant, every one in a process of its own."""
    rows, cell = [], {"tokens": tokens, "precision": "fp32", "dropout": DROPOUTS[-1]}
    for name in [*OURS, *PEERS]:
        task = name, tokens, "fp32", device, {"dropout": DROPOUTS[-1]} | sizes
        peak = in_fresh_process(peak_memory, *task)
        rows.append(cell | {"contestant": name, "peak_mb": peak})
        print(f"memory: {rows[-1]}", flush=True)
    return rows


def measure(arguments, **sizes) -> dict:
    """Equality, memory, then the whole grid, with a line of progress each."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    config = ModelConfig(**sizes)
    record = {"hardware": hardware(), "config": asdict(config)}
    record["equality"] = equality(make_batch(4, config, device), **sizes)
    print("float64: losses and all gradients are equal", flush=True)
    if arguments.memory:
        record["memory"] = measure_memory(max(arguments.tokens), device, **sizes)
    record["steps"] = []
    for tokens, precision, dropout in itertools.product(
        arguments.tokens, PRECISIONS, arguments.dropouts
    ):
        cell = {"tokens": tokens, "precision": precision, "dropout": dropout}
        rounds = arguments.rounds or (15 if tokens <= 4096 else 5)
        rows = race(cell, rounds, device, arguments.compile, **sizes)
        record["steps"] += rows
        paces = (f"{row['contestant']} {row['ms']:.0f}" for row in rows)
        print(f"{cell}, {rows[0]['rounds']} rounds, ms: {'; '.join(paces)}", flush=True)
    return record


def compared(rows: list[dict], key: str, unit: str) -> list[str]:
    """A Markdown table of `key`, theirs beside ours, in this unit."""
    lines = ["peer | precision | dropout | tokens a step"]
    lines[0] += f" | ours ({unit}) | peer ({unit}) | ratio"
    lines.append("--- | --- | ---: | ---: | ---: | ---: | ---:")
    cells = "tokens", "precision", "dropout", "compiled"
    found = {(row["contestant"], *map(row.get, cells)): row for row in rows}
    for name, (other, *cell) in itertools.product(PEERS, found):
        if other != name:
            continue
        theirs, ours = found[name, *cell], found[PEERS[name].beside, *cell]
        tokens, precision, dropout, compiled = cell
        precision += ", compiled" if compiled else ""
        ratio = theirs.get("ratio", theirs[key] / ours[key])
        lines.append(
            f"{name} | {precision} | {dropout:g} | {tokens:,}"
            f" | {ours[key]:.1f} | {theirs[key]:.1f} | {ratio:.2f}"
        )
    return [f"| {line} |" for line in lines]


def table(record: dict) -> str:
    """The record as Markdown: time, memory, and what was left out to compare them.

    The ratio of times is the median over the rounds, not that of the medians.
    """
    lines = compared(record["steps"], "ms", "ms")
    memory = record.get("memory", [])
    if memory and None not in [row["peak_mb"] for row in memory]:
        lines += ["", *compared(memory, "peak_mb", "MB")]
    lines += ["", "Left out to make both sides identical:", ""]
    for name, found in record["equality"].items():
        lines.append(f"- {name}: {found['differs'] or 'nothing'}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Measures the grid, or a part of it, and writes the record; or prints it."""
    parser = command("throughput", __doc__.splitlines()[0])
    path = RECORDS / "throughput.json"
    parser.add_argument("--out", type=Path, default=path, help="the record")
    parser.add_argument("--table", action="store_true", help="print it, as Markdown")
    parser.add_argument("--compile", action="store_true", help="torch.compile as well")
    length, rates = ModelConfig().max_length, option(DROPOUT)
    tokens = option(whole(length, MOST_TOKENS))
    parser.add_argument("--rounds", type=COUNT, help="default: 15; 5 with many tokens")
    parser.add_argument("--tokens", type=tokens, nargs="+", default=TOKENS)
    parser.add_argument("--dropouts", type=rates, nargs="+", default=DROPOUTS)
    parser.add_argument("--no-memory", dest="memory", action="store_false")
    given = parser.parse_args(arguments)
    if given.table:
        with parser.one_sentence():
            print(table(required(given.out, "python -m studies.speed.throughput")))
        return
    require_blocks(parser, given.tokens, [length])
    require_whole(parser, given, path.name)
    with parser.one_sentence():
        write(given.out, measure(given))


if __name__ == "__main__":
    main()
