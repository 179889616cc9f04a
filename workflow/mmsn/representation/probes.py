"""What an embedding knows of the patient and the picture: linear probes fitted on training images."""

import warnings
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mmsn.console import logger
from mmsn.statistics.ranking import Floats

_ITERATIONS: Final = 1000


def probe_scores(train: NDArray[np.float32], targets: Floats, test: NDArray[np.float32], name: str) -> Floats:
    """Log odds of the attribute in test images [Q], by logistic regression on standardised embeddings.

    Args:
        train: [N, D].
        targets: [N] of 1, 0, NaN (left out), both classes present.
        test: [Q, D].
        name: of the attribute, for the log.
    """
    known = ~np.isnan(targets)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=_ITERATIONS))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(train[known], targets[known])
    if any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
        logger.warning("probe for %s: still improving after %d iterations", name, _ITERATIONS)
    return np.asarray(model.decision_function(test), dtype=np.float64)


def predicted_ages(train: NDArray[np.float32], ages: Floats, test: NDArray[np.float32]) -> Floats:
    """Ages of test images in years [Q], by ridge regression on standardised embeddings; NaN ages [N] are left out."""
    known = ~np.isnan(ages)
    model = make_pipeline(StandardScaler(), Ridge())
    return np.asarray(model.fit(train[known], ages[known]).predict(test), dtype=np.float64)


def explained_share(ages: Floats, predicted: Floats, weights: Floats) -> Floats:
    """R2 of every row of weights [R, N]: 1 where ages are right, 0 for guessing their mean."""
    total = weights.sum(axis=1)
    residual = weights @ (ages - predicted) ** 2
    centred = ages - ages.mean()  # the same variance, without cancellation
    spread = weights @ centred**2 - (weights @ centred) ** 2 / total
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(1 - residual / spread)


def mean_error(ages: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Mean absolute error in years of every row of weights [R, N]."""
    return np.asarray(weights @ np.abs(ages - predicted) / weights.sum(axis=1))
