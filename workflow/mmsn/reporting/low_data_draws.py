"""Random subsets of the training images: one method's macro means on them, on the test set and in its resamples."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mmsn.reporting.low_data import MeasuredSubsets, excluded_labels
from mmsn.reporting.schemas import METRICS, Metric

Floats: TypeAlias = NDArray[np.float64]
REPLICATES = pa.schema(
    [
        pa.field("method", pa.string(), nullable=False),
        pa.field("method_name", pa.string(), nullable=False),
        pa.field("share", pa.float64(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("seeds", pa.list_(pa.int64()), nullable=False),
        pa.field("values", pa.list_(pa.float64()), nullable=False),  # mean over the subsets, by seed
        pa.field("of_patients", pa.list_(pa.float64()), nullable=False),  # [R] the same mean, over the seeds too
    ]
)
"""One row a method, share and metric; they describe resamples of the whole test set, no single patient."""


@dataclass(frozen=True)
class Draws:
    """One method's macro metric on the random subsets of one share of the training images, draws in order."""

    numbers: tuple[int, ...]
    """[D] the draws."""
    seeds: tuple[int, ...]
    """Pretraining seeds that every draw is averaged over."""
    values: Floats
    """[D, S] on the whole test set, by seed."""
    of_patients: Floats
    """[D, R] in the resamples of patients, which every subset shares, averaged over the seeds."""
    of_images: Floats
    """[R] of the best draw alone, in the resamples of images."""


def draws_of(measured: MeasuredSubsets, method: str, share: float, metric: Metric) -> Draws:
    """Every draw of one method and share, over the labels that the share's macro means are taken over."""
    left_out = excluded_labels(measured.labels, share)
    kept = [name not in left_out for name in measured.names]
    own = sorted(
        (one for one in measured.of_patients if (one.method, one.share) == (method, share)),
        key=lambda one: (one.draw, one.seed),
    )
    numbers, seeds = sorted({one.draw for one in own}), sorted({one.seed for one in own})
    labels = measured.labels.query("method == @method and share == @share and label not in @left_out")
    values = labels.groupby(["draw", "seed"])[metric].mean().to_numpy(np.float64)
    shape = len(numbers), len(seeds)
    of_patients = np.array([measured.of_patients[one].macro(metric, kept) for one in own]).reshape(*shape, -1)
    best = [one for one in own if one in measured.of_images]  # every seed of one draw
    of_images = np.mean([measured.of_images[one].macro(metric, kept) for one in best], axis=0)
    return Draws(tuple(numbers), tuple(seeds), values.reshape(shape), of_patients.mean(axis=1), of_images)


def replicates_of_draws(measured: MeasuredSubsets) -> pa.Table:
    """`REPLICATES` of every method's mean over the subsets: any two can be compared without scoring again."""
    named = measured.labels[["method", "method_name", "share"]].drop_duplicates()
    rows = []
    for method, name, share in named.itertuples(index=False, name=None):
        for metric in METRICS:
            own = draws_of(measured, method, share, metric)
            names = {"method": method, "method_name": name, "share": share, "metric": metric}
            means = {"values": own.values.mean(axis=0), "of_patients": own.of_patients.mean(axis=0)}
            rows.append(names | {"seeds": own.seeds} | means)
    return pa.Table.from_pylist(rows, schema=REPLICATES)
