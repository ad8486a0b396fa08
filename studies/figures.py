"""Pictures of the studies, drawn from their records."""

from matplotlib.figure import Figure

from helpers.figure import QUIET, reference_lines

COLORS = {"none": "#0072B2", "attention": "#009E73", "all": "#D55E00"}
STYLES = {"none": "-", "attention": "-.", "all": "--"}
NAMES = {
    "none": "no dropout",
    "attention": "0.1 on attention weights",
    "all": "0.1 at BERT's sites",
}

POSITION_COLORS = {"rotary": "#0072B2", "sinusoidal": "#009E73", "learned": "#D55E00"}
POSITION_STYLES = {"rotary": "-", "sinusoidal": "-.", "learned": "--"}


def plain(axes) -> None:
    """Leaves out the frame's upper and right side."""
    axes.spines[["top", "right"]].set_visible(False)


def dropout_study(summary: dict, runs: list[dict]) -> Figure:
    """Curves of all runs, training and validation, and paired differences in loss.

    Of the longest budget in the summary. One line a run; the interval is Student's t
    at 95 % over the seeds.
    """
    epochs = max(summary["budgets"], key=float)
    table = summary["budgets"][epochs]
    figure = Figure(figsize=(8.8, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(4, 3))
    for found in runs:
        if f"{found['training']['epochs']:g}" != epochs:
            continue
        later = [e for e in found["history"] if e["epoch"] >= 0.5]
        x = [entry["epoch"] for entry in later]
        look = {"color": COLORS[found["arm"]], "linestyle": STYLES[found["arm"]]}
        left.plot(x, [e["validation_loss"] for e in later], linewidth=1.6, **look)
        left.plot(x, [e["train_loss"] for e in later], linewidth=0.8, alpha=0.6, **look)
    for arm in table:
        look = {"color": COLORS[arm], "linestyle": STYLES[arm]}
        left.plot([], [], label=NAMES[arm], **look)
    left.legend(frameon=False, title="thick: validation, thin: training text")
    bigram = summary["references"]["bigram"]["loss"]
    reference_lines(left, {"bigram": bigram})
    left.set(xlabel="epoch", ylabel="loss (nats a word, dropout off)")
    left.set_title(f"WikiText-2, {epochs} epochs, one line a seed", fontsize=11)
    plain(left)
    arms = [arm for arm in table if table[arm].get("minus_none")]
    for row, arm in enumerate(arms):
        found = table[arm]["minus_none"]["loss"]
        values = found["values"]
        mean, half = found["mean"], found["half_width"]
        right.plot(values, [row] * len(values), "o", color=COLORS[arm], alpha=0.6)
        if half is not None:
            ends = mean - half, mean + half
            right.plot(ends, [row + 0.12] * 2, color=COLORS[arm], linewidth=2)
            right.plot(mean, row + 0.12, "|", color=COLORS[arm], markersize=12)
        text = with_interval(found, 3, sign="+")
        text += "" if half is not None else " (one seed, no interval)"
        right.annotate(
            f"{NAMES[arm]}\n{text}",
            (0.5, row + 0.2),
            xycoords=("axes fraction", "data"),
            ha="center",
            va="bottom",
            fontsize=9,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
    right.axvline(0, color=QUIET, linewidth=1)
    right.margins(x=0.2)
    right.set(yticks=[], ylim=(-0.3, len(arms) - 0.2))
    right.set_xlabel("loss minus that without dropout (nats)")
    right.set_title("paired by seed; bar: 95 % interval", fontsize=11)
    right.spines["left"].set_visible(False)
    plain(right)
    return figure


def plateau_study(summary: dict, runs: list[dict]) -> Figure:
    """Loss and the share of the most-predicted word over the first steps, by positions.

    One line a run; the steps are on a logarithmic scale.
    """
    figure = Figure(figsize=(8.8, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True)
    for found in runs:
        steps = [max(1, entry["step"]) for entry in found["history"]]
        for axes, key in ((left, "validation_loss"), (right, "most_predicted_share")):
            axes.plot(
                steps,
                [entry[key] for entry in found["history"]],
                POSITION_STYLES[found["positions"]],
                color=POSITION_COLORS[found["positions"]],
                linewidth=1.4,
            )
    for name, row in summary["arms"].items():
        left.plot(
            [],
            [],
            POSITION_STYLES[name],
            color=POSITION_COLORS[name],
            label=f"{name}, rate {row['rate']:g}",
        )
    left.legend(frameon=False, fontsize=9)
    reference_lines(left, {"unigram": runs[0]["unigram_loss"]})
    left.set(xscale="log", xlabel="step", ylabel="validation loss (nats a word)")
    right.set(xlabel="step", ylabel="share of the most-predicted word", ylim=(0, 1))
    for axes in (left, right):
        plain(axes)
    return figure


def with_interval(found: dict, digits: int, scale: float = 1.0, sign: str = "") -> str:
    """A mean as text, with its interval if there is one."""
    text = f"{found['mean'] * scale:{sign}.{digits}f}"
    if found["half_width"] is not None:
        text += f" ± {found['half_width'] * scale:.{digits}f}"
    return text


def dropout_table(summary: dict) -> str:
    """The study as a Markdown table; a run that is missing is named as missing."""
    lines = [
        "| Epochs | Dropout | Seeds | Validation loss | Right | Minus none | Gap | "
        "Best epoch | Test loss |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for epochs, table in sorted(summary["budgets"].items(), key=lambda b: float(b[0])):
        for arm, name in NAMES.items():
            if arm not in table:
                lines.append(f"| {epochs} | {name} | 0 | not run yet |" + " |" * 5)
                continue
            means = table[arm]["means"]
            minus = table[arm].get("minus_none", {}).get("loss")
            cells = [
                epochs,
                name,
                str(means["loss"]["n"]),
                with_interval(means["loss"], 3),
                with_interval(means["accuracy"], 1, 100) + " %",
                with_interval(minus, 3, sign="+") if minus else "",
                with_interval(means["gap"], 3),
                with_interval(means["best_epoch"], 1),
                with_interval(means["test_loss"], 3),
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
