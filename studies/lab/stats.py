"""Means with an interval that says how far to trust them.

An interval is a dict of `mean`, `low` and `high`, the ends of 95 % confidence. One over
seeds has `n`, their number, and their `values`, too; of one value there is no `low` and
no `high` (None), of none no `mean` either.
"""

import statistics

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES, SEED = 10_000, 0  # of the bootstrap
GROUP = 16  # neighbouring blocks, about 1,000 tokens, that are resampled as one


def student_interval(values: list[float]) -> dict:
    """The mean of independent values with Student's t interval.

    Paired differences, one a seed, are such values.
    """
    n, low, high = len(values), None, None
    mean = statistics.fmean(values) if values else None
    if n > 1:
        t = stats.t.ppf((1 + CONFIDENCE) / 2, df=n - 1)
        half = float(t * statistics.stdev(values) / n**0.5)
        low, high = mean - half, mean + half
    return {"n": n, "mean": mean, "low": low, "high": high, "values": values}


def quartiles(numbers: list[float]) -> list[float]:
    """Lower quartile, median, upper quartile."""
    return np.quantile(numbers, [0.25, 0.5, 0.75]).tolist()


def one_sided_p(values: list[float], limit: float) -> float:
    """p of a t-test that the mean of `values` is not below `limit`."""
    return float(stats.ttest_1samp(values, limit, alternative="less").pvalue)


def bootstrap(values: dict, sizes=None, resamples: int = RESAMPLES) -> dict:
    """Σ values / Σ sizes over units: for each quantity an interval.

    `values` holds a number a unit for each quantity, `sizes` is 1 for each unit unless
    given. Percentile bootstrap over units (Efron & Tibshirani 1993, section 13.3), from
    a fixed seed; a difference given as a quantity is paired. Shapes: U units, R
    resamples, Q quantities.
    """
    values_UQ = np.array([*values.values()], dtype=float).T
    count = len(values_UQ)
    sizes_U = np.ones(count) if sizes is None else np.array(sizes, dtype=float)
    # How often each unit is drawn; which draw it was does not matter.
    draw, chances_U = np.random.default_rng(SEED), np.full(count, 1 / count)
    times_RU = draw.multinomial(count, chances_U, resamples)
    means_RQ = (times_RU @ values_UQ) / (times_RU @ sizes_U)[:, None]
    ends = (1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2
    low_Q, high_Q = np.quantile(means_RQ, ends, axis=0)
    mean_Q = values_UQ.sum(0) / sizes_U.sum()
    rows = zip(values, mean_Q.tolist(), low_Q.tolist(), high_Q.tolist(), strict=True)
    return {name: dict(mean=m, low=low, high=high) for name, m, low, high in rows}
