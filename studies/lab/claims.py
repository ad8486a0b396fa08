"""Differences between arms, claims about them, and what decides a claim."""

import math
from collections.abc import Callable
from dataclasses import dataclass

SEEDS = 3  # below which nothing is decided
# The smallest effect that counts, by unit, in every claim alike. At the end of a run of
# the lessons a tenth more steps buys about as much, 0.048 nats in the median run, and
# two seeds of the base differ by about half of that; between trained models 0.07 nats
# are one percentage point.
SMALLEST = {"nats": 0.05, "percentage points": 1.0}


@dataclass(frozen=True)
class Effect:
    """A difference within each seed: an arm minus its reference, in one reading.

    `apart` are two more arms whose own difference is taken off. Without a reference the
    effect is the reading itself, which is a difference already.
    """

    arm: str
    reference: str | None = None
    reading: str = "loss"
    apart: tuple[str, str] | None = None

    @property
    def arms(self) -> list[str]:
        """All arms that it takes, with their signs +, -, -, +."""
        return [arm for arm in (self.arm, self.reference, *(self.apart or ())) if arm]


@dataclass(frozen=True)
class Claim:
    """One sentence, and the number that decides it.

    `effect` is an Effect, or a function that returns the claim's row with its
    "interval" from other records. `expected` says where the claim wants it: "above" or
    "below" zero by more than the margin, which is `SMALLEST` in its `unit`, or the
    "same", within the margin. `sides` are short names for what is compared, the arm
    and its reference. A claim that is not `primary` is exploratory.
    """

    text: str
    effect: Effect | Callable[[], dict]
    expected: str = "below"
    unit: str = "nats"
    sides: tuple[str, str] | None = None
    primary: bool = False


def verdict(interval: dict, expected: str, margin: float = 0.0) -> str:
    """What an interval says of a claim.

    Too few seeds decide nothing; nor does an interval that holds both answers.
    """
    if interval.get("n", SEEDS) < SEEDS:
        return "unfinished"
    wanted = {"below": (-math.inf, -margin), "above": (margin, math.inf)}
    start, end = (wanted | {"same": (-margin, margin)})[expected]
    if start < interval["low"] and interval["high"] < end:
        return "holds"
    apart = interval["low"] > end or interval["high"] < start
    return "does not hold" if apart else "open"
