"""Feature tables -> the encoded EHR of labelled images."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from mmsn.errors import UserError
from mmsn.evaluation.data import LabelledImages
from mmsn.files import read_table
from mmsn.lineage import Split, check_same_split


def load_records(
    tables: Mapping[str, Path], images: Path, splits: Mapping[str, LabelledImages]
) -> dict[str, dict[str, Tensor]]:
    """Split -> feature set -> encoded columns `[N, F]` in the order of the split's images.

    Args:
        tables: feature set -> its Parquet table.
        images: the cohort's images.parquet, whose split the tables must share.
        splits: the images.

    Raises:
        UserError: a table of another split, or one that lacks an image.
    """
    found: dict[str, dict[str, Tensor]] = {name: {} for name in splits}
    for feature_set, path in tables.items():
        check_same_split(images, path, Split.of_file(path), "make the features again")
        table = read_table(path)
        for name, part in splits.items():
            found[name][feature_set] = _rows_of(table, part, path)
    return found


def _rows_of(table: pa.Table, images: LabelledImages, path: Path) -> Tensor:
    known = table["dicom_id"].combine_chunks()
    places = pc.index_in(pa.array(images.dicom_ids, known.type), value_set=known)
    if places.null_count:
        raise UserError(f"{path}: {places.null_count} images have no row here; delete it to have it made again")
    columns = [table[name].to_numpy() for name in table.column_names if name != "dicom_id"]
    return torch.from_numpy(np.stack(columns, axis=1).astype(np.float32)[places.to_numpy()])
