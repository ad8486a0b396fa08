"""One training step of ours beside the same step of three known libraries.

Before anything is timed, both are shown to compute the same: see studies.speed.peers.
All take turns, step by step, so that a busy machine slows all of them.
"""

import itertools
from dataclasses import asdict
from functools import partial
from operator import itemgetter

import pandas as pd
import torch

from helpers.figure import QUIET
from helpers.model import ModelConfig
from studies.lab import timing
from studies.lab.figures import BLUE, ORANGE, figure_of
from studies.lab.machine import hardware
from studies.lab.runs import RECORDS
from studies.lab.study import Measurement
from studies.speed import steps
from studies.speed.peers import OURS, PEERS

PRECISIONS, DROPOUTS, TOKENS = ("fp32", "bf16"), (0.0, 0.1), (4_096, 16_384)
LIMIT = 45  # seconds after which a cell of the grid ends, once it has 3 rounds


def throughput_rows(cell: dict, rounds: int, compiled=False, **sizes) -> list[dict]:
    """Times all contestants in one cell of the grid; returns a row for each."""
    turns, config = {}, ModelConfig(**sizes)
    batch = steps.speed_step_batch(cell["tokens"] // config.max_length, config)
    torch.compiler.reset()  # else it gives up after the 8th model of a kind
    for name in [*OURS, *PEERS]:
        model, loss_of = steps.step_contestant(name, dropout=cell["dropout"], **sizes)
        for fast in (False, True) if compiled else (False,):
            model = torch.compile(model) if fast else model
            step = steps.make_step(batch, model, loss_of, cell["precision"])
            turns[name, fast] = partial(timing.seconds_of, step)
    times, rows = timing.time_in_turns(turns, rounds, LIMIT), []
    for (name, fast), seconds in times.items():
        beside = PEERS[name].beside if name in PEERS else name
        taken = timing.times_and_ratios(seconds, times[beside, fast])
        low, middle, high = (1e3 * quartile for quartile in taken["seconds"])
        least, ratio, most = taken["ratio"]
        row = {"contestant": name, "compiled": fast, "beside": beside, "ms": middle}
        row |= {"ms_quartiles": [low, high], "rounds": len(seconds)}
        row |= {"tokens_per_second": 1e3 * cell["tokens"] / middle}
        rows.append(cell | row | {"ratio": ratio, "ratio_quartiles": [least, most]})
    return rows


def measure_throughput(compiled: bool = False) -> dict:
    """Measures equality, then the whole grid, and reports progress.

    Compiled models are timed beside the others, in a smaller grid.
    """
    counts, dropouts = (TOKENS[:1], DROPOUTS[-1:]) if compiled else (TOKENS, DROPOUTS)
    config = ModelConfig()
    batch, record = steps.speed_step_batch(4, config), {"hardware": hardware()}
    record["config"] = asdict(config)
    record["equality"] = {
        name: steps.compare_steps(*peer.build_pair(dropout=0.0), peer, batch)
        for name, peer in PEERS.items()
    }
    print("float64: losses and all gradients are equal", flush=True)
    record["steps"] = []
    for tokens, precision, dropout in itertools.product(counts, PRECISIONS, dropouts):
        cell = {"tokens": tokens, "precision": precision, "dropout": dropout}
        rows = throughput_rows(cell, 15 if tokens <= 4_096 else 5, compiled)
        record["steps"] += rows
        paces = (f"{row['contestant']} {row['ms']:.0f}" for row in rows)
        print(f"{cell}, {rows[0]['rounds']} rounds, ms: {'; '.join(paces)}", flush=True)
    return record


def throughput_table(measured: dict) -> str:
    """Our step beside that of each peer, with dropout, as Markdown.

    The ratio is the median over the rounds, not that of the medians.
    """
    titles = "precision | dropout | tokens a step | ours (ms) | peer (ms) | ratio"
    lines = [f"peer | {titles}", "--- | --- | ---: | ---: | ---: | ---: | ---:"]
    rows = [row for row in measured["steps"] if row["dropout"] == DROPOUTS[-1]]
    cell = itemgetter("tokens", "precision", "compiled")
    ours = {(row["contestant"], *cell(row)): row["ms"] for row in rows}
    for row in (row for name in PEERS for row in rows if row["contestant"] == name):
        precision = row["precision"] + (", compiled" if row["compiled"] else "")
        lines.append(
            f"{row['contestant']} | {precision} | {row['dropout']:g}"
            f" | {row['tokens']:,} | {ours[row['beside'], *cell(row)]:.1f}"
            f" | {row['ms']:.1f} | {row['ratio']:.2f}"
        )
    return "\n".join(f"| {line} |" for line in lines)


@figure_of(1, len(TOKENS), size=(8.8, 2.8), sharex=True, sharey=True)
def throughput_figure(panels, record: dict) -> None:
    """Draws how long each peer's training step takes, one panel a batch size.

    Each is compared with ours of the same architecture, and none was compiled. Thin
    lines are quartiles over the rounds.
    """
    rows = pd.DataFrame(record["steps"])
    shown = (rows["dropout"] == DROPOUTS[-1]) & ~rows["compiled"]
    rows = rows[shown & rows["contestant"].isin(PEERS)]
    peers = [*rows["contestant"].unique()]
    looks = ("fp32", "o", BLUE, -0.14), ("bf16", "s", ORANGE, 0.14)
    for axes, tokens in zip(panels, TOKENS, strict=True):
        axes.axvline(1, color=QUIET, linewidth=1)
        for precision, mark, color, shift in looks:
            own = rows[(rows["tokens"] == tokens) & (rows["precision"] == precision)]
            y = [peers.index(name) + shift for name in own["contestant"]]
            axes.hlines(y, *zip(*own["ratio_quartiles"], strict=True), color, lw=1)
            axes.plot(own["ratio"], y, mark, color=color, markersize=5, label=precision)
        axes.set_title(f"{tokens:,} tokens a step", fontsize=11)
        axes.set_xlabel("times as long as ours")
        axes.set_yticks(range(len(peers)), peers)
        axes.set_ylim(len(peers) - 0.5, -0.5)
    widest = max(high for _, high in rows["ratio_quartiles"])
    panels[0].set_xlim(0, 1.05 * widest)
    panels[0].legend(frameon=False, loc="lower left", fontsize=9)


def throughput_study(name: str, compiled: bool = False) -> Measurement:
    """The study whose record and table have that name."""
    return Measurement(
        "speed.throughput",
        "Time a training step beside those of three known libraries.",
        RECORDS / f"{name}.json",
        partial(measure_throughput, compiled),
        {name: throughput_table},
    )


STUDY = throughput_study("throughput")
COMPILED = throughput_study("throughput_compiled", compiled=True)
H100 = throughput_study("throughput_h100")  # measured there by the same command


def main(arguments: list[str] | None = None) -> None:
    """`python -m studies.speed.throughput`."""
    parser = STUDY.parser()
    parser.add_argument("--compile", action="store_true", help="torch.compile as well")
    given = parser.parse_args(arguments)
    (COMPILED if given.compile else STUDY).run(parser, given.summary)


if __name__ == "__main__":
    main()
