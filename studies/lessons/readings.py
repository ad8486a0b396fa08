"""What is read from a run of the lessons, by name.

Losses are in nats per word. Those at equal steps or time, and the best, are read from
the curve; "loss" is the final one. Shares of words are in percent.
"""

from functools import partial

from helpers.record import read_record
from studies.lab.readings import Effect, at, at_step, losses
from studies.lessons.arms import STEPS
from studies.lessons.costs import COSTS

AT_STEPS, AT_TIME = "loss at equal steps", "loss at equal time"
LONE = "loss on lone sentences"


def at_equal_time(run: dict) -> float:
    """The loss after the time of the base's `STEPS` steps, by the recorded costs."""
    ratio = read_record(COSTS)["arms"][run["arm"]]["ratio"][1]
    return at_step(run, STEPS / ratio)


READINGS = {
    "loss": at("validation.loss"),
    AT_STEPS: partial(at_step, step=STEPS),
    AT_TIME: at_equal_time,
    "best loss": lambda run: min(losses(run)),
    "best minus last": lambda run: min(losses(run)) - losses(run)[-1],
    "unread": at("validation_unread.loss"),
    LONE: at("alone.loss"),
    "shared": at("asked.shared.right", 100),
    "rare": at("asked.rare.right", 100),
    "held": at("asked.rare.held", 100),
    "bits": at("asked.shared.bits"),
}


def measured(results, effect: Effect, budget: str) -> dict:
    """An effect of another study's arms, as the row of a claim of the lessons.

    Minutes are of the whole runs, of which that study may read a part.
    """
    names = [run["name"] for arm in effect.arms for run in results.runs[arm].values()]
    runs = [read_record(results.study.folder / f"{name}.json") for name in names]
    seconds = [r["history"][-1]["seconds"] * r["hardware"]["threads"] for r in runs]
    return {
        "interval": results.effect(effect),
        "budget": budget,
        "hardware": sorted({run["hardware"]["device"] for run in runs}),
        "core_minutes": sum(seconds) / 60,
        "command": results.study.command_for(effect.arms),
    }
