"""Lesson 1: does the cost grow with the square of the length?

Read from the record of `python -m studies.speed.scaling`: steps that all have as many
tokens, in blocks of different lengths, with attention written out or fused.
"""

import numpy as np
from matplotlib.ticker import StrMethodFormatter

from helpers.figure import QUIET
from helpers.record import read_record
from studies.lab.claims import Claim
from studies.lab.command import RECORDS
from studies.lab.figures import BLUE, ORANGE, figure_of, note_point

GROWTH = RECORDS / "growth.json"
FROM = 64  # below, short rows cost extra
LOOKS = {"written": (BLUE, "o", "written out"), "fused": (ORANGE, "s", "fused")}


def length_times(growth: dict, form: str) -> list[dict]:
    """The steps of one form of attention, "written" or "fused", by length."""
    rows = (row for row in growth["growth"] if "max_length" in row)
    return [row for row in rows if row["fused"] == (form == "fused")]


def fit_length(growth: dict, form: str) -> dict:
    """Step time against length, as a constant and a part that grows with the length.

    A step has as many tokens at each length, so what is linear in the length of a text
    is constant here, and what is quadratic grows in proportion. Fitted from length 64
    on, by least squares of relative errors. `equal_at` is the length at which the two
    parts are equal; `share_at_64` the growing part's share of a step there.
    """
    rows = [row for row in length_times(growth, form) if row["max_length"] >= FROM]
    lengths, times = (np.array([r[k] for r in rows]) for k in ("max_length", "ms"))
    slope, constant = np.polyfit(lengths, times, 1, w=1 / times).tolist()
    fitted = constant + slope * lengths
    return {
        "constant_ms": constant,
        "ms_a_position": slope,
        "equal_at": constant / slope,
        "share_at_64": 64 * slope / (constant + 64 * slope),
        "largest_error": float(abs(fitted / times - 1).max()),
    }


def part_that_grows_with_length() -> dict:
    """The share of a step at length 64 that grows with the length, beyond a half."""
    growth = read_record(GROWTH)
    written, fused = (fit_length(growth, form) for form in LOOKS)
    mean, error = 100 * written["share_at_64"], 100 * written["largest_error"]
    low, high = mean - error, mean + error
    times = [row["ms"] for form in LOOKS for row in length_times(growth, form)]
    return {
        "interval": {"mean": mean - 50, "low": low - 50, "high": high - 50},
        "effect": f"{mean:.0f} % ({low:.0f} to {high:.0f} %) of a step; half of a "
        f"step from {written['equal_at']:,.0f} positions on "
        f"(with the fused kernel from {fused['equal_at']:,.0f} on)",
        "budget": f"{len(times)} kinds of steps, 3 each",
        "hardware": [growth["hardware"]["device"]],
        # Three of each, and one to warm up.
        "core_minutes": growth["hardware"]["threads"] * 4 * sum(times) / 60_000,
    }


CLAIMS = [
    Claim(
        "At a length of 64, the quadratic part of attention takes most of a training "
        "step.",
        part_that_grows_with_length,
        "above",
        "% of a step beyond half",
        primary=True,
    )
]


@figure_of(1, 2, size=(8.8, 3.6))
def length_figure(panels, growth: dict) -> None:
    """Time and memory of a step of as many tokens, by length; and the fit in parts."""
    left, right = panels
    for form, (color, mark, label) in LOOKS.items():
        rows, parts = length_times(growth, form), fit_length(growth, form)
        lengths = [row["max_length"] for row in rows]
        left.plot(lengths, [row["ms"] for row in rows], mark, color=color, label=label)
        right.plot(lengths, [row["peak_mb"] for row in rows], mark + "-", color=color)
        constant, fitted = parts["constant_ms"], [n for n in lengths if n >= FROM]
        grown = [parts["ms_a_position"] * n for n in fitted]
        left.plot(fitted, [constant + ms for ms in grown], color=color, linewidth=1)
        left.plot(fitted, grown, "--", color=color, linewidth=1)
        left.axhline(constant, color=color, linestyle=":", linewidth=1)
        equal = parts["equal_at"], constant
        left.plot(*equal, "x", color=color, markersize=9, markeredgewidth=2)
        look = {"color": color, "ha": "left", "fontsize": 9}
        note_point(left, f"{equal[0]:,.0f}", equal, (0, -13), **look)
    left.plot([], [], "-", color=QUIET, linewidth=1, label="fit: both parts")
    left.plot([], [], "--", color=QUIET, label="fit: the part that grows")
    left.plot([], [], ":", color=QUIET, label="fit: the part that does not")
    left.legend(frameon=False, fontsize=8.5, loc="upper left")
    label = f"length; always {growth['tokens']:,} tokens per step"
    for axes in panels:
        axes.set(xscale="log", yscale="log", xlabel=label)
        axes.set_xticks(lengths, map("{:,}".format, lengths), fontsize=8.5)
        axes.minorticks_off()
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    left.set(ylabel="milliseconds per step", ylim=(None, 4_500))  # room for the legend
    left.set_yticks([20, 50, 100, 200, 500, 1_000, 2_000])
    right.set(ylabel="peak memory (MB)", yticks=[200, 500, 1_000, 1_500])
