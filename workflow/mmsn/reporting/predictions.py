"""Stored predictions -> arrays, and the check that two runs were judged on the same images."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from mmsn.errors import UserError
from mmsn.labels import LABELS
from mmsn.lineage import NO_SPLIT, Split

_COLUMNS = ("dicom_id", "subject_id", "label", "target", "score")
_AGAIN = "evaluate the run again"


@dataclass(frozen=True)
class Predictions:
    """One run's predictions of a test set."""

    images: NDArray[np.object_]
    """[N] dicom_id, sorted."""
    patients: NDArray[np.int64]
    """[N] subject_id."""
    labels: tuple[str, ...]
    """L names, in the order of `mmsn.labels`, then any others by name."""
    targets: NDArray[np.float64]
    """[N, L] of 1, 0, NaN (ignored)."""
    scores: NDArray[np.float64]
    """[N, L] probabilities."""
    split: Split = NO_SPLIT
    """The split under which the run was trained and judged."""


def from_table(table: pa.Table, source: str) -> Predictions:
    """Arrange a long `predictions.parquet` as images x labels; the order of its rows does not matter.

    Args:
        table: dicom_id, subject_id, label, target (1, 0, null), score.
        source: the file, named in errors.

    Raises:
        UserError: a column is missing, an image lacks a label or has it twice or has two patients, a score or
            target is impossible.
    """
    missing = [name for name in _COLUMNS if name not in table.column_names]
    if missing:
        raise UserError(f"{source}: column {missing[0]} is missing; {_AGAIN}")
    rows = table.select(list(_COLUMNS)).to_pandas()
    image, images = pd.factorize(rows["dicom_id"], sort=True)
    labels = _ordered(rows["label"].astype(str).unique())
    label = pd.Categorical(rows["label"].astype(str), categories=labels).codes
    shape = len(images), len(labels)
    cell = image * shape[1] + label
    if len(rows) != shape[0] * shape[1] or len(np.unique(cell)) != len(cell):
        raise UserError(
            f"{source}: {len(rows)} rows for {shape[0]} images and {shape[1]} labels; "
            f"every image needs each label exactly once: {_AGAIN}"
        )
    order = np.argsort(cell)
    columns = {name: rows[name].to_numpy(np.float64)[order].reshape(shape) for name in ("target", "score")}
    _refuse_impossible(columns["target"], columns["score"], labels, source)
    patients = rows["subject_id"].to_numpy(np.int64)[order].reshape(shape)
    if (patients != patients[:, :1]).any():
        raise UserError(f"{source}: column subject_id: an image belongs to two patients; {_AGAIN}")
    return Predictions(
        np.asarray(images, dtype=object),
        patients[:, 0],
        tuple(labels),
        columns["target"],
        columns["score"],
        Split.of_table(table),
    )


def check_same_test_set(first: Predictions, second: Predictions, names: tuple[str, str]) -> None:
    """Raise `UserError` with both runs' names unless split, images, patients, labels and targets are the same.

    A paired comparison of models that saw different test sets means nothing, and of two that were trained on different
    patients little.
    """
    difference = _difference(first, second)
    if difference:
        raise UserError(
            f"runs {names[0]} and {names[1]} were not judged on the same test set: {difference}; "
            "evaluate both again on the same cohort"
        )


def _difference(first: Predictions, second: Predictions) -> str:
    if first.split != second.split:
        hashes = (run.split.short or "none recorded" for run in (first, second))
        return f"their splits differ (split_sha256 {' and '.join(hashes)})"
    if first.labels != second.labels:
        other = sorted(set(first.labels) ^ set(second.labels))
        return f"only one of them has the label{'s' * (len(other) > 1)} {', '.join(other)}"
    if not np.array_equal(first.images, second.images):
        only_first, only_second = (len(np.setdiff1d(a.images, b.images)) for a, b in ((first, second), (second, first)))
        return (
            f"{len(first.images)} and {len(second.images)} images, "
            f"{only_first} only in the first, {only_second} only in the second"
        )
    if not np.array_equal(first.patients, second.patients):
        return f"{int((first.patients != second.patients).sum())} images belong to another patient (subject_id)"
    same = (first.targets == second.targets) | (np.isnan(first.targets) & np.isnan(second.targets))
    if not same.all():
        label = first.labels[int(np.flatnonzero(~same.all(axis=0))[0])]
        return f"{int((~same).sum())} targets differ, the first of them for {label}"
    return ""


def _ordered(labels: NDArray[np.object_]) -> list[str]:
    known = [name for name in LABELS if name in labels]
    return known + sorted(set(map(str, labels)) - set(LABELS))


def _refuse_impossible(
    targets: NDArray[np.float64], scores: NDArray[np.float64], labels: list[str], source: str
) -> None:
    wrong = {
        "score": ~np.isfinite(scores),
        "target": ~np.isin(targets, (0.0, 1.0)) & ~np.isnan(targets),
    }
    allowed = {"score": "finite", "target": "0, 1 or null"}
    for column, cells in wrong.items():
        if cells.any():
            label = labels[int(np.flatnonzero(cells.any(axis=0))[0])]
            raise UserError(
                f"{source}: column {column}, label {label}: {int(cells.sum())} values are not "
                f"{allowed[column]}; {_AGAIN}"
            )
