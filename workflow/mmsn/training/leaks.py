"""The last look before pretraining: whose images is it about to see."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from mmsn.console import logger
from mmsn.errors import UserError
from mmsn.files import read_table


def check_rows(used: pa.Array, images: Path, rows: str) -> None:
    """Stop when a run that may train on the training split alone would see a validation or test patient.

    The images come from what will be read, and their patients' splits are looked up anew: a mistake in choosing the
    images, or a patient in two splits, is found here. With `rows` `all` the same is said loudly and goes on.

    Args:
        used: dicom_id of every image that the run reads, from the pixel store.
        images: the cohort's rows.parquet or images.parquet.
        rows: `train` or `all`.

    Raises:
        UserError: a patient of another split is among them, or an image that is not in the cohort.
    """
    cohort = read_table(images, ["dicom_id", "subject_id", "split"])
    seen = cohort.filter(pc.is_in(cohort["dicom_id"], value_set=used))
    if len(seen) != len(used):
        raise UserError(
            f"{images}: {len(used) - len(seen):,} images to pretrain on are not in it; build cohort and store again"
        )
    others = cohort.filter(pc.not_equal(cohort["split"], "train"))
    held_out = pc.unique(others["subject_id"])
    leaked = seen.filter(pc.is_in(seen["subject_id"], value_set=held_out))
    if rows == "all":
        logger.warning(
            "warning: pretraining sees every split (pretrain.rows: all, as released): %s of %s images are of "
            "validation and test patients",
            *(f"{len(leaked):,}", f"{len(seen):,}"),
        )
    elif len(leaked):
        patient = pc.min(leaked["subject_id"]).as_py()
        splits = pc.unique(others.filter(pc.equal(others["subject_id"], patient))["split"]).to_pylist()
        raise UserError(
            f"{images}: {len(leaked):,} images to pretrain on are of validation or test patients, such as subject_id"
            f" {patient}, who is in {' and '.join(sorted(splits))}; put every image of a patient in one split"
        )
