"""embeddings.parquet: one row an image, its class token as a list of fixed length."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mmsn.errors import UserError
from mmsn.lineage import NO_SPLIT, Split

_KEYS = [
    pa.field("dicom_id", pa.string(), nullable=False),
    pa.field("subject_id", pa.int64(), nullable=False),
    pa.field("split", pa.string(), nullable=False),
]


def schema(width: int) -> pa.Schema:
    """Columns of the embeddings of an encoder of that width."""
    return pa.schema([*_KEYS, pa.field("embedding", pa.list_(pa.float32(), width), nullable=False)])


@dataclass(frozen=True)
class Embedded:
    """Embeddings of one encoder, in the order of the file: test images by dicom_id, as predictions have them."""

    images: NDArray[np.object_]
    """[N] dicom_id."""
    patients: NDArray[np.int64]
    """[N] subject_id."""
    splits: NDArray[np.object_]
    """[N] train, validate or test."""
    features: NDArray[np.float32]
    """[N, D]"""
    split: Split = NO_SPLIT
    """The split under which the encoder was trained."""


def to_table(embedded: Embedded) -> pa.Table:
    """As embeddings.parquet holds them."""
    width = embedded.features.shape[1]
    values = pa.array(np.ascontiguousarray(embedded.features).ravel())
    columns = [
        pa.array(embedded.images, pa.string()),
        pa.array(embedded.patients),
        pa.array(embedded.splits, pa.string()),
        pa.FixedSizeListArray.from_arrays(values, width),
    ]
    return pa.Table.from_arrays(columns, schema=schema(width))


def from_table(table: pa.Table, source: str) -> Embedded:
    """Read what `to_table` wrote.

    Args:
        table: embeddings.parquet.
        source: the file, named in errors.

    Raises:
        UserError: a column is missing, an image is there twice, a number is not finite.
    """
    missing = [name for name in schema(1).names if name not in table.column_names]
    if missing:
        raise UserError(f"{source}: column {missing[0]} is missing; embed again")
    column = table["embedding"].combine_chunks()
    features = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    features = features.reshape(len(table), -1)
    wrong = int((~np.isfinite(features)).any(axis=1).sum())
    if wrong:
        raise UserError(f"{source}: column embedding: {wrong} images with numbers that are not finite; pretrain again")
    images = table["dicom_id"].to_numpy(zero_copy_only=False)
    if len(set(images)) < len(images):
        raise UserError(f"{source}: column dicom_id: {len(images) - len(set(images))} images twice; embed again")
    return Embedded(
        images,
        table["subject_id"].to_numpy(),
        table["split"].to_numpy(zero_copy_only=False),
        features,
        Split.of_table(table),
    )
