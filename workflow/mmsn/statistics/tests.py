"""Is one model better than another: the published test, the right one, several seeds, several comparisons.

Distributions come from scipy.special: importing scipy.stats takes longer than writing most tables.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr, stdtrit

from mmsn.statistics.bootstrap import percentile_interval
from mmsn.statistics.ranking import Floats

FEWEST_SEEDS: Final = 3
_ROUNDING: Final = 1e-12
"""Values that differ by less are equal: means of the same numbers in another order."""


@dataclass(frozen=True)
class Difference:
    """How much better the first model is than the second, with interval and two-sided p."""

    difference: float
    lo: float
    hi: float
    p: float


def student_t_test(a: ArrayLike, b: ArrayLike) -> float:
    """Two-sided p of Student's two-sample t-test on bootstrap replicates [R] of two models, as published.

    Anti-conservative, kept only to reproduce the paper's marks. The spread of R replicates is already the
    standard error of the metric; the test divides it by the square root of R once more, as if the resamples
    were R new samples of patients. So p falls towards 0 as R grows, for any two models whatever, and about 95
    of 100 comparisons of equally good models are 'significant' (`benchmarks/null_simulation.py`). NaN
    replicates are left out; two constant samples give p = 1 when equal, NaN otherwise.
    """
    first, second = _finite(a), _finite(b)
    if min(first.size, second.size) < 2:
        raise ValueError(f"a t-test needs two replicates of each model, got {first.size} and {second.size}")
    if max(np.ptp(first), np.ptp(second)) < _ROUNDING:
        return 1.0 if abs(first[0] - second[0]) < _ROUNDING else float("nan")
    freedom = first.size + second.size - 2
    pooled = ((first.size - 1) * first.var(ddof=1) + (second.size - 1) * second.var(ddof=1)) / freedom
    error = np.sqrt(pooled * (1 / first.size + 1 / second.size))
    return _two_sided(float((first.mean() - second.mean()) / error), freedom)


def paired_difference(a: ArrayLike, b: ArrayLike, observed: float, level: float = 0.95) -> Difference:
    """Paired bootstrap comparison of two models evaluated on the same resamples.

    With d[r] = a[r] - b[r], the interval is the percentile interval of d and

        p = min(1, 2 (1 + min(#{d <= 0}, #{d >= 0})) / (R + 1)),

    the achieved significance level that inverts this interval (Efron & Tibshirani 1993, section 15.4): p <
    0.05 where the 95 % interval leaves out 0, up to 1/R. The resamples count the observed sample as one of
    them (Davison & Hinkley 1997, section 4.2), so p is never 0; the least p is 2 / (R + 1), and 13
    comparisons under Holm need R >= 519 for any to reach 0.05. Give it patient-level resamples: image-level
    ones take a patient's images as independent.

    Args:
        a: [R] replicates of the first model.
        b: [R] replicates of the second model, resample by resample the same images.
        observed: the difference in the full sample, first minus second.
        level: of the interval.

    Raises:
        ValueError: lengths differ, or no resample has a value for both.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"replicates must be paired, got {first.shape} and {second.shape}")
    differences = _finite(first - second)
    if not differences.size:
        raise ValueError("no resample has a value for both models")
    tail = min((differences <= 0).sum(), (differences >= 0).sum())
    p = min(1.0, 2 * (1 + int(tail)) / (differences.size + 1))
    lo, hi = percentile_interval(differences, level)
    return Difference(float(observed), lo, hi, p)


def paired_t_test(a: ArrayLike, b: ArrayLike, level: float = 0.95) -> Difference:
    """Paired t-test over seeds: a metric of two methods [S], seed by seed.

    It speaks of training again with a new seed on the same data, the bootstrap of new patients with the same
    models. Equal differences give p = 1 when they are 0, else NaN.

    Raises:
        ValueError: fewer than three seeds, lengths that differ, or a value that is not finite.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape or first.size < FEWEST_SEEDS:
        raise ValueError(
            f"at least {FEWEST_SEEDS} seeds of both methods are needed, got {first.size} and {second.size}"
        )
    differences = first - second
    if not np.isfinite(differences).all():
        raise ValueError(f"{(~np.isfinite(differences)).sum()} of {differences.size} seeds have no finite value")
    mean = float(differences.mean())
    if np.ptp(differences) < _ROUNDING:
        return Difference(mean, mean, mean, 1.0 if abs(mean) < _ROUNDING else float("nan"))
    freedom, error = differences.size - 1, float(differences.std(ddof=1) / np.sqrt(differences.size))
    margin = error * float(stdtrit(freedom, (1 + level) / 2))
    return Difference(mean, mean - margin, mean + margin, _two_sided(mean / error, freedom))


def _two_sided(t: float, freedom: int) -> float:
    return 2 * float(stdtr(freedom, -abs(t)))


def holm(p: ArrayLike) -> Floats:
    """Holm's step-down adjustment of K p-values (Holm 1979): [K], in the order given.

    Holds the probability of any false positive among the K below the level, whatever their dependence. NaN
    (no test was possible) stays NaN and does not count as a comparison.

    Raises:
        ValueError: a p-value outside 0..1.
    """
    values = np.asarray(p, dtype=np.float64)
    tested = np.flatnonzero(~np.isnan(values))
    if ((values[tested] < 0) | (values[tested] > 1)).any():
        raise ValueError(f"p-values must lie between 0 and 1, got {values[tested].min()} to {values[tested].max()}")
    order = tested[np.argsort(values[tested])]
    adjusted = np.full(values.shape, np.nan)
    factors = np.arange(tested.size, 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * values[order]), 1)
    return adjusted


def _finite(values: ArrayLike) -> Floats:
    replicates = np.asarray(values, dtype=np.float64)
    return replicates[~np.isnan(replicates)]
