"""Pictures of the studies, drawn from their records."""

from matplotlib.figure import Figure

from helpers.figure import QUIET

COLORS = {"none": "#0072B2", "attention": "#009E73", "all": "#D55E00"}
STYLES = {"none": "-", "attention": "-.", "all": "--"}
NAMES = {
    "none": "no dropout",
    "attention": "0.1 on attention weights",
    "all": "0.1 at BERT's sites",
}


def plain(axes) -> None:
    """Leaves out the frame's upper and right side."""
    axes.spines[["top", "right"]].set_visible(False)


def reference_lines(axes, references: dict, key: str = "loss", skip=()) -> None:
    """A dotted line, with its name and number, for each guess from counts."""
    for name, guess in references.items():
        if name in skip:
            continue
        axes.axhline(guess[key], color=QUIET, linestyle=":", linewidth=1)
        axes.annotate(
            f"{name} {guess[key]:.2f}",
            (1, guess[key]),
            xycoords=("axes fraction", "data"),
            xytext=(-2, 3),
            textcoords="offset points",
            ha="right",
            fontsize=9,
            color=QUIET,
        )


def dropout_study(summary: dict, runs: list[dict]) -> Figure:
    """Curves of all runs, training and validation, and paired differences in loss.

    Of the longest budget in the summary. One line a run; the interval is Student's t
    at 95 % over the seeds.
    """
    epochs = max(summary["budgets"], key=float)
    table = summary["budgets"][epochs]
    figure = Figure(figsize=(8.8, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
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
    reference_lines(left, summary["references"], skip=("uniform", "unigram"))
    left.set(xlabel="epoch", ylabel="loss (nats a word, dropout off)")
    left.set_title(f"WikiText-2, {epochs} epochs, one line a seed")
    plain(left)
    arms = [arm for arm in table if "minus_none" in table[arm]]
    for row, arm in enumerate(arms):
        pairs = {r["seed"]: r["loss"] for r in table["none"]["runs"]}
        values = [
            r["loss"] - pairs[r["seed"]]
            for r in table[arm]["runs"]
            if r["seed"] in pairs
        ]
        right.plot(values, [row] * len(values), "o", color=COLORS[arm], alpha=0.6)
        found = table[arm]["minus_none"]["loss"]
        if found["half_width"] is not None:
            ends = (
                found["mean"] - found["half_width"],
                found["mean"] + found["half_width"],
            )
            right.plot(ends, [row + 0.15] * 2, color=COLORS[arm], linewidth=2)
        right.plot(found["mean"], row + 0.15, "|", color=COLORS[arm], markersize=14)
        text = f"{NAMES[arm]}: {found['mean']:+.3f}"
        if found["half_width"] is not None:
            text += f" ± {found['half_width']:.3f}"
        right.annotate(
            text, (0.5, row + 0.3), xycoords=("axes fraction", "data"), ha="center"
        )
    right.axvline(0, color=QUIET, linewidth=1)
    right.set(yticks=[], ylim=(-0.6, len(arms) - 0.3))
    right.set_xlabel("loss minus that without dropout, same seed (nats)")
    right.set_title(
        "all validation words; dots: seeds, bar: 95 % interval", fontsize=10
    )
    right.spines["left"].set_visible(False)
    plain(right)
    return figure
