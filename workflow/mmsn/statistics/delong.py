"""DeLong's test of two models' AUROCs on the same images, with patients as clusters when asked."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from mmsn.statistics.ranking import Flags, Floats, Integers, Ranking, checked, rank, why_not

Components: TypeAlias = tuple[Floats, ...]
_ROUNDING: Final = 1e-12
"""A smaller standard error or difference, or share of a variance that its terms leave of each other, would be 0 without
rounding."""
_COLUMNS = ("auroc_first", "auroc_second", "difference", "standard_error", "lo", "hi", "p")


@dataclass(frozen=True)
class DeLong:
    """AUROC of both models; their difference, first minus second, with a normal interval and two-sided p."""

    auroc_first: float
    auroc_second: float
    difference: float
    standard_error: float
    lo: float
    hi: float
    p: float
    excluded: str
    """Empty, or why standard error, interval and p are NaN."""


def delong_test(
    targets: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    patients: ArrayLike | None = None,
    level: float = 0.95,
) -> DeLong:
    """Compare two models' AUROC for one label.

    Without `patients` every image is taken as independent (DeLong et al. 1988, computed from midranks as in
    Sun & Xu 2014). With them the components of a patient's images are summed first, and the covariance of a
    patient's positive with the same patient's negative images is added (Obuchowski 1997): the right test
    where patients have several images. One image a patient gives DeLong's result.

    Two models that rank all pairs alike differ by 0 with p = 1. Where the variance is 0 although the AUROCs
    differ (perfect against constant scores) the normal approximation has nothing to say and p is NaN.

    Args:
        targets: [N] of 0, 1, or NaN for an image to ignore.
        first: [N] scores of the first model.
        second: [N] scores of the second model.
        patients: [N] patient of each image.
        level: of the interval.
    """
    target, one = checked(targets, first)
    _, other = checked(targets, second)
    if target.ndim != 1:
        raise ValueError(f"one label at a time: targets have shape {target.shape}, not [images]")
    if patients is not None and np.shape(patients) != target.shape:
        raise ValueError(f"{np.shape(patients)} patients for {target.shape} targets")
    sample = _Sample.of(target, None if patients is None else _codes(np.asarray(patients)))
    ours, theirs = (components(rank(target, scores), target.size) for scores in (one, other))
    return _compare(sample, ours, theirs, level)


class LabelTests:
    """DeLong's test of every label of one test set; what depends on targets and patients alone is looked up once."""

    def __init__(self, targets: ArrayLike, labels: Sequence[str], patients: ArrayLike | None = None) -> None:
        """Look at the classes.

        Args:
            targets: [N, L] of 0, 1, or NaN for an image to ignore.
            labels: L names.
            patients: [N] patient of each image; without them every image is taken as independent.
        """
        target = np.ascontiguousarray(np.asarray(targets, dtype=np.float64).T)
        codes = None if patients is None else _codes(np.asarray(patients))
        self._labels, self._samples = list(labels), [_Sample.of(column, codes) for column in target]

    def compare(self, first: Components, second: Components, level: float = 0.95) -> pd.DataFrame:
        """Every label of two models' `label_components`: label, then the fields of `DeLong`."""
        rows = [
            {"label": label, **asdict(_compare(sample, one, other, level))}
            for label, sample, one, other in zip(self._labels, self._samples, first, second, strict=True)
        ]
        return pd.DataFrame(rows, columns=["label", *_COLUMNS, "excluded"])


def label_components(rankings: Sequence[Ranking], images: int) -> Components:
    """`components` of every label."""
    return tuple(components(ranking, images) for ranking in rankings)


def components(ranking: Ranking, images: int) -> Floats:
    """Share of the other class that each image is on the right side of, ties one half: [N].

    Images of the other class below, and half of those at the same score, are counted along the sort: no pair is
    looked at (as with the midranks of Sun & Xu 2014, IEEE Signal Processing Letters 21:1389, which take three). NaN for
    images without a known target, and where a class is absent.
    """
    right = np.full(images, np.nan)
    if ranking.positives * ranking.negatives == 0:
        return right
    starts, stops = ranking.ends
    before, up_to = (ranking.found[ends] for ends in (starts, stops))
    sizes = stops - starts
    positives_above = np.repeat((before + up_to) / 2, sizes)  # and half of those at the same score
    negatives_above = np.repeat((starts - before + stops - up_to) / 2, sizes)
    share = np.where(ranking.positive, 1 - negatives_above / ranking.negatives, positives_above / ranking.positives)
    right[ranking.order] = share
    return right


