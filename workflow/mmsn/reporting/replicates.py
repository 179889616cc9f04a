"""Macro means of every run in the resamples of patients, kept: any two runs can be compared without scoring again."""

from collections.abc import Iterable

import pyarrow as pa

from mmsn.reporting.schemas import METRICS
from mmsn.reporting.scoring import Scored

REPLICATES = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),  # as in the summary, also of means over seeds
        pa.field("metric", pa.string(), nullable=False),
        pa.field("of_patients", pa.list_(pa.float64()), nullable=False),  # [R], resample by resample for all runs alike
    ]
)
"""One row a run and metric; they describe resamples of the whole test set, no single patient."""


def replicates_table(scored: Iterable[Scored]) -> pa.Table:
    """`REPLICATES` of runs and of means over seeds."""
    rows = [
        {"run": one.run.id, "metric": metric, "of_patients": one.of_patients[metric]}
        for one in scored
        for metric in METRICS
    ]
    return pa.Table.from_pylist(rows, schema=REPLICATES)
