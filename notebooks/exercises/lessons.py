"""Exercises of notebook 06: what an interval says, and what a verdict may say."""

import math
from statistics import fmean, stdev

from notebooks.exercises import exercise

GROUPS = [
    ([3.94, 3.90, 3.93], [3.71, 3.72, 3.75], 2.776),
    ([1.0, 2.0, 4.0], [7.0, 1.5, 3.0], 2.776),
    ([2.0, 2.5, 2.25, 3.0], [2.0, 1.0, 1.75, 1.5], 2.447),
]
CASES = [  # low, high, what is expected, margin
    (-0.2, -0.1, "below", 0.05),
    (-0.2, -0.01, "below", 0.05),
    (-0.04, -0.01, "below", 0.05),
    (0.01, 0.2, "below", 0.05),
    (-0.2, 0.1, "below", 0.05),
    (0.1, 0.2, "above", 0.05),
    (0.01, 0.2, "above", 0.05),
    (-0.3, 0.02, "above", 0.05),
    (-0.2, -0.1, "above", 0.05),
    (-0.04, 0.03, "same", 0.05),
    (-0.04, -0.03, "same", 0.05),
    (0.02, 0.09, "same", 0.05),
    (0.06, 0.09, "same", 0.05),
    (-0.09, 0.09, "same", 0.05),
    (-0.09, -0.02, "same", 0.05),
    (-0.1, 0.2, "above", 0.05),
    (-0.09, -0.06, "same", 0.05),
    (-0.02, -0.01, "below", 0.0),
]


@exercise("6.1")
def grade_lessons_interval(unpaired):
    for arm, reference, t in GROUPS:
        scatter = stdev(arm) ** 2 + stdev(reference) ** 2
        half = t * (scatter / len(arm)) ** 0.5
        mean = fmean(arm) - fmean(reference)
        low, high = unpaired(arm, reference, t)
        if low > high:
            return "return the lower end first."
        if not math.isclose(low + high, 2 * mean, abs_tol=1e-6):
            return (
                f"the middle of the interval of {arm} and {reference} is "
                f"{(low + high) / 2:+.3f}, not {mean:+.3f}: the mean of the arm minus "
                "that of its reference."
            )
        if not math.isclose(high - low, 2 * half, abs_tol=1e-6):
            return (
                f"the interval of {arm} and {reference} is ± {(high - low) / 2:.3f}, "
                f"not ± {half:.3f}. Which two variances enter, is their sum divided "
                "by n, and do you use the t that you are given?"
            )


@exercise("6.2")
def grade_lessons_seeds(seeds):
    if seeds == 12:
        return "that is what the square root alone asks for; the factor t shrinks, too."
    if seeds == 6:
        return "6 seeds are more than you need; the factor t shrinks, too."
    if seeds == 4:
        return "with 4 seeds, t/√n is 3.18/√4 = 1.59, which is more than half of 2.48."
    return None if seeds == 5 else "compute t/√n for each number n and compare."


def lessons_answer_expected(low, high, expected: str, margin: float) -> str:
    """The verdict on a claim with this interval."""
    if expected == "above":
        low, high = -high, -low
    inside, outside = high < -margin, low > -margin
    if expected == "same":
        inside = max(abs(low), abs(high)) < margin
        outside = low > margin or high < -margin
    return "holds" if inside else "does not hold" if outside else "open"


@exercise("6.3")
def grade_lessons_verdict(decide):
    for case in CASES:
        low, high, expected, margin = case
        if (given := decide(*case)) != (right := lessons_answer_expected(*case)):
            return (
                f"an interval from {low:+.2f} to {high:+.2f}, with {expected!r} "
                f"expected and a margin of {margin}, is {right!r}, not {given!r}."
            )
