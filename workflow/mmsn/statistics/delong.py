"""DeLong's test of two models' AUROCs on the same images, with patients as clusters when asked."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from mmsn.statistics.ranking import Flags, Floats, Integers, checked, why_not

Components: TypeAlias = tuple[Floats, ...]
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
    clusters = np.arange(target.size) if patients is None else np.asarray(patients)
    if clusters.shape != target.shape:
        raise ValueError(f"{clusters.shape} patients for {target.shape} targets")
    return _test(target, _of_label(target, one), _of_label(target, other), clusters, level)


def label_components(targets: ArrayLike, scores: ArrayLike) -> Components:
    """What every test of one model needs of each label of targets and scores [N, L]: see `_components`."""
    target, score = checked(targets, scores)
    return tuple(_of_label(*columns) for columns in zip(target.T, score.T, strict=True))


def _of_label(target: Floats, scores: Floats) -> Floats:
    """Components of the images with a known target; none where a class is absent."""
    known = ~np.isnan(target)
    positive = target[known] == 1
    return _components(positive, scores[known]) if positive.any() and not positive.all() else np.empty(0)


def _test(target: Floats, first: Floats, second: Floats, clusters: NDArray[Any], level: float) -> DeLong:
    known = ~np.isnan(target)
    positive = target[known] == 1
    reason = why_not(int(positive.sum()), int((~positive).sum()))
    if reason:
        return _undecided(float("nan"), float("nan"), reason)
    return _compare(positive, first, second, _codes(clusters[known]), level)


def delong_per_label(
    targets: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    labels: Sequence[str],
    patients: ArrayLike | None = None,
    level: float = 0.95,
    components: tuple[Components, Components] | None = None,
) -> pd.DataFrame:
    """`delong_test` of every label of targets and scores [N, L].

    Args:
        targets: of 0, 1, or NaN for an image to ignore.
        first: scores of the first model.
        second: scores of the second model.
        labels: L names.
        patients: [N] patient of each image.
        level: of the interval.
        components: `label_components` of both models, where they are known already.

    Returns:
        One row a label: label, auroc_first, auroc_second, difference, standard_error, lo, hi, p, excluded.
    """
    target, _ = checked(targets, first, labels)
    pairs = components or (label_components(targets, first), label_components(targets, second))
    clusters = np.arange(len(target)) if patients is None else _codes(np.asarray(patients))
    rows = [
        {"label": label, **asdict(_test(target[:, k], pairs[0][k], pairs[1][k], clusters, level))}
        for k, label in enumerate(labels)
    ]
    return pd.DataFrame(rows, columns=["label", *_COLUMNS, "excluded"])


def _compare(positive: Flags, of_first: Floats, of_second: Floats, patient: Integers, level: float) -> DeLong:
    auroc_first, auroc_second = float(of_first[positive].mean()), float(of_second[positive].mean())
    components = of_first - of_second
    difference = float(components[positive].mean())
    if min(_distinct(patient[positive]), _distinct(patient[~positive])) < 2:
        return _undecided(auroc_first, auroc_second, "fewer than two patients with a positive or a negative image")
    error = float(np.sqrt(max(_variance(positive, components, patient), 0.0)))
    if error == 0:
        if difference != 0:
            return _undecided(auroc_first, auroc_second, "the estimated variance is zero")
        return DeLong(auroc_first, auroc_second, 0.0, 0.0, 0.0, 0.0, 1.0, "")
    margin = error * float(norm.ppf((1 + level) / 2))
    p = 2 * float(norm.sf(abs(difference) / error))
    return DeLong(auroc_first, auroc_second, difference, error, difference - margin, difference + margin, p, "")


def _components(positive: Flags, scores: Floats) -> Floats:
    """Share of the other class that each image is on the right side of, ties one half: [N].

    Images of the other class below, and half of those at the same score, are counted along one sort: no pair is
    looked at (as with the midranks of Sun & Xu 2014, IEEE Signal Processing Letters 21:1389, which take three).
    """
    order = np.argsort(scores)
    ranked, is_positive = scores[order], positive[order]
    first = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    group = np.repeat(np.arange(first.size), np.diff(np.r_[first, ranked.size]))
    positives, negatives = np.add.reduceat(is_positive, first, dtype=np.int64), np.diff(np.r_[first, ranked.size])
    negatives = negatives - positives
    below = np.where(is_positive, _midpoints(negatives)[group], _midpoints(positives)[group])
    share = np.where(is_positive, below / negatives.sum(), 1 - below / positives.sum())
    right: Floats = np.empty_like(share)
    right[order] = share
    return right


def _midpoints(counts: Integers) -> Floats:
    """How many lie in earlier groups, and half of the own group's."""
    middle: Floats = np.cumsum(counts) - counts / 2
    return middle


def _codes(clusters: NDArray[Any]) -> Integers:
    """The clusters as 0, 1, ... in sorted order; those that already are small numbers without a sort."""
    if clusters.dtype.kind != "i" or not clusters.size or not 0 <= clusters.min() <= clusters.max() < 4 * clusters.size:
        codes: Integers = np.unique(clusters, return_inverse=True)[1]
        return codes
    places: Integers = np.cumsum(np.bincount(clusters) > 0) - 1
    return places[clusters]


def _distinct(codes: Integers) -> int:
    return int(np.count_nonzero(np.bincount(codes)))


def _variance(positive: Flags, components: Floats, patient: Integers) -> float:
    """Variance of the mean component (Obuchowski 1997, Biometrics 53:567, S10/M + S01/N + 2 S11/MN).

    Linear in the components: given the difference of two models' components it is the variance of the
    difference, V1 + V2 - 2 V12, without the cancellation.
    """
    centred = components - components[positive].mean()
    patients = int(patient.max()) + 1
    positives, negatives = int(positive.sum()), int((~positive).sum())
    with_positive, with_negative = _distinct(patient[positive]), _distinct(patient[~positive])
    of_positive = np.bincount(patient, centred * positive, patients)
    of_negative = np.bincount(patient, centred * ~positive, patients)
    s10 = with_positive / (with_positive - 1) / positives * (of_positive**2).sum()
    s01 = with_negative / (with_negative - 1) / negatives * (of_negative**2).sum()
    s11 = patients / (patients - 1) * (of_positive * of_negative).sum()
    return float(s10 / positives + s01 / negatives + 2 * s11 / (positives * negatives))


def _undecided(auroc_first: float, auroc_second: float, reason: str) -> DeLong:
    nan = float("nan")
    return DeLong(auroc_first, auroc_second, auroc_first - auroc_second, nan, nan, nan, nan, reason)
