"""Plausible wrong answers to the exercises of notebook 06."""

from statistics import fmean, stdev


def paired(arm, reference, t=2.776):
    minus = [a - b for a, b in zip(arm, reference, strict=True)]
    half = t * stdev(minus) / len(minus) ** 0.5
    return fmean(minus) - half, fmean(minus) + half


def not_divided(arm, reference, t=2.776):
    half = t * (stdev(arm) ** 2 + stdev(reference) ** 2) ** 0.5
    return fmean(arm) - fmean(reference) - half, fmean(arm) - fmean(reference) + half


def turned_round(arm, reference, t=2.776):
    half = t * ((stdev(arm) ** 2 + stdev(reference) ** 2) / len(arm)) ** 0.5
    return fmean(reference) - fmean(arm) - half, fmean(reference) - fmean(arm) + half


def by_the_mean(low, high, expected, margin):
    mean = (low + high) / 2
    if expected == "same":
        return "holds" if abs(mean) < margin else "does not hold"
    return "holds" if (mean < 0) == (expected == "below") else "does not hold"


def without_margin(low, high, expected, margin):
    if expected == "same":
        return "holds" if low < 0 < high else "does not hold"
    if expected == "above":
        low, high = -high, -low
    return "holds" if high < 0 else "does not hold" if low > 0 else "open"


def never_open(low, high, expected, margin):
    if expected == "above":
        low, high = -high, -low
    if expected == "same":
        return "holds" if -margin < low and high < margin else "does not hold"
    return "holds" if high < -margin else "does not hold"


WRONG = {
    "6.1": [paired, not_divided, turned_round],
    "6.2": [12, 6, 4, 9],
    "6.3": [by_the_mean, without_margin, never_open],
}
