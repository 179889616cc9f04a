"""Bootstrap of AUROC and AUPRC: draw once, then reuse the same resamples for every model and every label.

Measured on 36,625 images x 14 labels x 1,000 resamples, two cores (`benchmarks/bootstrap.py`): 0.1 to 0.3 s a
model. Tried and slower: counts as [R, N] gathered in score order by a compiled loop over resamples (14 x),
gathered and summed by numpy's `cumsum` (hundreds of x), blocks of 64 to 512 resamples (1.2 to 4 x: short rows
defeat the prefetcher). Sorting positives first within ties saves a copy and costs as much in the sort.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from mmsn.statistics.kernel import compiled
from mmsn.statistics.ranking import Counts, Floats, Integers, checked, rank

_DRAWN_AT_ONCE = 16  # resamples turned from rows into columns together, small enough for the cache
RESAMPLES_A_PASS = 1024  # the kernel's six accumulators then take 36 KB
_LARGEST_TOTAL = 2**31 - 1  # the kernel adds counts in 32 bits


@dataclass(frozen=True)
class Replicates:
    """Metrics of every resample and label; NaN where the resample lacks one of the label's classes."""

    auroc: Floats
    """[R, L]"""
    auprc: Floats
    """[R, L]"""

    @property
    def missing(self) -> Integers:
        """In how many resamples each label lacks a class, so that its cells are NaN: [L]."""
        missing: Integers = np.isnan(self.auroc).sum(axis=0, dtype=np.int64)
        return missing

    def macro(self, metric: Literal["auroc", "auprc"], labels: ArrayLike) -> Floats:
        """Mean over the labels chosen by the mask `labels` [L], in each resample: [R].

        The mask is meant to be `evaluable(targets)` of the full sample. A resample in which a rare label of
        the mask has no positive is averaged over the mask's other labels; `missing` counts how often that
        happens. Which cells are missing depends on targets and resamples alone, so two models' macros stay
        paired.

        Raises:
            ValueError: the mask does not fit or chooses nothing.
        """
        values: Floats = getattr(self, metric)
        mask = np.asarray(labels, dtype=np.bool_)
        if mask.shape != values.shape[1:] or not mask.any():
            raise ValueError(f"a mask of {values.shape[1]} labels with at least one chosen is needed, got {mask}")
        chosen = values[:, mask]
        present = ~np.isnan(chosen)
        with np.errstate(invalid="ignore"):
            mean: Floats = np.where(present, chosen, 0).sum(axis=1) / present.sum(axis=1)
        return mean


def image_resamples(images: int, resamples: int, seed: int) -> Counts:
    """How often each image is drawn in each resample of all images with replacement: [R, N].

    Ignores that one patient's images resemble each other; intervals from it are too narrow (the paper's way).
    """
    return _draw(images, resamples, seed, "image").T


def patient_resamples(patients: ArrayLike, resamples: int, seed: int) -> Counts:
    """How often each image counts when patients are drawn with replacement: [R, N].

    An image counts as often as its patient is drawn, so the number of images varies between resamples
    (cluster bootstrap, Davison & Hinkley 1997, section 3.8). The counts of a patient do not depend on the
    order of rows.

    Args:
        patients: [N] patient of each image.
        resamples: R.
        seed: the same seed draws the same patients; more resamples extend fewer.

    Raises:
        ValueError: fewer than two patients.
    """
    known, patient = np.unique(np.asarray(patients), return_inverse=True)
    return _draw(known.size, resamples, seed, "patient")[patient].T


def bootstrap(
    targets: ArrayLike,
    scores: ArrayLike,
    weights: Counts,
    labels: Sequence[str] | None = None,
    threads: int | None = None,
) -> Replicates:
    """AUROC and AUPRC of every label in every resample, exact with ties.

    Args:
        targets: [N, L] of 0, 1, or NaN for an image to ignore.
        scores: [N, L].
        weights: [R, N] from `image_resamples` or `patient_resamples`; other arrays are copied once.
        labels: L names for error messages.
        threads: as many as this process may use when left out.

    Raises:
        ValueError: arrays that do not fit, counts too large to add, or what `checked` refuses.
    """
    target, score = checked(targets, scores, labels)
    by_image = _by_image(weights, target)
    kernel = compiled()
    resamples, columns = by_image.shape[1], target.shape[1]
    auroc, auprc = np.empty((columns, resamples)), np.empty((columns, resamples))

    def fill(column: int) -> None:
        ranking = rank(target[:, column], score[:, column])
        for start in range(0, resamples, RESAMPLES_A_PASS):
            stop = min(start + RESAMPLES_A_PASS, resamples)
            arguments = ranking.order, ranking.positive, ranking.last, start, stop
            kernel(by_image, *arguments, auroc[column], auprc[column])

    with ThreadPoolExecutor(threads or processors()) as pool:
        list(pool.map(fill, range(columns)))
    return Replicates(auroc.T, auprc.T)


def percentile_interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Percentile bootstrap interval of replicates [R] (Efron 1981), the paper's.

    NaN replicates are left out; without any other the interval is (NaN, NaN).

    Raises:
        ValueError: the level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    replicates = np.asarray(values, dtype=np.float64)
    replicates = replicates[~np.isnan(replicates)]
    if not replicates.size:
        return float("nan"), float("nan")
    low, high = np.quantile(replicates, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def processors() -> int:
    """Processors this process may use; a batch system grants fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _draw(units: int, resamples: int, seed: int, unit: str) -> Counts:
    """Draw all units with replacement, `resamples` times: counts [units, R], resamples side by side."""
    if units < 2:
        raise ValueError(f"a bootstrap needs at least two {unit}s to draw from, got {units}")
    if resamples < 1:
        raise ValueError(f"a bootstrap needs at least one resample, got {resamples}")
    generator = np.random.default_rng(seed)
    counts = np.empty((units, resamples), dtype=np.uint16)
    for start in range(0, resamples, _DRAWN_AT_ONCE):
        block = counts[:, start : start + _DRAWN_AT_ONCE]
        drawn = generator.integers(units, size=block.shape[::-1])
        for resample in drawn:
            resample[:] = np.bincount(resample, minlength=units)  # from who was drawn to how often
        block[:] = drawn.T
    return counts


def _by_image(weights: Counts, targets: Floats) -> Counts:
    """Weights as [N, R], resamples side by side: the layout our own resamples have underneath."""
    if targets.ndim != 2 or weights.ndim != 2 or weights.shape[1] != len(targets):
        raise ValueError(f"weights {weights.shape} must be [resamples, images] for targets {targets.shape}")
    if weights.dtype != np.uint16:
        raise ValueError(f"weights must be counts of type uint16, not {weights.dtype}")
    if int(weights.max(initial=0)) * len(targets) > _LARGEST_TOTAL:
        raise ValueError(f"counts up to {weights.max()} of {len(targets)} images are too large to add in 32 bits")
    return np.ascontiguousarray(weights.T)
