"""How numbers are read from the lessons' records: at a step, at a moment, in pairs."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from studies.lab.runs import read_run, require_name
from studies.lab.stats import student
from studies.lessons.arms import ARMS, STEPS
from studies.lessons.runs import RECORDS, settings

Runs = dict[str, dict[int, dict]]  # of each arm, by seed
PARTS = "curve.step", "curve.loss", "validation.loss", "weights"  # of each record
BEYOND = 1.05  # a curve's last value stands for so many times its last step


def read_runs() -> Runs:
    """All runs that have been made, by arm and seed.

    ValueError if one is of other settings than its arm has now.
    """
    found = {}
    for arm in ARMS:
        for path in RECORDS.glob(f"{arm}_seed_*.json"):
            number = path.stem.rpartition("_")[2]
            seed = int(number) if number.isdecimal() else 0
            require_name(path, f"{arm}_seed_{seed}")
            made = read_run(path, settings(arm, seed), parts=PARTS)
            found.setdefault(arm, {})[seed] = made
    return {arm: dict(sorted(runs.items())) for arm, runs in found.items()}


def at_step(run: dict, step: float) -> float:
    """The loss of a run's curve at a step, on straight lines over log(step).

    A step just beyond the curve gives its last value; ValueError further on.
    """
    if not run["curve"] or step > BEYOND * run["curve"][-1]["step"]:
        raise ValueError(f"{run['arm']} is to be read at step {step:.0f}: more steps!")
    steps, losses = zip(*((e["step"], e["loss"]) for e in run["curve"]), strict=True)
    return float(np.interp(math.log(step), np.log(steps), losses))


def losses(run: dict) -> list[float]:
    return [entry["loss"] for entry in run["curve"]]


def readings(costs: dict) -> dict[str, Callable[[dict], float]]:
    """How a number is read from a run's record, by name.

    Equal time is that of the base's `STEPS` steps, by the ratios of `costs`. Losses at
    equal steps or time, and the best, are of the curve; accuracies are in percent.
    """

    def at_time(run: dict) -> float:
        return at_step(run, STEPS / costs["arms"][run["arm"]]["ratio"][1])

    return {
        "loss": lambda run: run["validation"]["loss"],
        "right": lambda run: 100 * run["validation"]["accuracy"],
        "loss at equal steps": lambda run: at_step(run, STEPS),
        "loss at equal time": at_time,
        "best loss": lambda run: min(losses(run)),
        "best minus last": lambda run: min(losses(run)) - losses(run)[-1],
        "unread": lambda run: run["validation_unread"]["loss"],
        "loss on lone sentences": lambda run: run["alone"]["loss"],
        "right on lone sentences": lambda run: 100 * run["alone"]["accuracy"],
        "shared": lambda run: 100 * run["asked"]["shared"]["right"],
        "rare": lambda run: 100 * run["asked"]["rare"]["right"],
        "held": lambda run: 100 * run["asked"]["rare"]["held"],
        "bits": lambda run: run["asked"]["shared"]["bits"],
    }


def interval(values: list[float]) -> dict:
    """Mean and Student's interval as `mean`, `low`, `high`; one value has no ends."""
    return {k: v for k, v in student(values).items() if k != "values"}


@dataclass(frozen=True)
class Effect:
    """A difference within each seed: an arm minus its reference, in one reading.

    `apart` are two more arms whose own difference is taken off. An arm that is its own
    reference stands for a reading that is a difference already.
    """

    arm: str
    reference: str
    reading: str = "loss"
    apart: tuple[str, str] | None = None

    @property
    def arms(self) -> tuple[str, ...]:
        return (self.arm, self.reference, *(self.apart or ()))

    def difference(self, runs: Runs, read: Callable, seed: int) -> float:
        if self.arm == self.reference:
            return read(runs[self.arm][seed])
        values = [read(runs[arm][seed]) for arm in self.arms]
        signs = (1, -1, -1, 1)[: len(values)]
        return sum(sign * value for sign, value in zip(signs, values, strict=True))

    def measure(self, runs: Runs, ways: dict) -> dict:
        """The effect over the seeds that all its arms have; `n` may be 0.

        ValueError if their runs do not have the reading.
        """
        made = [{*runs.get(arm, {})} for arm in self.arms]
        seeds = sorted(set.intersection(*made))
        if not seeds:
            return {"n": 0, "mean": None, "low": None, "high": None, "seeds": []}
        try:
            values = [self.difference(runs, ways[self.reading], seed) for seed in seeds]
        except KeyError as missing:
            arms = " and ".join(dict.fromkeys(self.arms))
            raise ValueError(f"No {self.reading!r} of {arms} on record.") from missing
        return interval(values) | {"seeds": seeds, "values": values}


def crossover(growth: dict, fused: bool = False) -> dict:
    """Step time against length, as a constant and a part that grows with the length.

    A step has as many tokens at each length, so what is linear in the length of a text
    is constant here, and what is quadratic grows in proportion. Fitted from length 64
    on, by least squares of relative errors. `equal_at` is the length at which the two
    parts are equal; `share_at_64` the growing part's share of a step there.
    """
    rows = [
        row
        for row in growth["growth"]
        if row["fused"] == fused and row.get("max_length", 0) >= 64
    ]
    lengths, times = (np.array([r[k] for r in rows]) for k in ("max_length", "ms"))
    slope, constant = np.polyfit(lengths, times, 1, w=1 / times)
    fitted = constant + slope * lengths
    return {
        "constant_ms": float(constant),
        "ms_a_position": float(slope),
        "equal_at": float(constant / slope),
        "share_at_64": float(64 * slope / (constant + 64 * slope)),
        "largest_error": float(abs(fitted / times - 1).max()),
    }
