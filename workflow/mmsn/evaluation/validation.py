"""The one number that chooses epochs and runs."""

import numpy as np
from numpy.typing import NDArray

from mmsn.errors import UserError
from mmsn.statistics.metrics import auroc


def macro_auroc(targets: NDArray[np.float32], scores: NDArray[np.float32]) -> float:
    """Mean AUROC over the labels of `[N, L]` that have both classes; NaN targets are ignored.

    Raises:
        UserError: when no label has both.
    """
    values = []
    for label in range(targets.shape[1]):
        known = ~np.isnan(targets[:, label])
        values.append(auroc(targets[known, label], scores[known, label]) if known.any() else np.nan)
    if np.isnan(values).all():
        raise UserError("no label has a positive and a negative among the validation images: enlarge that split")
    return float(np.nanmean(values))
