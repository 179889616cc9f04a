"""Rows of the cohort beside the images that were embedded or predicted."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mmsn.errors import UserError
from mmsn.files import read_schema, read_table
from mmsn.labels import LABELS

ATTRIBUTE_COLUMNS: Final = ("sex", "age", "view", "pos", "mort", "icu")


def read_cohort(path: Path) -> pd.DataFrame:
    """images.parquet by dicom_id: split, labelled, labels and those attributes that the study has.

    Raises:
        UserError: there is no such file, or it has no labels.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist; build the cohort first or mend the path")
    present = read_schema(path).names
    missing = [name for name in ("dicom_id", "split", "labelled", *LABELS) if name not in present]
    if missing:
        raise UserError(f"{path}: column {missing[0]} is missing; give the cohort's images.parquet")
    columns = ["dicom_id", "split", "labelled", *LABELS, *(name for name in ATTRIBUTE_COLUMNS if name in present)]
    table = read_table(path, columns)
    ids = pd.Index(table["dicom_id"].to_numpy(), dtype=object, name="dicom_id")  # Arrow's own strings: 30 times as slow
    return table.drop_columns("dicom_id").to_pandas().set_index(ids)


def rows_of(cohort: pd.DataFrame, images: Sequence[str] | NDArray[np.object_], source: str, path: Path) -> pd.DataFrame:
    """The cohort's rows of some images, in their order.

    Raises:
        UserError: an image that the cohort does not have.
    """
    places = cohort.index.get_indexer(pd.Index(images, dtype=object))
    absent = int((places < 0).sum())
    if absent:
        raise UserError(f"{source}: {absent} of {len(images)} images are not in {path}; make it again from this cohort")
    return cohort.iloc[places]


def targets_of(rows: pd.DataFrame) -> NDArray[np.float64]:
    """Labels [N, 14]: 1, 0, NaN where ignored."""
    return rows[list(LABELS)].to_numpy(dtype=np.float64, na_value=np.nan)
