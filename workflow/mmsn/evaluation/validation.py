"""The one number that chooses epochs and runs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmsn.console import logger
from mmsn.errors import UserError
from mmsn.evaluation.subsets import missing_classes
from mmsn.statistics.metrics import auroc


def macro_auroc(targets: NDArray[np.float32], scores: NDArray[np.float32]) -> float:
    """Mean AUROC over the labels of `[N, L]` that have both classes; NaN targets are ignored.

    Raises:
        UserError: when no label has both, or a score is not finite.
    """
    wrong = int((~np.isfinite(scores)).sum())
    if wrong:
        raise UserError(
            f"{wrong:,} of {scores.size:,} scores of validation images are not finite: the encoder gives no numbers, "
            "or the learning rate is too high; look at the encoder's training curves, or lower the rates of the runs"
        )
    values = []
    for label in range(targets.shape[1]):
        known = ~np.isnan(targets[:, label])
        values.append(auroc(targets[known, label], scores[known, label]) if known.any() else np.nan)
    if np.isnan(values).all():
        raise UserError("no label has a positive and a negative among the validation images: enlarge that split")
    return float(np.nanmean(values))


def warn_of_unjudged(targets: NDArray[np.float32], labels: Sequence[str], title: str) -> None:
    """Say which labels of validation targets `[N, L]` lack a class: they do not help to choose epoch and run."""
    absent = missing_classes(targets, labels)
    if absent:
        reasons = ", ".join(f"{label} ({reason})" for label, reason in absent.items())
        logger.warning(
            "warning: %s: labels that have no part in the validation AUROC, which chooses epoch and run: %s",
            title,
            reasons,
        )
