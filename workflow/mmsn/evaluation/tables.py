"""Predictions and the record of every setting tried, as tables with a written schema."""

import math
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mmsn.evaluation.data import LabelledImages
from mmsn.evaluation.trial import RunRecord

PREDICTIONS_SCHEMA = pa.schema(
    [
        pa.field("dicom_id", pa.string(), nullable=False),
        pa.field("subject_id", pa.int64(), nullable=False),
        pa.field("label", pa.dictionary(pa.int8(), pa.string()), nullable=False),
        pa.field("target", pa.float32()),
        pa.field("score", pa.float32(), nullable=False),
    ]
)
RUNS_SCHEMA = pa.schema(
    [
        ("run", pa.string()),
        ("schedule", pa.string()),
        ("learning_rate", pa.float64()),
        ("epochs", pa.int32()),
        ("best_epoch", pa.int32()),
        ("validation_auroc", pa.float64()),
        ("chosen", pa.bool_()),
    ]
)


class Outcome(Protocol):
    """What an evaluation of either protocol ends with."""

    @property
    def records(self) -> tuple[RunRecord, ...]:
        """How each run went."""

    @property
    def chosen_record(self) -> RunRecord:
        """How the best one did."""

    @property
    def test_scores(self) -> NDArray[np.float32]:
        """`[N, L]` of the best one."""


def predictions_table(images: LabelledImages, scores: NDArray[np.float32]) -> pa.Table:
    """One row an image and label; `scores` is `[N, L]`, the target null where ignored."""
    count = len(images.labels)
    labels = pa.DictionaryArray.from_arrays(
        pa.array(np.tile(np.arange(count, dtype=np.int8), len(images))), pa.array(images.labels)
    )
    columns = [
        pa.array(np.repeat(images.dicom_ids, count), pa.string()),
        pa.array(np.repeat(images.subject_ids, count)),
        labels,
        pa.array(images.targets.ravel(), pa.float32(), from_pandas=True),
        pa.array(scores.ravel().astype(np.float32)),
    ]
    return pa.Table.from_arrays(columns, schema=PREDICTIONS_SCHEMA)


def runs_table(outcome: Outcome) -> pa.Table:
    """One row a run: what it was, when it stopped, how good it was on validation, which one was chosen.

    The validation AUROC is null for a run that gave no finite scores.
    """
    rows = [
        {
            "run": record.run.id,
            "schedule": record.run.schedule,
            "learning_rate": record.run.learning_rate,
            "epochs": record.epochs,
            "best_epoch": record.best_epoch,
            "validation_auroc": record.best_auroc if math.isfinite(record.best_auroc) else None,
            "chosen": record == outcome.chosen_record,
        }
        for record in outcome.records
    ]
    return pa.Table.from_pylist(rows, schema=RUNS_SCHEMA)
