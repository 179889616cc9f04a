"""Bootstrap of AUROC and AUPRC: draw once, then reuse the same resamples for every model and every label.

Measured by `benchmarks/bootstrap.py` on 36,625 images x 14 labels x 1,000 resamples. Tried and slower: counts as [R, N]
gathered in score order by a compiled loop over resamples (14 x), gathered and summed by numpy's `cumsum` (hundreds of
x), blocks of 64 to 512 resamples (1.2 to 4 x: short rows defeat the prefetcher), 16-bit counts of every image (3 x),
a division a positive image (1.3 x).
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from mmsn.statistics.kernel import LARGEST_COUNT, compiled
from mmsn.statistics.ranking import Bytes, Counts, Floats, Integers, Ranking, checked, rank_all

_DRAWN_AT_ONCE = 16  # resamples turned from rows into columns together, small enough for the cache
RESAMPLES_A_PASS = 1024  # the kernel's accumulators then take about 40 KB
_LARGEST_TOTAL = 2**31 - 1  # the kernel adds counts, and counts times counts, in 32 bits


@dataclass(frozen=True)
class Resamples:
    """How often each unit is drawn in each resample, and which images are its own."""

    counts: Bytes
    """[U, R] a row an image or a patient."""
    units: Integers
    """[N] row of each image."""

    @cached_property
    def largest(self) -> int:
        """Count."""
        return int(self.counts.max(initial=0))

    def of(self, images: ArrayLike) -> "Resamples":
        """The same resamples of some images only, chosen by a mask or by their places."""
        return Resamples(self.counts, self.units[np.asarray(images)])

    @property
    def weights(self) -> Counts:
        """[R, N] how often each image counts."""
        counts: Counts = self.counts[self.units].T.astype(np.uint16)
        return counts


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
    return image_draws(images, resamples, seed).weights


def image_draws(images: int, resamples: int, seed: int) -> Resamples:
    """`image_resamples` as `bootstrap` reads them fastest."""
    return Resamples(_draw(images, resamples, seed, "image"), np.arange(images))


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
    return patient_draws(patients, resamples, seed).weights


def patient_draws(patients: ArrayLike, resamples: int, seed: int) -> Resamples:
    """`patient_resamples` as `bootstrap` reads them fastest: a row a patient, in the order of their ids."""
    known, patient = np.unique(np.asarray(patients), return_inverse=True)
    return Resamples(_draw(known.size, resamples, seed, "patient"), patient)


def bootstrap(
    targets: ArrayLike,
    scores: ArrayLike,
    weights: Counts | Resamples,
    labels: Sequence[str] | None = None,
    threads: int | None = None,
) -> Replicates:
    """AUROC and AUPRC of every label in every resample, exact with ties.

    Args:
        targets: [N, L] of 0, 1, or NaN for an image to ignore.
        scores: [N, L].
        weights: `image_draws` or `patient_draws`, or counts [R, N] of `image_resamples` or `patient_resamples`.
        labels: L names for error messages.
        threads: as many as this process may use when left out.

    Raises:
        ValueError: arrays that do not fit, counts too large to add, or what `checked` refuses.
    """
    target, score = checked(targets, scores, labels)
    return bootstrap_ranked(rank_all(target, score), _resamples(weights, target), threads)


def bootstrap_ranked(
    rankings: Sequence[Ranking], drawn: Resamples, threads: int | None = None, auprc: bool = True
) -> Replicates:
    """`bootstrap` of labels whose images are sorted already.

    Args:
        rankings: L, of the images that `drawn` was made for, or of some of them (`Ranking.of`).
        drawn: `image_draws` or `patient_draws`.
        threads: as many as this process may use when left out.
        auprc: False leaves it NaN, which takes half the time.

    Raises:
        ValueError: counts too large to add.
    """
    _refuse_large(drawn)
    kernel = compiled()
    resamples, columns = drawn.counts.shape[1], len(rankings)
    of_auroc, of_auprc = np.empty((columns, resamples)), np.full((columns, resamples), np.nan)

    def fill(column: int) -> None:
        ranking = rankings[column]
        images = drawn.units[ranking.order], ranking.positive, *ranking.groups
        for start in range(0, resamples, RESAMPLES_A_PASS):
            stop = min(start + RESAMPLES_A_PASS, resamples)
            kernel(drawn.counts, *images, start, stop, auprc, of_auroc[column], of_auprc[column])

    with ThreadPoolExecutor(threads or processors()) as pool:
        list(pool.map(fill, range(columns)))
    return Replicates(of_auroc.T, of_auprc.T)


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


def _draw(units: int, resamples: int, seed: int, unit: str) -> Bytes:
    """Draw all units with replacement, `resamples` times: counts [units, R], resamples side by side."""
    if units < 2:
        raise ValueError(f"a bootstrap needs at least two {unit}s to draw from, got {units}")
    if resamples < 1:
        raise ValueError(f"a bootstrap needs at least one resample, got {resamples}")
    generator = np.random.default_rng(seed)
    counts = np.empty((units, resamples), dtype=np.uint8)  # more than 255 draws of one unit never happen
    for start in range(0, resamples, _DRAWN_AT_ONCE):
        block = counts[:, start : start + _DRAWN_AT_ONCE]
        drawn = generator.integers(units, size=block.shape[::-1])
        for resample in drawn:
            resample[:] = np.bincount(resample, minlength=units)  # from who was drawn to how often
        block[:] = drawn.T
    return counts


def _resamples(weights: Counts | Resamples, targets: Floats) -> Resamples:
    """Checked, with the counts of a unit side by side."""
    if isinstance(weights, Resamples):
        found = weights
    elif weights.dtype != np.uint16:
        raise ValueError(f"weights must be counts of type uint16, not {weights.dtype}")
    else:
        found = Resamples(np.minimum(np.ascontiguousarray(weights.T), 255).astype(np.uint8), np.arange(len(weights.T)))
    if targets.ndim != 2 or found.units.shape != targets.shape[:1]:
        shape = found.counts.shape[1], found.units.size
        raise ValueError(f"weights {shape} must be [resamples, images] for targets {targets.shape}")
    return found


def _refuse_large(drawn: Resamples) -> None:
    largest, images = drawn.largest, drawn.units.size
    if largest > LARGEST_COUNT or largest * largest * images > _LARGEST_TOTAL:
        raise ValueError(f"counts up to {largest} of {images} images are too large to add in 32 bits")
