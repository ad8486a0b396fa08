"""Means over seeds with an interval that says how far to trust them."""

import statistics

from scipy import stats


def mean_interval(values: list[float], confidence: float = 0.95) -> dict:
    """Mean of independent values and the half-width of Student's t interval.

    Paired differences, one a seed, are such values. One value has no interval: None.
    """
    n, mean = len(values), statistics.fmean(values)
    half = None
    if n > 1:
        t = stats.t.ppf((1 + confidence) / 2, df=n - 1)
        half = float(t * statistics.stdev(values) / n**0.5)
    return {"n": n, "mean": mean, "half_width": half}


def one_sided_p(values: list[float], limit: float) -> float:
    """p of a t-test that the mean of `values` is not below `limit`."""
    return float(stats.ttest_1samp(values, limit, alternative="less").pvalue)
