"""The images that a run pretrains on, each with what its method needs: EHR row, labels, images of the same study."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmsn.errors import UserError
from mmsn.files import read_table
from mmsn.images.share import Share
from mmsn.images.store import PixelStore
from mmsn.labels import LABELS
from mmsn.lineage import Split, check_same_split
from mmsn.methods import Method
from mmsn.randomness import generator
from mmsn.training.controls import constant, shuffled
from mmsn.training.leaks import check_rows
from mmsn.training.steps.base import Batch


@dataclass(frozen=True)
class PretrainData:
    """Pixels by position in the store, and what goes with them in the same order."""

    store: PixelStore
    positions: NDArray[np.int64]
    """`[N]` positions in the store."""
    ehr: Tensor | None = None
    """`[N, n]` float32, None for methods without EHR."""
    targets: Tensor | None = None
    """`[N, 14]` float32 labels, NaN where ignored; None for methods without labels."""
    studies: NDArray[np.int64] | None = None
    """`[N]` study of each image, where positives are of the same study."""
    _mates: "StudyMates | None" = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.studies is not None:
            object.__setattr__(self, "_mates", StudyMates.of(self.studies))

    def __len__(self) -> int:
        return len(self.positions)

    def order(self, seed: int, epoch: int) -> Tensor:
        """Rows in the order of an epoch, a function of (seed, epoch)."""
        return torch.randperm(len(self), generator=generator("cpu", seed, "order", epoch))

    def batches(self, share: Share, seed: int, epoch: int, first: int) -> Iterator[Batch]:
        """An epoch's full steps of `share.whole` images from step `first` on; of each, the images of `share`.

        What does not fill a step is left for another epoch's order.
        """
        order = self.order(seed, epoch)
        partners = None if self._mates is None else self._mates.drawn(generator("cpu", seed, "partners", epoch))
        for step in range(first, len(self) // share.whole):
            rows = order[step * share.whole : (step + 1) * share.whole][share.rows]
            yield Batch(
                self.store.batch(self.positions[rows.numpy()]),
                None if self.ehr is None else self.ehr[rows],
                None if self.targets is None else self.targets[rows],
                None if partners is None else self.store.batch(self.positions[partners[rows.numpy()]]),
                share,
            )


@dataclass(frozen=True)
class StudyMates:
    """For each row, the other rows of its study."""

    by_study: NDArray[np.int64]
    """`[N]` rows sorted by study."""
    starts: NDArray[np.int64]
    """`[N]` where a row's study starts in `by_study`."""
    sizes: NDArray[np.int64]
    """`[N]` images of a row's study."""
    places: NDArray[np.int64]
    """`[N]` place of a row within its study."""

    @classmethod
    def of(cls, studies: NDArray[np.int64]) -> "StudyMates":
        """Group rows by study."""
        by_study = np.argsort(studies, kind="stable")
        _, inverse, counts = np.unique(studies, return_inverse=True, return_counts=True)
        starts = (np.cumsum(counts) - counts)[inverse]
        places = np.empty_like(by_study)
        places[by_study] = np.arange(len(studies))
        return cls(by_study, starts, counts[inverse], places - starts)

    def drawn(self, draws: torch.Generator) -> NDArray[np.int64]:
        """For each row another row of its study, each as likely; the row itself where it is alone. `[N]`"""
        shares = torch.rand(len(self.sizes), generator=draws, dtype=torch.float64).numpy()
        steps = 1 + np.minimum((shares * (self.sizes - 1)).astype(np.int64), np.maximum(self.sizes - 2, 0))
        return self.by_study[self.starts + (self.places + steps) % self.sizes]


def load_data(
    store: PixelStore,
    images: Path,
    features: Path | None,
    rows: str,
    method: Method,
    seed: int,
    same_study: bool = False,
) -> PretrainData:
    """Put store, cohort and feature table together.

    Args:
        store: the data set's pixels; images quarantined there are left out.
        images: the cohort's rows.parquet, or its images.parquet where the method needs labels.
        features: the feature set's table, None for methods without EHR.
        rows: `train` or `all`.
        method: decides on the control and on labels.
        seed: of the permutation of the control `shuffled`.
        same_study: whether positives are other images of the same study.

    Raises:
        UserError: when no image is left, an image has no row in the feature table, the feature table is of another
            split, or a validation or test patient would be trained on.
    """
    labels = ["labelled", *LABELS] if method.needs_labels else []
    cohort = read_table(images, ["dicom_id", "subject_id", "study_id", "split", *labels])
    if rows == "train":
        cohort = cohort.filter(pc.equal(cohort["split"], "train"))
    if method.needs_labels:
        cohort = cohort.filter(cohort["labelled"])
    positions = store.rows_of(cohort["dicom_id"].combine_chunks())
    cohort = cohort.filter(pa.array(positions >= 0))
    if len(cohort) == 0:
        raise UserError(f"{images}: no image to pretrain on (pretrain.rows: {rows}); check the split and the store")
    if method.is_trained:
        check_rows(store.dicom_ids.take(pa.array(positions[positions >= 0])), images, rows)
    ehr = None
    if features is not None:
        check_same_split(images, features, Split.of_file(features), "make the features again")
        values = _feature_rows(features, cohort["dicom_id"].to_numpy(zero_copy_only=False))
        values = _controlled(values, cohort["subject_id"].to_numpy(), method.control, seed)
        ehr = torch.from_numpy(values)
    return PretrainData(
        store,
        positions[positions >= 0],
        ehr,
        _targets(cohort) if method.needs_labels else None,
        cohort["study_id"].to_numpy() if same_study else None,
    )


def _targets(cohort: pa.Table) -> Tensor:
    columns = [cohort[label].to_numpy(zero_copy_only=False) for label in LABELS]
    return torch.from_numpy(np.stack(columns, axis=1).astype(np.float32))


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
