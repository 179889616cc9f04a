"""One index over all shards of a pixel store, and the quarantine of the images that have no row."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from mmsn.errors import UserError
from mmsn.files import read_table, write_table
from mmsn.images.settings import ImageSettings
from mmsn.images.shards import counted, shard_of
from mmsn.lineage import Split

INDEX_SCHEMA = pa.schema(
    [
        pa.field("dicom_id", pa.string(), nullable=False),
        pa.field("subject_id", pa.int64(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("pixel_digest", pa.string(), nullable=False),
    ]
)
QUARANTINE_SCHEMA = pa.schema(
    [
        pa.field("dicom_id", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
    ]
)


def merge_index(
    shard_indexes: Sequence[Path],
    settings: ImageSettings,
    output_index: Path,
    output_quarantine: Path,
    images: pa.Table | None = None,
) -> None:
    """Join the shards' indexes: readable images to `output_index`, the others to `output_quarantine`.

    Args:
        shard_indexes: `<shard>.parquet` of each shard; the array lies beside `output_index` as `<shard>.npy`.
        settings: `max_unreadable_share` decides whether the unreadable images may be left out.
        output_index: INDEX_SCHEMA, sorted by shard and row. It has a digest of every row, so its content stands for
            the pixels': whatever depends on them depends on this table alone.
        output_quarantine: QUARANTINE_SCHEMA. When the run stops it is kept as `<name>.rejected.parquet`,
            because a failed rule's declared outputs are deleted.
        images: the cohort's table (dicom_id, subject_id); given, each image must be in a shard.

    Raises:
        UserError: too many unreadable images, an image in two shards, or one in none.
    """
    merged = _joined(shard_indexes)
    _refuse_repeated(merged)
    if images is not None:
        _refuse_forgotten(merged, images)
    readable = pc.is_valid(merged["row"])
    quarantine = merged.filter(pc.invert(readable))
    rejected = output_quarantine.with_name(f"{output_quarantine.stem}.rejected{output_quarantine.suffix}")
    rejected.unlink(missing_ok=True)
    if len(quarantine) > settings.max_unreadable_share * len(merged):
        write_table(rejected, quarantine.select(QUARANTINE_SCHEMA.names).cast(QUARANTINE_SCHEMA))
        raise UserError(_too_many(quarantine, len(merged), settings.max_unreadable_share, rejected))
    write_table(output_quarantine, quarantine.select(QUARANTINE_SCHEMA.names).cast(QUARANTINE_SCHEMA))
    carried = {} if images is None else Split.of_table(images).metadata
    write_table(output_index, merged.filter(readable).select(INDEX_SCHEMA.names).cast(INDEX_SCHEMA), carried)


def _joined(shard_indexes: Sequence[Path]) -> pa.Table:
    if not shard_indexes:
        raise UserError("no shard indexes were given: build the shards first (mmsn images shard)")
    tables = []
    for path in sorted(shard_indexes, key=lambda path: path.stem):
        table = read_table(path)
        tables.append(table.append_column("shard", pa.array([path.stem] * len(table), pa.string())))
    return pa.concat_tables(tables)


def _refuse_repeated(merged: pa.Table) -> None:
    repeated = len(merged) - pc.count_distinct(merged["dicom_id"]).as_py()
    if repeated:
        raise UserError(f"{repeated} dicom_id are in more than one shard: build all shards from one images.parquet")


def _refuse_forgotten(merged: pa.Table, images: pa.Table) -> None:
    known = pc.is_in(images["dicom_id"], value_set=merged["dicom_id"].combine_chunks())
    forgotten = images.filter(pc.invert(known))["subject_id"].to_pylist()
    if forgotten:
        shards = ", ".join(sorted({shard_of(subject) for subject in forgotten}))
        raise UserError(f"{len(forgotten)} images of the cohort are in no shard: build (again) shard {shards} too")


def _too_many(quarantine: pa.Table, images: int, allowed: float, rejected: Path) -> str:
    reasons = Counter(quarantine["reason"].to_pylist())
    shards = ", ".join(f"{shard}.parquet" for shard in sorted(set(quarantine["shard"].to_pylist())))
    return (
        f"{len(quarantine)} of {images} images ({len(quarantine) / images:.2%}) are unreadable, more than "
        f"max_unreadable_share {allowed:.2%}: {counted(reasons)}; they are listed in {rejected}. "
        f"Mend these files, delete {shards} and run again (unchanged images are copied), or allow more"
    )
