"""Curves of all arms, over their seeds, beside paired differences."""

import numpy as np
from matplotlib.axes import Axes

from helpers.figure import QUIET, reference_loss_lines
from studies.lab.readings import Effect
from studies.lab.report import figure_of, plain, plus_minus
from studies.lab.study import Results

Looks = dict[str, tuple[str, str, str]]  # of each arm: name, colour, line style


def band(axes: Axes, x: list, curves: list[list], style: str, color, **look) -> None:
    """The mean of some curves as a line, on a band from the lowest to the highest."""
    values = np.array(curves)
    axes.fill_between(x, values.min(0), values.max(0), color=color, alpha=0.15, lw=0)
    axes.plot(x, values.mean(0), style, color=color, **look)


def draw_curves(axes: Axes, results: Results, looks: Looks) -> None:
    """Training and validation loss of each arm over the epochs, from 0.5 on."""
    for arm, runs in results.runs.items():
        name, color, style = looks[arm]
        histories = [
            [entry for entry in run["history"] if entry["epoch"] >= 0.5]
            for run in runs.values()
        ]
        epochs = [entry["epoch"] for entry in histories[0]]
        thick, thin = {"linewidth": 1.8, "label": name}, {"linewidth": 0.8}
        for key, look in {"validation_loss": thick, "train_loss": thin}.items():
            losses = [[entry[key] for entry in history] for history in histories]
            band(axes, epochs, losses, style, color, **look)
    axes.legend(frameon=False, title="thick: validation, thin: training text")
    axes.set(xlabel="epoch", ylabel="loss (nats per word, dropout off)")
    plain(axes)


def draw_effects(axes: Axes, results: Results, looks: Looks, base: str) -> None:
    """Each arm minus the base, paired by seed; the bar is Student's interval."""
    place = {"xycoords": ("axes fraction", "data"), "ha": "center", "va": "bottom"}
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    effects = {a: results.effect(Effect(a, base)) for a in results.runs if a != base}
    shown = {arm: effect for arm, effect in effects.items() if effect["n"]}
    for row, (arm, effect) in enumerate(shown.items()):
        name, color, _ = looks[arm]
        text = f"{name}\n{plus_minus(effect, 3, sign='+')}"
        axes.plot(effect["values"], [row] * effect["n"], "o", color=color, alpha=0.6)
        if effect["n"] > 1:
            ends = effect["low"], effect["high"]
            axes.plot(ends, [row + 0.12] * 2, color=color, linewidth=2)
            axes.plot(effect["mean"], row + 0.12, "|", color=color, markersize=12)
        else:
            text += " (one seed, no interval)"
        axes.annotate(text, (0.5, row + 0.2), fontsize=9, bbox=box, **place)
    axes.axvline(0, color=QUIET, linewidth=1)
    axes.margins(x=0.2)
    axes.set(yticks=[], ylim=(-0.3, len(shown) - 0.2))
    axes.spines["left"].set_visible(False)
    plain(axes)


@figure_of(1, 2, size=(8.8, 3.9), width_ratios=(4, 3))
def curves_beside_effects(
    panels, results: Results, looks: Looks, base: str, references: dict[str, float]
) -> None:
    """The curves of all arms, as means over their seeds, and each arm minus the base.

    `references` are losses to compare with, by name.
    """
    left, right = panels
    draw_curves(left, results, looks)
    reference_loss_lines(left, references)
    draw_effects(right, results, looks, base)
    epochs = results.study.arms[base].training.epochs
    title = f"WikiText-2, {epochs:g} epochs, means and range of seeds"
    left.set_title(title, fontsize=11)
    right.set_xlabel("loss minus that without dropout (nats)")
    right.set_title("paired by seed; bar: 95 % interval", fontsize=11)
