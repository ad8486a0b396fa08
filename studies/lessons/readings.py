"""What is read from a run of the lessons, by name.

Losses are in nats per word. Those at equal steps or time, and the best, are read from
the curve; "loss" is the final one. Shares of words are in percent.
"""

from collections.abc import Callable
from functools import partial

from helpers.record import read_record
from studies.lab.readings import curve_losses, loss_at_step, reading_at
from studies.lab.study import Study
from studies.lessons.arms import STEPS
from studies.lessons.costs import COSTS

AT_STEPS, AT_TIME = "loss at equal steps", "loss at equal time"
LONE = "loss on lone sentences"


def loss_at_equal_time(run: dict) -> float:
    """The loss after the time of the base's `STEPS` steps, by the recorded costs."""
    ratio = read_record(COSTS)["arms"][run["arm"]]["ratio"][1]
    return loss_at_step(run, STEPS / ratio)


READINGS = {
    "loss": reading_at("validation.loss"),
    AT_STEPS: partial(loss_at_step, step=STEPS),
    AT_TIME: loss_at_equal_time,
    "best loss": lambda run: min(curve_losses(run)),
    "best minus last": lambda run: min(curve_losses(run)) - curve_losses(run)[-1],
    "unread": reading_at("validation_unread.loss"),
    LONE: reading_at("alone.loss"),
    "shared": reading_at("asked.shared.right", 100),
    "rare": reading_at("asked.rare.right", 100),
    "held": reading_at("asked.rare.held", 100),
    "bits": reading_at("asked.shared.bits"),
}


def read_elsewhere(study: Study, effect: Callable, budget: str) -> Callable[[], dict]:
    """The row of a claim of the lessons on `effect(results)` of another study.

    Minutes are of the whole runs, of which that study may read a part.
    """

    def row() -> dict:
        results = study.results()
        chosen = effect(results)
        names = [r["name"] for arm in chosen.arms for r in results.runs[arm].values()]
        runs = [read_record(study.folder / f"{name}.json") for name in names]
        seconds = [r["history"][-1]["seconds"] * r["hardware"]["threads"] for r in runs]
        return {
            "interval": results.effect(chosen),
            "budget": budget,
            "hardware": sorted({run["hardware"]["device"] for run in runs}),
            "core_minutes": sum(seconds) / 60,
            "command": study.command_for(chosen.arms),
        }

    return row
