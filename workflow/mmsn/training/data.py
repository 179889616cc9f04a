"""The images that a run pretrains on, each with its EHR row."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmsn.errors import UserError
from mmsn.files import read_table
from mmsn.images.store import PixelStore
from mmsn.methods import Method
from mmsn.randomness import generator
from mmsn.training.controls import constant, shuffled


@dataclass(frozen=True)
class PretrainData:
    """Pixels by position in the store, and the EHR in the same order."""

    store: PixelStore
    positions: NDArray[np.int64]
    """`[N]` positions in the store."""
    ehr: Tensor | None
    """`[N, n]` float32, None for methods without EHR."""

    def __len__(self) -> int:
        return len(self.positions)

    def batches(self, batch_size: int, seed: int, epoch: int, first: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Pixels `[B, S, S]` uint8 and EHR `[B, n]` of an epoch's full batches, from batch `first` on.

        The order is a function of (seed, epoch); what does not fill a batch is left for another epoch's order.
        """
        order = torch.randperm(len(self), generator=generator("cpu", seed, "order", epoch))
        for batch in range(first, len(self) // batch_size):
            chosen = order[batch * batch_size : (batch + 1) * batch_size]
            yield self.store.batch(self.positions[chosen.numpy()]), None if self.ehr is None else self.ehr[chosen]


def load_data(
    store: PixelStore, images: Path, features: Path | None, rows: str, method: Method, seed: int
) -> PretrainData:
    """Put store, cohort and feature table together.

    Args:
        store: the data set's pixels; images quarantined there are left out.
        images: the cohort's images.parquet.
        features: the feature set's table, None for methods without EHR.
        rows: `train` or `all`.
        method: decides on the control.
        seed: of the permutation of the control `shuffled`.

    Raises:
        UserError: when no image is left, or an image has no row in the feature table.
    """
    cohort = read_table(images, ["dicom_id", "subject_id", "split"])
    if rows == "train":
        cohort = cohort.filter(pa.compute.equal(cohort["split"], "train"))
    positions = store.rows_of(cohort["dicom_id"].combine_chunks())
    cohort = cohort.filter(pa.array(positions >= 0))
    if len(cohort) == 0:
        raise UserError(f"{images}: no image to pretrain on (pretrain.rows: {rows}); check the split and the store")
    ehr = None
    if features is not None:
        values = _feature_rows(features, cohort["dicom_id"].to_numpy(zero_copy_only=False))
        values = _controlled(values, cohort["subject_id"].to_numpy(), method.control, seed)
        ehr = torch.from_numpy(values)
    return PretrainData(store, positions[positions >= 0], ehr)


def _feature_rows(path: Path, dicom_ids: NDArray[np.object_]) -> NDArray[np.float32]:
    """Rows of a feature table in the order of `dicom_ids`: `[N, n]`."""
    table = read_table(path)
    known = table["dicom_id"].to_numpy(zero_copy_only=False)
    order = np.argsort(known)
    place = np.searchsorted(known, dicom_ids, sorter=order).clip(max=len(known) - 1)
    rows = order[place]
    missing = int((known[rows] != dicom_ids).sum())
    if missing:
        raise UserError(f"{path}: {missing} pretraining images have no row here; delete it to have it made again")
    columns = [table[name].to_numpy() for name in table.column_names if name != "dicom_id"]
    return np.stack(columns, axis=1).astype(np.float32)[rows]


def _controlled(
    values: NDArray[np.float32], patients: NDArray[np.int64], control: str | None, seed: int
) -> NDArray[np.float32]:
    if control == "shuffled":
        return shuffled(values, patients, seed)
    return constant(values) if control == "constant" else values
