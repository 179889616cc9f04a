"""How old embeddings say that patients are, and how far that is right."""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mmsn.statistics.ranking import Floats


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
