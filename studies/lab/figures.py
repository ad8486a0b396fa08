"""A figure that several studies draw: curves of all runs beside paired differences."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.figure import QUIET, default_style, reference_lines
from studies.lab.readings import Effect
from studies.lab.report import plain, plus_minus
from studies.lab.study import Results

Looks = dict[str, tuple[str, str, str]]  # of each arm: name, colour, line style


def draw_curves(axes: Axes, results: Results, looks: Looks) -> None:
    """Training and validation loss of each run over its epochs, from 0.5 on."""
    for arm in sorted(results.runs):
        _, color, style = looks[arm]
        for run in results.runs[arm].values():
            later = [entry for entry in run["history"] if entry["epoch"] >= 0.5]
            x, validation, train = (
                [entry[key] for entry in later]
                for key in ("epoch", "validation_loss", "train_loss")
            )
            axes.plot(x, validation, style, color=color, linewidth=1.6)
            axes.plot(x, train, style, color=color, linewidth=0.8, alpha=0.6)
    for arm in results.runs:
        name, color, style = looks[arm]
        axes.plot([], [], style, color=color, label=name)
    axes.legend(frameon=False, title="thick: validation, thin: training text")
    axes.set(xlabel="epoch", ylabel="loss (nats a word, dropout off)")
    plain(axes)


def draw_effects(axes: Axes, results: Results, looks: Looks, base: str) -> None:
    """Each arm minus the base, paired by seed; the bar is Student's interval."""
    effects = {arm: results.effect(Effect(arm, base)) for arm in results.runs}
    shown = [arm for arm in effects if arm != base and effects[arm]["n"]]
    for row, arm in enumerate(shown):
        effect = effects[arm]
        name, color, _ = looks[arm]
        text = f"{name}\n{plus_minus(effect, 3, sign='+')}"
        axes.plot(effect["values"], [row] * effect["n"], "o", color=color, alpha=0.6)
        if effect["n"] > 1:
            ends = effect["low"], effect["high"]
            axes.plot(ends, [row + 0.12] * 2, color=color, linewidth=2)
            axes.plot(effect["mean"], row + 0.12, "|", color=color, markersize=12)
        else:
            text += " (one seed, no interval)"
        axes.annotate(
            text,
            (0.5, row + 0.2),
            xycoords=("axes fraction", "data"),
            ha="center",
            va="bottom",
            fontsize=9,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
    axes.axvline(0, color=QUIET, linewidth=1)
    axes.margins(x=0.2)
    axes.set(yticks=[], ylim=(-0.3, len(shown) - 0.2))
    axes.spines["left"].set_visible(False)
    plain(axes)


@default_style()
def curves_beside_effects(
    results: Results, looks: Looks, base: str, references: dict[str, float]
) -> Figure:
    """All curves of a study, one line a run; and each arm minus the base.

    `references` are losses to compare with, by name.
    """
    figure = Figure(figsize=(8.8, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(4, 3))
    draw_curves(left, results, looks)
    reference_lines(left, references)
    draw_effects(right, results, looks, base)
    epochs = results.study.arms[base].training.epochs
    left.set_title(f"WikiText-2, {epochs:g} epochs, one line a seed", fontsize=11)
    right.set_xlabel("loss minus that without dropout (nats)")
    right.set_title("paired by seed; bar: 95 % interval", fontsize=11)
    return figure
