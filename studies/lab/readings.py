"""Numbers that are read from records.

A reading is a function from a run's record to a number. KeyError says that the run does
not have it, ValueError that its curve is too short.
"""

import math
from collections.abc import Callable
from functools import reduce
from operator import getitem

import numpy as np

Reading = Callable[[dict], float]
BEYOND = 1.05  # a curve's last value stands for so many times its last step


def reading_at(path: str, scale: float = 1.0) -> Reading:
    """Reads what stands under keys, as in "validation.loss"."""
    return lambda run: scale * reduce(getitem, path.split("."), run)


def curve_losses(run: dict) -> list[float]:
    """The losses of a run's curve."""
    return [entry["loss"] for entry in run["curve"]]


def loss_at_step(run: dict, step: float) -> float:
    """The loss of a run's curve at a step, on straight lines over log(step).

    A step just beyond the curve gives its last value; ValueError further on.
    """
    steps = [entry["step"] for entry in run["curve"]]
    if step > BEYOND * max(steps, default=0):
        raise ValueError(f"{run['arm']} is to be read at step {step:.0f}: more steps!")
    return float(np.interp(math.log(step), np.log(steps), curve_losses(run)))
