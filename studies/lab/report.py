"""How results are told: numbers with intervals as text, tables, figures."""

from collections.abc import Callable
from functools import wraps

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers import ROOT
from helpers.figure import default_style, figure_png
from helpers.files import write_file

BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"  # Okabe & Ito, for all eyes


def plus_minus(interval: dict, digits: int, scale: float = 1.0, sign: str = "") -> str:
    """A mean and the half-width of its interval, if it has one: 2.894 ± 0.016."""
    text = f"{scale * interval['mean']:{sign}z.{digits}f}"  # z: a zero has no minus
    if interval["low"] is None:
        return text
    half_width = scale * (interval["high"] - interval["low"]) / 2
    return f"{text} ± {half_width:.{digits}f}"


def between(interval: dict, digits: int = 2, scale: float = 1.0, sign: str = "") -> str:
    """A mean and the ends of its interval, if it has one: +0.070 (+0.047 to +0.093)."""
    known = [end for k in ("mean", "low", "high") if (end := interval[k]) is not None]
    mean, *ends = (f"{scale * value:{sign}z.{digits}f}" for value in known)
    return f"{mean} ({' to '.join(ends)})" if ends else mean


def whole_percent(share: float) -> str:
    """A share as text: 58 %."""
    return f"{100 * share:.0f} %"


def markdown(titles: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; a row that is too short is filled with empty cells."""
    lines = [titles, ["---"] * len(titles)]
    lines += [[*row, *[""] * (len(titles) - len(row))] for row in rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def figure_of(*panels: int, size: tuple[float, float], **how) -> Callable:
    """Turns a function that draws into panels into one that returns their figure.

    Takes the arguments of Figure.subplots, and the width and height in inches.
    """

    def decorate(fill: Callable) -> Callable:
        @wraps(fill)
        @default_style()
        def figure(*arguments) -> Figure:
            drawing = Figure(figsize=size, layout="constrained")
            fill(drawing.subplots(*panels, **how), *arguments)
            return drawing

        return figure

    return decorate


def plain(axes: Axes) -> None:
    """Leaves out the frame's upper and right side."""
    axes.spines[["top", "right"]].set_visible(False)


def interval_rows(
    axes: Axes, intervals: list[dict], color: str = BLUE, first: int = 0
) -> None:
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


def named_rows(axes: Axes, names: list[str]) -> None:
    """Names for the rows of `interval_rows`, and a grid behind them."""
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="x", color="#e8e8e8", linewidth=0.8)
    axes.set_axisbelow(True)
    plain(axes)


def note(axes: Axes, text: str, place: tuple, shift: tuple, **look) -> None:
    """Writes a text beside a place in the data, so many points to its right and up."""
    axes.annotate(text, place, shift, textcoords="offset points", **look)


def draw(name: str, figure: Figure) -> None:
    """Writes a figure among the plots of the repository."""
    write_file(ROOT / "plots" / name, figure_png(figure))
