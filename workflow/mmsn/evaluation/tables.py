"""Predictions and the record of every setting tried, as tables with a written schema."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mmsn.evaluation.data import LabelledImages
from mmsn.evaluation.linear import LinearResult
from mmsn.labels import LABELS

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


def predictions_table(images: LabelledImages, scores: NDArray[np.float32]) -> pa.Table:
    """One row an image and label; `scores` is `[N, 14]`, the target null where ignored."""
    count = len(LABELS)
    labels = pa.DictionaryArray.from_arrays(
        pa.array(np.tile(np.arange(count, dtype=np.int8), len(images))), pa.array(LABELS)
    )
    columns = [
        pa.array(np.repeat(images.dicom_ids, count), pa.string()),
        pa.array(np.repeat(images.subject_ids, count)),
        labels,
        pa.array(images.targets.ravel(), pa.float32(), from_pandas=True),
        pa.array(scores.ravel().astype(np.float32)),
    ]
    return pa.Table.from_arrays(columns, schema=PREDICTIONS_SCHEMA)


def runs_table(result: LinearResult) -> pa.Table:
    """One row a probe run: what it was, when it stopped, how good it was on validation, which one was chosen."""
    rows = [
        {
            "run": probe.run.id,
            "schedule": probe.run.schedule,
            "learning_rate": probe.run.learning_rate,
            "epochs": probe.epochs,
            "best_epoch": probe.best_epoch,
            "validation_auroc": probe.best_auroc,
            "chosen": probe is result.chosen,
        }
        for probe in result.probes
    ]
    return pa.Table.from_pylist(rows, schema=RUNS_SCHEMA)