@dataclass(frozen=True)
class _Sample:
    """One label's images with a known target, and all that a variance needs of their classes and patients."""

    known: Flags
    """[N]"""
    positive: Flags
    """[n] of the known."""
    patient: Integers | None
    """[n] codes; None where every image is independent."""
    with_positive: int
    """Patients, or images, with a positive image."""
    with_negative: int

    @classmethod
    def of(cls, target: Floats, codes: Integers | None) -> "_Sample":
        known = ~np.isnan(target)
        positive = target[known] == 1
        if codes is None:
            found = int(positive.sum())
            return cls(known, positive, None, found, positive.size - found)
        patient = _codes(codes[known])
        return cls(known, positive, patient, _distinct(patient[positive]), _distinct(patient[~positive]))


def _compare(sample: _Sample, of_first: Floats, of_second: Floats, level: float) -> DeLong:
    positive = sample.positive
    reason = why_not(int(positive.sum()), int((~positive).sum()))
    if reason:
        return _undecided(float("nan"), float("nan"), reason)
    first, second = of_first[sample.known], of_second[sample.known]
    auroc_first, auroc_second = float(first[positive].mean()), float(second[positive].mean())
    components = first - second
    difference = float(components[positive].mean())
    if min(sample.with_positive, sample.with_negative) < 2:
        return _undecided(auroc_first, auroc_second, "fewer than two patients with a positive or a negative image")
    error = float(np.sqrt(_variance(sample, components)))
    if error < _ROUNDING:
        if abs(difference) >= _ROUNDING:
            return _undecided(auroc_first, auroc_second, "the estimated variance is zero")
        return DeLong(auroc_first, auroc_second, 0.0, 0.0, 0.0, 0.0, 1.0, "")
    margin = error * float(ndtri((1 + level) / 2))
    p = 2 * float(ndtr(-abs(difference) / error))
    return DeLong(auroc_first, auroc_second, difference, error, difference - margin, difference + margin, p, "")


def _codes(clusters: NDArray[Any]) -> Integers:
    """The clusters as 0, 1, ... in sorted order; those that already are small numbers without a sort."""
    if clusters.dtype.kind != "i" or not clusters.size or not 0 <= clusters.min() <= clusters.max() < 4 * clusters.size:
        codes: Integers = np.unique(clusters, return_inverse=True)[1]
        return codes
    places: Integers = np.cumsum(np.bincount(clusters) > 0) - 1
    return places[clusters]


def _distinct(codes: Integers) -> int:
    return int(np.count_nonzero(np.bincount(codes)))


def _variance(sample: _Sample, components: Floats) -> float:
    """Variance of the mean component (Obuchowski 1997, Biometrics 53:567, S10/M + S01/N + 2 S11/MN).

    Linear in the components: given the difference of two models' components it is the variance of the
    difference, V1 + V2 - 2 V12, without the cancellation. An image that is its own patient is in one class alone, so
    S11 is 0 where every image is independent. With patients it may take away all of the others but rounding: that is 0.
    """
    positive = sample.positive
    centred = components - components[positive].mean()
    positives, negatives = int(positive.sum()), int((~positive).sum())
    s11 = size = 0.0
    if sample.patient is None:
        of_positive, of_negative = centred[positive], centred[~positive]
    else:
        patients = int(sample.patient.max()) + 1
        of_positive = np.bincount(sample.patient, centred * positive, patients)
        of_negative = np.bincount(sample.patient, centred * ~positive, patients)
        products = patients / (patients - 1) * of_positive * of_negative
        s11, size = float(products.sum()), float(np.abs(products).sum())
    s10 = sample.with_positive / (sample.with_positive - 1) / positives * float((of_positive**2).sum())
    s01 = sample.with_negative / (sample.with_negative - 1) / negatives * float((of_negative**2).sum())
    alone, pairs = s10 / positives + s01 / negatives, positives * negatives
    variance = alone + 2 * s11 / pairs
    return variance if variance > _ROUNDING * (alone + 2 * size / pairs) else 0.0


def _undecided(auroc_first: float, auroc_second: float, reason: str) -> DeLong:
    nan = float("nan")
    return DeLong(auroc_first, auroc_second, auroc_first - auroc_second, nan, nan, nan, nan, reason)
