"""What the encoded EHR says of the labels without any image: the floor that an image has to be judged against."""

import json
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from mmsn.console import logger
from mmsn.evaluation.data import check_disjoint, load_split
from mmsn.evaluation.records import load_records
from mmsn.evaluation.subsets import missing_classes
from mmsn.evaluation.tables import predictions_table
from mmsn.files import write_table
from mmsn.images.staging import open_store
from mmsn.lineage import ENCODER_DIGEST, UNTRAINED_LABELS, Split
from mmsn.provenance import content_digest

_ITERATIONS: Final = 1000


def fit_and_score(
    train: NDArray[np.float32], targets: NDArray[np.float32], test: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Probabilities `[M, L]` of one logistic regression a label, without penalty, fitted to its maximum likelihood.

    The loss is the linear protocol's, and convex, so nothing depends on a seed or a learning rate. Images with the same
    record count as one with a weight. A label without both classes gets its constant frequency.

    Args:
        train: encoded EHR `[N, F]`.
        targets: `[N, L]` of 1, 0, NaN where ignored.
        test: `[M, F]`.
    """
    scores = np.empty((len(test), targets.shape[1]), np.float32)
    for label, column in enumerate(targets.T):
        known = ~np.isnan(column)
        classes = np.unique(column[known])
        if len(classes) < 2:
            scores[:, label] = classes[0] if len(classes) else np.float32(0.5)
            continue
        rows, place = np.unique(np.column_stack([train[known], column[known]]), axis=0, return_inverse=True)
        weights = np.bincount(place.ravel())
        model = LogisticRegression(C=np.inf, max_iter=_ITERATIONS, tol=1e-6)
        model.fit(rows[:, :-1], rows[:, -1], sample_weight=weights)
        scores[:, label] = model.predict_proba(test)[:, 1]
    return scores


def run_ehr_only(features: Path, images: Path, store: Path, predictions: Path, title: str) -> None:
    """Fit on the training images' records and write predictions of the test images, those that evaluations have.

    Raises:
        UserError: an empty split, a patient in two splits, a feature table of another split or without an image.
    """
    pixels = open_store(store)
    splits = {name: load_split(images, pixels, name) for name in ("train", "test")}
    check_disjoint(splits, images)
    records = {split: tables[title] for split, tables in load_records({title: features}, images, splits).items()}
    train = splits["train"]
    untrained = missing_classes(train.targets, train.labels)
    if untrained:
        reasons = ", ".join(f"{label} ({reason})" for label, reason in untrained.items())
        logger.warning("warning: labels that the training images cannot teach have a constant score: %s", reasons)
    scores = fit_and_score(records["train"].numpy(), train.targets, records["test"].numpy())
    # no encoder: the table that the scores come from takes its place
    metadata = {ENCODER_DIGEST: content_digest([features])} | Split.of_file(images).metadata
    write_table(
        predictions,
        predictions_table(splits["test"], scores),
        metadata | ({UNTRAINED_LABELS: json.dumps(untrained)} if untrained else {}),
    )
