"""Stored predictions -> arrays, and the check that two runs were judged on the same images."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mmsn.errors import UserError
from mmsn.labels import LABELS
from mmsn.lineage import HEAD_OF, NO_SPLIT, UNTRAINED_LABELS, Split
from mmsn.statistics.ranking import evaluable

_COLUMNS = ("dicom_id", "subject_id", "label", "target", "score")
_AGAIN = "evaluate the run again"
Number = TypeVar("Number", np.float64, np.int64)


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
    untrained: Mapping[str, str] = field(default_factory=dict)
    """Labels that the training images could not teach, and why; they take no part in a macro mean."""

    @property
    def judged(self) -> NDArray[np.float64]:
        """Targets [N, L] of the labels that could be taught; NaN for the others."""
        untaught = np.array([name in self.untrained for name in self.labels], dtype=np.bool_)
        return np.where(untaught, np.nan, self.targets)

    head_of: str = ""
    """Data set that the head was trained on, where it judges another one as it is."""


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
    image, images = _coded(table["dicom_id"], sorted)
    label, labels = _coded(table["label"], _ordered)
    shape = len(images), len(labels)
    cell = image * shape[1] + label
    if not _is_each_once(cell, shape[0] * shape[1]):
        raise UserError(
            f"{source}: {table.num_rows} rows for {shape[0]} images and {shape[1]} labels; "
            f"every image needs each label exactly once: {_AGAIN}"
        )
    columns = {name: _placed(_numbers(table[name]), cell).reshape(shape) for name in ("target", "score")}
    refuse_impossible(columns["target"], columns["score"], labels, source)
    patients = _placed(table["subject_id"].to_numpy().astype(np.int64), cell).reshape(shape)
    if (patients != patients[:, :1]).any():
        raise UserError(f"{source}: column subject_id: an image belongs to two patients; {_AGAIN}")
    return Predictions(
        np.asarray(images, dtype=object),
        patients[:, 0],
        tuple(labels),
        columns["target"],
        columns["score"],
        **facts_of_file(table),
    )


def facts_of_file(table: pa.Table) -> dict[str, Any]:
    """What the metadata of a file of predictions say."""
    metadata = table.schema.metadata or {}
    return {
        "split": Split.of_table(table),
        "untrained": json.loads(metadata.get(UNTRAINED_LABELS.encode(), b"{}")),
        "head_of": metadata.get(HEAD_OF.encode(), b"").decode(),
    }


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


def check_same_training(first: Predictions, second: Predictions, names: tuple[str, str]) -> None:
    """Refuse runs of which only one could learn a label: their macro means would be over other labels.

    Raises:
        UserError: names both runs and the labels.
    """
    other = sorted(set(first.untrained) ^ set(second.untrained))
    if other:
        raise UserError(
            f"runs {names[0]} and {names[1]} were not trained on the same labels: only one of them had both classes of "
            f"{', '.join(other)}; evaluate both again on the same cohort"
        )


def refuse_empty(test_set: Predictions, name: str) -> None:
    """Refuse a test set that nothing can be measured on.

    Raises:
        UserError: names the run; one patient alone, or no label with both classes in training and test set.
    """
    patients = len(set(test_set.patients.tolist()))
    if patients < 2:
        raise UserError(f"run {name}: {patients} patient in the test set; intervals need at least two: enlarge it")
    taught = [label not in test_set.untrained for label in test_set.labels]
    if not (evaluable(test_set.targets) & taught).any():
        raise UserError(
            f"run {name}: no label has both positive and negative images among the {len(test_set.images)} "
            "of the test set and among the training images, so there is nothing to measure: enlarge it"
        )


def _difference(first: Predictions, second: Predictions) -> str:
    if first.split != second.split:
        hashes = (run.split.short or "none recorded" for run in (first, second))
        return f"their splits differ (split_sha256 {' and '.join(hashes)})"
    if first.labels != second.labels:
        other = sorted(set(first.labels) ^ set(second.labels))
        return f"only one of them has the label{'s' * (len(other) > 1)} {', '.join(other)}"
    if first.images is second.images and first.patients is second.patients and first.targets is second.targets:
        return ""  # arranged by one `Reader`
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


def _coded(
    column: pa.ChunkedArray, arrange: Callable[[Iterable[str]], list[str]]
) -> tuple[NDArray[np.int64], list[str]]:
    """Place of each cell among the arranged distinct values (-1 for null), and those values.

    Arrow finds the distinct values: of half a million rows in a fiftieth of the time that pandas takes for objects.
    """
    encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    found = encoded.dictionary.to_pylist()
    values = arrange(found)
    place = {value: number for number, value in enumerate(values)}
    places = np.array([*(place[value] for value in found), -1], dtype=np.int64)  # the last answers for code -1
    return places[encoded.indices.fill_null(-1).to_numpy()], values


def _is_each_once(cell: NDArray[np.int64], cells: int) -> bool:
    """Whether the codes are 0 .. cells - 1 in some order."""
    return len(cell) == cells and bool((cell >= 0).all()) and int(np.bincount(cell, minlength=cells).max(initial=0)) < 2


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """Null becomes NaN."""
    return np.asarray(column.to_numpy(), dtype=np.float64)


def _placed(values: NDArray[Number], cell: NDArray[np.int64]) -> NDArray[Number]:
    """The values in the order of their cells."""
    placed = np.empty_like(values)
    placed[cell] = values
    return placed


def _ordered(labels: Iterable[str]) -> list[str]:
    known = [name for name in LABELS if name in set(labels)]
    return known + sorted(set(labels) - set(LABELS))


def refuse_impossible(
    targets: NDArray[np.float64], scores: NDArray[np.float64], labels: list[str], source: str
) -> None:
    """Raise `UserError` for a score that is not finite or a target that is none of 0, 1 and null; of [N, L] each."""
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
