"""The parts from which the studies draw their figures."""

from collections.abc import Callable
from functools import wraps

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers import ROOT
from helpers.figure import QUIET, default_style, figure_png, reference_loss_lines
from helpers.files import write_file
from studies.lab.claims import Effect
from studies.lab.tables import plus_minus

BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"  # Okabe & Ito, for all eyes
Looks = dict[str, tuple[str, str, str]]  # of each arm: name, colour, line style


def figure_of(*panels: int, size: tuple[float, float], **how) -> Callable:
    """Turns a function that draws into panels into one that returns their figure.

    Takes the arguments of Figure.subplots, and the width and height in inches. Frames
    lack their upper and right side.
    """

    def decorate(fill: Callable) -> Callable:
        @wraps(fill)
        @default_style()
        def figure(*arguments) -> Figure:
            drawing = Figure(figsize=size, layout="constrained")
            fill(drawing.subplots(*panels, **how), *arguments)
            for axes in drawing.axes:
                axes.spines[["top", "right"]].set_visible(False)
            return drawing

        return figure

    return decorate


def interval_rows(axes: Axes, intervals: list[dict], color=BLUE, first=0) -> None:
    """One row an interval, the first on top: values as faint dots, mean, interval."""
    for y, interval in enumerate(intervals, first):
        for x in interval["values"]:
            axes.plot(x, y, ".", color=color, alpha=0.5, markersize=5)
        axes.plot(interval["mean"], y, "o", color=color, markersize=5)
        if interval["low"] is not None:
            axes.hlines(y, interval["low"], interval["high"], color, linewidth=1.4)


def interval_columns(
    axes: Axes, places: list, intervals: list[dict], style="o-", color=BLUE, **look
) -> None:
    """The same upright: a line through the means, and at each place its interval."""
    means = [interval["mean"] for interval in intervals]
    axes.plot(places, means, style, color=color, linewidth=1, **look)
    for x, interval in zip(places, intervals, strict=True):
        for y in interval["values"]:
            axes.plot(x, y, ".", color=color, alpha=0.5)
        if interval["low"] is not None:
            axes.vlines(x, interval["low"], interval["high"], color, linewidth=1.4)


def label_rows(axes: Axes, names: list[str], lines="x", size=9) -> None:
    """Names for the rows of `interval_rows`, and a grid behind them."""
    axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis=lines, color="#e8e8e8", linewidth=0.8)
    axes.set_axisbelow(True)


def note_point(axes: Axes, text: str, place: tuple, shift: tuple, **look) -> None:
    """Writes a text beside a place in the data, so many points to its right and up."""
    axes.annotate(text, place, shift, textcoords="offset points", **look)


def save_figure(name: str, figure: Figure) -> None:
    """Writes a figure among the plots of the repository."""
    write_file(ROOT / "plots" / name, figure_png(figure))


def draw_band(axes: Axes, x: list, curves: list, style, color, **look) -> None:
    """The mean of some curves as a line, on a band from the lowest to the highest."""
    values = np.array(curves)
    axes.fill_between(x, values.min(0), values.max(0), color=color, alpha=0.15, lw=0)
    axes.plot(x, values.mean(0), style, color=color, **look)


def draw_curves(axes: Axes, results, looks: Looks) -> None:
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
            draw_band(axes, epochs, losses, style, color, **look)
    axes.legend(frameon=False, title="thick: validation, thin: training text")
    axes.set(xlabel="epoch", ylabel="loss (nats per word, dropout off)")


def draw_effects(axes: Axes, results, looks: Looks, base: str) -> None:
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


@figure_of(1, 2, size=(8.8, 3.9), width_ratios=(4, 3))
def effects_figure(panels, results, looks: Looks, base: str, losses: dict) -> None:
    """The curves of all arms, as means over their seeds, and each arm minus the base.

    `losses` are references to compare with, by name.
    """
    left, right = panels
    draw_curves(left, results, looks)
    reference_loss_lines(left, losses)
    draw_effects(right, results, looks, base)
    epochs = results.study.arms[base].training.epochs
    title = f"WikiText-2, {epochs:g} epochs, means and range of seeds"
    left.set_title(title, fontsize=11)
    right.set_xlabel("loss minus that without dropout (nats)")
    right.set_title("paired by seed; bar: 95 % interval", fontsize=11)
