"""Two checks of a store whose test images judge models trained elsewhere: every one is there, none was trained on."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from mmsn.errors import UserError
from mmsn.files import read_schema, read_table
from mmsn.images.reading import digest

_GREY_LEVELS = 256


def held_out_images(images: Path, split: str = "test") -> pa.Table:
    """`dicom_id` and `path` of one split of a cohort's table."""
    return read_table(images, ["dicom_id", "path"], {"split": split})


def refuse_unreadable(shards: Sequence[Path], tested: pa.Table, images: Path) -> None:
    """Stop when an image of a test set cannot be read: a score over the rest is another test set's.

    Args:
        shards: the shards' indexes.
        tested: of `held_out_images`.
        images: where they are listed, named in the error.

    Raises:
        UserError: with how many there are, and the reasons.
    """
    packed = pa.concat_tables([read_table(path, ["dicom_id", "reason"]) for path in shards])
    lost = packed.filter(pc.and_(pc.is_valid(packed["reason"]), _among(packed["dicom_id"], tested["dicom_id"])))
    if len(lost):
        reasons = ", ".join(sorted(set(lost["reason"].to_pylist())))
        places = ", ".join(str(path) for path in shards)
        raise UserError(
            f"{len(lost)} of {len(tested)} test images of {images} cannot be read ({reasons}); no test image is left"
            f" out: mend the files (their reasons are in {places}), delete these tables and run again"
        )


def refuse_same_pixels(shards: Sequence[Path], tested: pa.Table, other: Path, side: int) -> None:
    """Stop when a test image's pixels are those of an image of another store, whatever it is called there.

    Digests of stored pixels are compared, so both stores must be built with the same settings. Images of one grey
    level say nothing and are passed over.

    Args:
        shards: the shards' indexes.
        tested: of `held_out_images`.
        other: `index.parquet` of the other store.
        side: of a stored image.

    Raises:
        UserError: with one of them; or the other store is of a time when digests were not kept.
    """
    if "pixel_digest" not in read_schema(other).names:
        raise UserError(f"{other} has no column pixel_digest: delete it to have that store indexed again")
    packed = pa.concat_tables([read_table(path, ["dicom_id", "pixel_digest"]) for path in shards])
    packed = packed.filter(_among(packed["dicom_id"], tested["dicom_id"]))
    theirs = read_table(other, ["dicom_id", "pixel_digest"])
    blank = pa.array([digest(bytes([level]) * side**2) for level in range(_GREY_LEVELS)])
    same = pc.and_(
        _among(packed["pixel_digest"], theirs["pixel_digest"]), pc.invert(pc.is_in(packed["pixel_digest"], blank))
    )
    shared = packed.filter(pc.and_(same, pc.is_valid(packed["pixel_digest"])))
    if len(shared):
        image = shared["dicom_id"][0].as_py()
        copy = theirs["dicom_id"][pc.index(theirs["pixel_digest"], shared["pixel_digest"][0]).as_py()].as_py()
        raise UserError(
            f"{len(shared)} test images have the pixels of an image that models are trained on, such as '{image}', "
            f"which is '{copy}' in {other.parent}; remove them from one of the two"
        )


def _among(values: pa.ChunkedArray, known: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.is_in(values, value_set=known.combine_chunks())
