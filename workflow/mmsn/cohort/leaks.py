"""What no study survives: a patient in two splits, a test image that something was trained on."""

from collections.abc import Mapping
from contextlib import closing
from typing import Final

import duckdb
import pyarrow as pa

from mmsn.cohort.database import connect, rows
from mmsn.errors import UserError

COLUMNS: Final = ["dicom_id", "subject_id", "path", "split"]
"""Columns of images.parquet that are compared."""
_PATIENTS = """
    SELECT data_set, subject_id, string_agg(split, ' and ' ORDER BY split), count(*) OVER (PARTITION BY data_set)
    FROM (SELECT DISTINCT data_set, subject_id, split FROM image)
    GROUP BY data_set, subject_id HAVING count(*) > 1
    ORDER BY data_set, subject_id LIMIT 1
"""
# Within its own set a test image must not train or validate. In another set it must not stand at all: the `released`
# preset pretrains on every split.
_IMAGES = """
    SELECT held_out.data_set, held_out.{key}, other.data_set, other.split, count(*) OVER ()
    FROM image AS held_out
    JOIN image AS other ON held_out.{key} = other.{key}
    WHERE held_out.split = 'test' AND (other.split <> 'test' OR other.data_set > held_out.data_set)
    ORDER BY ALL LIMIT 1
"""


def check_leaks(tables: Mapping[str, pa.Table]) -> None:
    """Stop when what is tested on was seen in training.

    Patients are compared within a data set, since every set numbers its own; images, by `dicom_id` and by `path`,
    within and across them.

    Args:
        tables: Data set -> its images.parquet; `dicom_id`, `subject_id`, `path` and `split` are read.

    Raises:
        UserError: A patient is in two splits; an image of a test split also trains or validates, or stands in another
            data set.
    """
    with closing(connect(threads=1)) as connection:
        _gather(connection, tables)
        _report_patient(connection)
        for key in ("dicom_id", "path"):
            _report_image(connection, key)


def _gather(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, pa.Table]) -> None:
    """All rows in one table `image`, each with its data set."""
    connection.execute(
        "CREATE TABLE image (data_set VARCHAR, dicom_id VARCHAR, subject_id BIGINT, path VARCHAR, split VARCHAR)"
    )
    for data_set, table in tables.items():
        connection.register("given", table.select(COLUMNS))
        connection.execute("INSERT INTO image SELECT ?, * FROM given", [data_set])
        connection.unregister("given")


def _report_patient(connection: duckdb.DuckDBPyConnection) -> None:
    for data_set, patient, splits, patients in rows(connection, _PATIENTS):
        raise UserError(
            f"{data_set}: subject_id {patient} is in {splits} ({patients:,} patients are in two splits);"
            " put every image of a patient in one split"
        )


def _report_image(connection: duckdb.DuckDBPyConnection, key: str) -> None:
    for data_set, image, other, split, images in rows(connection, _IMAGES.format(key=key)):
        raise UserError(
            f"{data_set}: {key} '{image}' is in test and also in {split} of {other} ({images:,} such rows);"
            " remove it from one of the two"
        )
