"""Pictures of the studies, drawn from their records."""

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from helpers.figure import QUIET, default_style


def plain(axes) -> None:
    """Leaves out the frame's upper and right side."""
    axes.spines[["top", "right"]].set_visible(False)


PRECISION_MARKS = {"fp32": "o", "bf16": "s"}


@default_style()
def step_ratios(record: dict, dropout: float = 0.1) -> Figure:
    """How long each peer's training step takes, one panel a batch size.

    Beside ours of the same architecture; of the steps that were not compiled. Thin
    lines are quartiles over the rounds.
    """
    rows = [
        row
        for row in record["steps"]
        if row["contestant"] != row["beside"]
        and row["dropout"] == dropout
        and not row["compiled"]
    ]
    sizes = sorted({row["tokens"] for row in rows})
    peers = list(dict.fromkeys(row["contestant"] for row in rows))
    figure = Figure(figsize=(8.8, 2.8), layout="constrained")
    panels = figure.subplots(1, len(sizes), sharex=True, sharey=True, squeeze=False)
    for axes, tokens in zip(panels[0], sizes, strict=True):
        axes.axvline(1, color=QUIET, linewidth=1)
        for (precision, mark), color, shift in zip(
            PRECISION_MARKS.items(), ("#0072B2", "#D55E00"), (-0.14, 0.14), strict=True
        ):
            own = [
                r for r in rows if (r["tokens"], r["precision"]) == (tokens, precision)
            ]
            y = [peers.index(row["contestant"]) + shift for row in own]
            low, high = zip(*(row["ratio_quartiles"] for row in own), strict=True)
            axes.hlines(y, low, high, color=color, linewidth=1)
            x = [row["ratio"] for row in own]
            axes.plot(x, y, mark, color=color, markersize=5, label=precision)
        axes.set_title(f"{tokens:,} tokens a step", fontsize=11)
        axes.set_xlabel("times as long as ours")
        axes.set_yticks(range(len(peers)), peers)
        axes.set_ylim(len(peers) - 0.5, -0.5)
        plain(axes)
    widest = max(row["ratio_quartiles"][1] for row in rows)
    panels[0][0].set_xlim(0, 1.05 * widest)
    panels[0][0].legend(frameon=False, loc="lower left", fontsize=9)
    return figure


@default_style()
def time_to_quality(summary: dict, runs: list[dict], entries: list[dict]) -> Figure:
    """Validation loss against minutes: the runs of the baselines, and the entries.

    A baseline's minutes are those of its steps, by the summary; an entry's begin with
    its process. The curves are scored on a part of the validation text, dots and dotted
    lines on all of it.
    """
    figure = Figure(figsize=(7.4, 3.8), layout="constrained")
    axes = figure.subplots()
    looks = {"plain": ("#D55E00", "--"), "scheduled": ("#009E73", "-.")}
    for found in runs:
        row, (color, style) = summary[found["arm"]], looks[found["arm"]]
        minutes = row["seconds"] / row["steps"] / 60
        later = [entry for entry in found["history"] if entry["step"] > 0]
        x = [entry["step"] * minutes for entry in later]
        y = [entry["validation_loss"] for entry in later]
        label = f"{found['arm']} recipe, rate {row['rate']:g}"
        axes.plot(x, y, style, color=color, linewidth=1.5, label=label)
        axes.axhline(row["loss"], color=color, linestyle=":", linewidth=1)
        place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        text = f"its best of 50 epochs, {row['loss']:.2f}"
        axes.annotate(
            text, (0.01, row["loss"]), (0, 3), color=color, fontsize=9, **place
        )
    label = f"the series' recipe, {summary['entry']['steps']:,} steps"
    x = [found["seconds"] / 60 for found in entries]
    y = [found["validation"]["loss"] for found in entries]
    axes.plot(x, y, "o", color="#0072B2", markersize=7, label=label)
    axes.set(xscale="log", ylabel="validation loss (nats a word)")
    axes.set_xlabel("minutes (curve: steps alone; dot: the whole process)")
    scored = (
        "curve: scored on a part of the validation text; line and dot: on all of it"
    )
    axes.set_title(scored, fontsize=9, loc="left", color=QUIET)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.legend(frameon=False, fontsize=9)
    plain(axes)
    return figure
