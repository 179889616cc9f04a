"""Labelled images of the three splits, with their pixels' positions."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mmsn.errors import UserError
from mmsn.files import read_table
from mmsn.images.store import PixelStore
from mmsn.label_names import label_names
from mmsn.labels import LABELS


@dataclass(frozen=True)
class LabelledImages:
    """One split's images that have labels and pixels."""

    dicom_ids: NDArray[np.object_]
    subject_ids: NDArray[np.int64]
    targets: NDArray[np.float32]
    """`[N, L]`: 1, 0, NaN where ignored."""
    positions: NDArray[np.int64]
    """`[N]` positions in the pixel store."""
    labels: tuple[str, ...] = LABELS
    """The L labels, in the order of the targets."""

    def __len__(self) -> int:
        return len(self.positions)


def load_split(images: Path, store: PixelStore, split: str) -> LabelledImages:
    """The labelled images of `split`, with the labels of their data set.

    Raises:
        UserError: when there are none.
    """
    labels = label_names(images)
    table = read_table(images, ["dicom_id", "subject_id", "split", "labelled", *labels])
    table = table.filter(pc.and_(pc.equal(table["split"], split), table["labelled"]))
    if len(table) == 0:
        raise UserError(f"{images}: split {split} has no labelled image; check cohort.split and the label table")
    positions = store.rows_of(table["dicom_id"].combine_chunks())
    table = table.filter(pa.array(positions >= 0))
    targets = np.stack([table[label].to_numpy(zero_copy_only=False) for label in labels], axis=1)
    return LabelledImages(
        dicom_ids=table["dicom_id"].to_numpy(zero_copy_only=False),
        subject_ids=table["subject_id"].to_numpy(),
        targets=targets.astype(np.float32),
        positions=positions[positions >= 0],
        labels=labels,
    )


def check_disjoint(splits: Mapping[str, LabelledImages], source: Path) -> None:
    """Stop when two splits, as they will be used, share a patient or an image.

    Args:
        splits: split -> its images.
        source: the table they come from, named in errors.

    Raises:
        UserError: with a patient whom two splits share.
    """
    for (first, ones), (second, others) in combinations(splits.items(), 2):
        patients = np.intersect1d(ones.subject_ids, others.subject_ids)
        if len(patients):
            raise UserError(
                f"{source}: {len(patients):,} patients are in {first} and in {second}, such as subject_id"
                f" {patients[0]}; put every image of a patient in one split"
            )
        if shared := len(np.intersect1d(ones.positions, others.positions)):
            raise UserError(f"{source}: {shared:,} images are in {first} and in {second}; build the cohort again")
