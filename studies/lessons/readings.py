"""What is read from the records for the claims of the lessons.

Losses are in nats per word. Those at equal steps or time, and the best, are read from
the curve; "loss" is the final one. Shares of words are in percent. What a claim reads
from the record of another study is a row: an interval, and what it takes to check it.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from helpers.record import read_record
from studies.lab.runs import RECORDS
from studies.lab.study import Study
from studies.lessons.arms import STEPS
from studies.lessons.costs import COSTS
from studies.speed import scaling
from studies.speed.scaling import FORMS, fit_scaling, scaling_times

AT_STEPS, AT_TIME = "loss at equal steps", "loss at equal time"
LONE = "loss on lone sentences"
BEYOND = 1.05  # a curve's last value stands for so many times its last step


def reading_losses(run: dict) -> list[float]:
    """The losses of a run's curve."""
    return [entry["loss"] for entry in run["curve"]]


def step_reading(run: dict, step: float) -> float:
    """The loss of a run's curve at a step, on straight lines over log(step).

    A step just beyond the curve gives its last value; ValueError further on.
    """
    steps = [entry["step"] for entry in run["curve"]]
    if step > BEYOND * max(steps, default=0):
        raise ValueError(f"{run['arm']} is to be read at step {step:.0f}: more steps!")
    return float(np.interp(math.log(step), np.log(steps), reading_losses(run)))


def equal_time_reading(run: dict) -> float:
    """The loss after the time of the base's `STEPS` steps, by the recorded costs."""
    ratio = read_record(COSTS)["arms"][run["arm"]]["ratio"][1]
    return step_reading(run, STEPS / ratio)


READINGS = {
    "loss": lambda run: run["validation"]["loss"],
    AT_STEPS: partial(step_reading, step=STEPS),
    AT_TIME: equal_time_reading,
    "best loss": lambda run: min(reading_losses(run)),
    "best minus last": lambda run: min(reading_losses(run)) - reading_losses(run)[-1],
    "unread": lambda run: run["validation_unread"]["loss"],
    LONE: lambda run: run["alone"]["loss"],
    "shared": lambda run: 100 * run["asked"]["shared"]["right"],
    "rare": lambda run: 100 * run["asked"]["rare"]["right"],
    "held": lambda run: 100 * run["asked"]["rare"]["held"],
    "bits": lambda run: run["asked"]["shared"]["bits"],
}


def elsewhere_reading_row(study: Study, effect: Callable, budget: str) -> dict:
    """The row of a claim of the lessons on `effect(results)` of another study.

    Minutes are of the whole runs, of which that study may read a part.
    """
    results = study.results()
    chosen = effect(results)
    names = [run["name"] for arm in chosen.arms for run in results.runs[arm].values()]
    runs = [read_record(study.folder / f"{name}.json") for name in names]
    seconds = (r["history"][-1]["seconds"] * r["hardware"]["threads"] for r in runs)
    return {
        "interval": results.effect(chosen),
        "budget": budget,
        "hardware": sorted({run["hardware"]["device"] for run in runs}),
        "core_minutes": sum(seconds) / 60,
        "command": study.command_for(chosen.arms),
    }


def scaling_reading_row() -> dict:
    """The share of a step at length 64 that grows with the length, beyond a half."""
    growth = scaling.STUDY.read()
    written, fused = (fit_scaling(growth, form) for form in FORMS)
    mean, error = 100 * written["share_at_64"], 100 * written["largest_error"]
    low, high = mean - error, mean + error
    times = [row["ms"] for form in FORMS for row in scaling_times(growth, form)]
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


def grammar_reading_row() -> dict:
    """Percentage points by which more function words than names are guessed right.

    The two intervals, bootstrapped over the text, are added.
    """
    study = read_record(RECORDS / "knowledge.json")
    kinds = (study["bands"]["class"][kind] for kind in ("function words", "names"))
    good, bad = (kind["accuracy"]["no_dropout"] for kind in kinds)
    ends = {"mean": "mean", "low": "high", "high": "low"}
    return {
        "interval": {a: 100 * (good[a] - bad[b]) for a, b in ends.items()},
        "budget": f"{study['words']:,} words asked",
        "hardware": [study["hardware"]["device"]],
        "core_minutes": study["seconds"] * study["hardware"]["threads"] / 60,
    }
