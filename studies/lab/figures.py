"""The parts from which the studies draw their figures."""

from collections.abc import Callable
from functools import wraps

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers import ROOT
from helpers.figure import default_style, figure_png
from helpers.files import write_file

BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"  # Okabe & Ito, for all eyes


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


def draw_interval_rows(axes: Axes, intervals: list[dict], color=BLUE, first=0) -> None:
    """One row an interval, the first on top: values as faint dots, mean, interval."""
    for y, interval in enumerate(intervals, first):
        at = [y] * interval["n"]
        axes.plot(interval["values"], at, ".", color=color, alpha=0.5, markersize=5)
        axes.plot(interval["mean"], y, "o", color=color, markersize=5)
        if interval["low"] is not None:
            axes.hlines(y, interval["low"], interval["high"], color, linewidth=1.4)


def draw_interval_columns(
    axes: Axes, places: list, intervals: list[dict], style="o-", color=BLUE, **look
) -> None:
    """The same upright: a line through the means, and at each place its interval."""
    means = [interval["mean"] for interval in intervals]
    axes.plot(places, means, style, color=color, linewidth=1, **look)
    for x, interval in zip(places, intervals, strict=True):
        axes.plot([x] * interval["n"], interval["values"], ".", color=color, alpha=0.5)
        if interval["low"] is not None:
            axes.vlines(x, interval["low"], interval["high"], color, linewidth=1.4)


def label_rows(axes: Axes, names: list[str], lines="x", size=9) -> None:
    """Names for the rows of `draw_interval_rows`, and a grid behind them."""
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
