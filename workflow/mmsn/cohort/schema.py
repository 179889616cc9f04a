"""The written schemas of what the cohort stage makes."""

from collections.abc import Mapping
from typing import Final

import pyarrow as pa

from mmsn.labels import LABELS

IDENTITY: Final = pa.schema(
    [
        pa.field("dicom_id", pa.string(), nullable=False),
        pa.field("subject_id", pa.int64(), nullable=False),
        pa.field("study_id", pa.int64(), nullable=False),
        pa.field("study_time", pa.timestamp("us")),
        pa.field("path", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("labelled", pa.bool_(), nullable=False),
    ]
)
"""What every image has: ids, study time (null = unknown), path below the data set's root, split, has labels."""

DISTINCT: Final = ("dicom_id", "subject_id", "study_id", "study_time", "path")
"""Columns of images.parquet whose values hardly repeat; `files.write_table` wants to know them."""

ENCODINGS: Final = {"dicom_id": "DELTA_LENGTH_BYTE_ARRAY"}
"""How to write them: random letters without the lengths between them take half the time, and a little less space. The
letters of `path` repeat, and are found sooner as they are."""

ROWS: Final = ("dicom_id", "subject_id", "study_id", "path", "split")
"""rows.parquet: who and where each image is, without labels and EHR, so that what needs no more does not depend on how
those are read."""

LABEL_FIELDS: Final = [pa.field(label, pa.float32()) for label in LABELS]
"""The labels: 1, 0, or null (ignored, or a study without a label row)."""

EXCLUSIONS: Final = pa.schema(
    [pa.field("dicom_id", pa.string(), nullable=False), pa.field("reason", pa.string(), nullable=False)]
)
"""exclusions.parquet: one row an image that left the cohort."""


def images_schema(variables: Mapping[str, pa.DataType]) -> pa.Schema:
    """Schema of images.parquet: identity, one column an EHR variable (raw, null = unknown), fourteen labels."""
    ehr = [pa.field(name, kind) for name, kind in variables.items()]
    return pa.schema([*IDENTITY, *ehr, *LABEL_FIELDS])
