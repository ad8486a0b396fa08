"""One training step of ours beside the same step of three known libraries.

Before anything is timed, both are shown to compute the same: see studies.speed.peers.
All take turns, step by step, so that a busy machine slows all of them.

    python -m studies.speed.throughput [--compile] [--out PATH] [--help]
"""

import itertools
from dataclasses import asdict
from functools import partial

import pandas as pd
import torch

from helpers.figure import QUIET
from helpers.model import ModelConfig
from helpers.record import write_record
from studies.lab import timing
from studies.lab.command import RECORDS, command, record_file
from studies.lab.machine import hardware
from studies.lab.report import BLUE, ORANGE, figure_of, plain
from studies.speed.peers import OURS, PEERS
from studies.speed.steps import contestant, equality, make_batch, step_on

PRECISIONS, DROPOUTS, TOKENS = ("fp32", "bf16"), (0.0, 0.1), (4_096, 16_384)
LIMIT = 45  # seconds after which a cell of the grid ends, once it has 3 rounds


def race(cell: dict, rounds: int, device: str, compiled=False, **sizes) -> list[dict]:
    """Times all contestants in one cell of the grid; returns a row for each."""
    turns, config = {}, ModelConfig(**sizes)
    batch = make_batch(cell["tokens"] // config.max_length, config, device)
    torch.compiler.reset()  # else it gives up after the 8th model of a kind
    for name in [*OURS, *PEERS]:
        model, loss_of = contestant(name, device, dropout=cell["dropout"], **sizes)
        for fast in (False, True) if compiled else (False,):
            model = torch.compile(model) if fast else model
            step = step_on(batch, model, loss_of, cell["precision"])
            turns[name, fast] = partial(timing.seconds_of, step, device)
    times, rows = timing.time_in_turns(turns, rounds, LIMIT), []
    for (name, fast), seconds in times.items():
        beside = PEERS[name].beside if name in PEERS else name
        low, middle, high = (1e3 * quartile for quartile in timing.spread(seconds))
        least, ratio, most = timing.ratio_spread(seconds, times[beside, fast])
        row = {"contestant": name, "compiled": fast, "beside": beside, "ms": middle}
        row |= {"ms_quartiles": [low, high], "rounds": len(seconds)}
        row |= {"tokens_per_second": 1e3 * cell["tokens"] / middle}
        rows.append(cell | row | {"ratio": ratio, "ratio_quartiles": [least, most]})
    return rows


def measure(compiled: bool) -> dict:
    """Measures equality, then the whole grid, and reports progress.

    Compiled models are timed beside the others, in a smaller grid.
    """
    counts, dropouts = (TOKENS[:1], DROPOUTS[-1:]) if compiled else (TOKENS, DROPOUTS)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    config = ModelConfig()
    record = {"hardware": hardware(), "config": asdict(config)}
    record["equality"] = equality(make_batch(4, config, device))
    print("float64: losses and all gradients are equal", flush=True)
    record["steps"] = []
    grid = itertools.product(counts, PRECISIONS, dropouts)
    for tokens, precision, dropout in grid:
        cell = {"tokens": tokens, "precision": precision, "dropout": dropout}
        rounds = 15 if tokens <= 4_096 else 5
        rows = race(cell, rounds, device, compiled)
        record["steps"] += rows
        paces = (f"{row['contestant']} {row['ms']:.0f}" for row in rows)
        print(f"{cell}, {rows[0]['rounds']} rounds, ms: {'; '.join(paces)}", flush=True)
    return record


def table(steps: list[dict]) -> str:
    """Our step beside that of each peer, as Markdown.

    The ratio is the median over the rounds, not that of the medians.
    """
    titles = "precision | dropout | tokens a step | ours (ms) | peer (ms) | ratio"
    lines = [f"peer | {titles}", "--- | --- | ---: | ---: | ---: | ---: | ---:"]

    def cell(row: dict) -> tuple:
        return row["tokens"], row["precision"], row["dropout"], row.get("compiled")

    by_cell = {(row["contestant"], *cell(row)): row["ms"] for row in steps}
    for name in PEERS:
        for row in (row for row in steps if row["contestant"] == name):
            precision = row["precision"] + (", compiled" if row.get("compiled") else "")
            lines.append(
                f"{name} | {precision} | {row['dropout']:g} | {row['tokens']:,}"
                f" | {by_cell[PEERS[name].beside, *cell(row)]:.1f}"
                f" | {row['ms']:.1f} | {row['ratio']:.2f}"
            )
    return "\n".join(f"| {line} |" for line in lines)


@figure_of(1, len(TOKENS), size=(8.8, 2.8), sharex=True, sharey=True)
def step_ratios(panels, record: dict) -> None:
    """Draws how long each peer's training step takes, one panel a batch size.

    Each is compared with ours of the same architecture, and none was compiled. Thin
    lines are quartiles over the rounds.
    """
    steps = pd.DataFrame(record["steps"])
    shown = (steps["dropout"] == DROPOUTS[-1]) & ~steps["compiled"]
    steps = steps[shown & steps["contestant"].isin(PEERS)]
    peers = [*steps["contestant"].unique()]
    looks = ("fp32", "o", BLUE, -0.14), ("bf16", "s", ORANGE, 0.14)
    for axes, tokens in zip(panels, TOKENS, strict=True):
        axes.axvline(1, color=QUIET, linewidth=1)
        for precision, mark, color, shift in looks:
            own = steps[(steps["tokens"] == tokens) & (steps["precision"] == precision)]
            y = [peers.index(name) + shift for name in own["contestant"]]
            axes.hlines(y, *zip(*own["ratio_quartiles"], strict=True), color, lw=1)
            axes.plot(own["ratio"], y, mark, color=color, markersize=5, label=precision)
        axes.set_title(f"{tokens:,} tokens a step", fontsize=11)
        axes.set_xlabel("times as long as ours")
        axes.set_yticks(range(len(peers)), peers)
        axes.set_ylim(len(peers) - 0.5, -0.5)
        plain(axes)
    widest = max(high for _, high in steps["ratio_quartiles"])
    panels[0].set_xlim(0, 1.05 * widest)
    panels[0].legend(frameon=False, loc="lower left", fontsize=9)


def main(arguments: list[str] | None = None) -> None:
    """Measures the grid and writes the record."""
    parser = command("speed.throughput", __doc__.splitlines()[0])
    parser.add_argument("--out", type=record_file, help="default: in plots/records/")
    parser.add_argument("--compile", action="store_true", help="torch.compile as well")
    given = parser.parse_args(arguments)
    name = "throughput_compiled.json" if given.compile else "throughput.json"
    with parser.one_sentence():
        write_record(given.out or RECORDS / name, measure(given.compile))


if __name__ == "__main__":
    main()
