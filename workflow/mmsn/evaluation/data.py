"""Labelled images of the three splits, with their pixels' positions."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mmsn.errors import UserError
from mmsn.files import read_table
from mmsn.images.store import PixelStore
from mmsn.labels import LABELS


@dataclass(frozen=True)
class LabelledImages:
    """One split's images that have labels and pixels."""

    dicom_ids: NDArray[np.object_]
    subject_ids: NDArray[np.int64]
    targets: NDArray[np.float32]
    """`[N, 14]`: 1, 0, NaN where ignored."""
    positions: NDArray[np.int64]
    """`[N]` positions in the pixel store."""

    def __len__(self) -> int:
        return len(self.positions)


def load_split(images: Path, store: PixelStore, split: str) -> LabelledImages:
    """The labelled images of `split`.

    Raises:
        UserError: when there are none.
    """
    table = read_table(images, ["dicom_id", "subject_id", "split", "labelled", *LABELS])
    table = table.filter(pc.and_(pc.equal(table["split"], split), table["labelled"]))
    if len(table) == 0:
        raise UserError(f"{images}: split {split} has no labelled image; check cohort.split and the label table")
    positions = store.rows_of(table["dicom_id"].combine_chunks())
    table = table.filter(pa.array(positions >= 0))
    targets = np.stack([table[label].to_numpy(zero_copy_only=False) for label in LABELS], axis=1)
    return LabelledImages(
        dicom_ids=table["dicom_id"].to_numpy(zero_copy_only=False),
        subject_ids=table["subject_id"].to_numpy(),
        targets=targets.astype(np.float32),
        positions=positions[positions >= 0],
    )
