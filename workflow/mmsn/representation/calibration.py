"""Do probabilities mean what they say: Brier score, calibration slope and intercept, expected calibration error."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from mmsn.statistics.ranking import Floats, Integers

MEASURES: Final = ("brier", "slope", "intercept", "ece")
_CLIP: Final = 1e-6
_STEPS: Final = 100
_CONVERGED: Final = 1e-10
_LARGEST_STEP: Final = 2.0
_STEEPEST: Final = 50.0
"""Log odds a standard deviation of the scores beyond which classes are taken as separated."""


@dataclass(frozen=True)
class Calibration:
    """The measures of one label's N images with a known target, and their replicates [R]."""

    value: dict[str, float]
    replicates: dict[str, Floats]


class Resamples:
    """Sums over images in every resample.

    A patient's images are drawn together, so each column is summed over patients once, and resamples are taken of those
    sums: MIMIC-CXR's test patients have six images each.
    """

    def __init__(self, weights: Floats, patients: Integers | None = None) -> None:
        """Keep the counts.

        Args:
            weights: [R, P] how often each patient counts; [R, N] each image where `patients` is left out.
            patients: [N] place of each image's patient in `weights`.
        """
        self._weights, self._patients = weights, patients

    def sums(self, columns: Floats) -> Floats:
        """Columns [K, N], side by side in memory, summed over the images of each resample: [R, K]."""
        if self._patients is None:
            return np.asarray(self._weights @ columns.T)
        width = self._weights.shape[1]
        by_patient = [np.bincount(self._patients, column, width) for column in columns]
        return np.asarray(self._weights @ np.stack(by_patient, axis=1))


def calibration(targets: Floats, scores: Floats, resamples: Resamples, bins: int) -> Calibration:
    """All measures of one label.

    The slope is that of the logistic regression of the target on the score's logit: 1 where probabilities are right,
    below 1 where they are too extreme (Cox 1958). The intercept is that regression's with the slope held at 1: what has
    to be added to all log odds (Van Calster et al. 2019). In a resample both are taken one Newton step from those of
    the full sample (Moulton & Zeger 1991) instead of fitted a thousand times.

    Args:
        targets: [N] of 0 and 1, both present.
        scores: [N] probabilities.
        resamples: of the N images.
        bins: of equal width, for the calibration error.

    Raises:
        ValueError: the scores are constant, or separate the classes, so that there is no slope.
    """
    logits = _logits(scores)
    if np.ptp(logits) == 0:
        raise ValueError("constant score")
    spread = (logits - logits.mean()) / logits.std()
    slope = _Regression(np.stack([np.ones_like(spread), spread]), targets, np.zeros_like(logits))
    intercept = _Regression(np.ones((1, len(targets))), targets, logits)
    errors = ((scores - targets) ** 2)[None]
    by_bin = _differences_by_bin(targets, scores, bins)
    value = {
        "brier": float(errors.mean()),
        "slope": float(slope.coefficients[1] / logits.std()),
        "intercept": float(intercept.coefficients[0]),
        "ece": float(_calibration_error(by_bin.sum(axis=1)[None], np.full(1, float(len(targets))))[0]),
    }
    # All columns at once: the counts of a thousand resamples are read from memory once, not once a measure.
    columns = [np.ones_like(errors), errors, by_bin, slope.columns(), intercept.columns()]
    ends = np.cumsum([len(column) for column in columns])[:-1]
    images, error, bias, of_slope, of_intercept = np.split(resamples.sums(np.vstack(columns)), ends, axis=1)
    with np.errstate(invalid="ignore"):
        brier = error[:, 0] / images[:, 0]
    replicates = {
        "brier": brier,
        "slope": slope.resampled(of_slope)[:, 1] / logits.std(),
        "intercept": intercept.resampled(of_intercept)[:, 0],
        "ece": _calibration_error(bias, images[:, 0]),
    }
    return Calibration(value, replicates)


class _Regression:
    """Unpenalised logistic regression of targets [N] on a design [P, N] of rows alike in size, with offset [N]."""

    def __init__(self, design: Floats, targets: Floats, offset: Floats) -> None:
        """Fit by Newton's method, with steps that cannot overshoot far.

        Raises:
            ValueError: the design separates the classes.
        """
        self.design, self.targets, self.offset = design, targets, offset
        self.coefficients = np.zeros(len(design))
        for _ in range(_STEPS):
            residuals, certainty = self._residuals()
            # by pairs of rows: BLAS is ten times slower at a product of two matrices that are so much longer than wide
            curvature = np.array([[one @ other for other in design] for one in certainty * design])
            step = np.linalg.solve(curvature, design @ residuals)
            self.coefficients = self.coefficients + np.clip(step, -_LARGEST_STEP, _LARGEST_STEP)
            if np.abs(self.coefficients[1:]).max(initial=0) > _STEEPEST:
                break
            if np.abs(step).max() < _CONVERGED:
                return
        raise ValueError("scores that separate the classes")

    def columns(self) -> Floats:
        """What a Newton step sums over images: gradient and curvature, [P + P^2, N]."""
        residuals, certainty = self._residuals()
        products = self.design[:, None] * self.design[None] * certainty
        return np.vstack([self.design * residuals, products.reshape(-1, products.shape[-1])])

    def resampled(self, summed: Floats) -> Floats:
        """Coefficients one Newton step on, by the sums of `columns` in every resample: [R, P]; NaN without a step."""
        columns = len(self.design)
        gradient, curvature = summed[:, :columns], summed[:, columns:].reshape(-1, columns, columns)
        steps = np.full(gradient.shape, np.nan)
        regular = np.linalg.matrix_rank(curvature) == columns
        steps[regular] = np.linalg.solve(curvature[regular], gradient[regular][:, :, None])[:, :, 0]
        return np.asarray(self.coefficients + steps)

    def _residuals(self) -> tuple[Floats, Floats]:
        """Target minus chance, and the variance of the chance: [N] each."""
        chance = 1 / (1 + np.exp(-(self.coefficients @ self.design + self.offset)))
        return self.targets - chance, chance * (1 - chance)


def _differences_by_bin(targets: Floats, scores: Floats, bins: int) -> Floats:
    """Target minus score of each image in the row of its bin: [bins, N]."""
    place = np.minimum((scores * bins).astype(int), bins - 1)
    rows = np.zeros((bins, len(targets)))
    rows[place, np.arange(len(targets))] = targets - scores
    return rows


def _calibration_error(summed: Floats, images: Floats) -> Floats:
    """Mean over bins of |share of positives - mean score|, weighted by their images (Guo et al. 2017): [R].

    Args:
        summed: [R, bins] of `_differences_by_bin`.
        images: [R].
    """
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(summed).sum(axis=1) / images)


def _logits(scores: Floats) -> Floats:
    clipped = np.clip(scores, _CLIP, 1 - _CLIP)
    return np.asarray(np.log(clipped / (1 - clipped)))
