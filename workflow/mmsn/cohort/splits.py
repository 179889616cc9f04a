"""Which split a patient is in, and the ways in which a split can be wrong."""

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmsn.cohort.database import rows, run_file, table
from mmsn.cohort.medfuse import read_patients
from mmsn.cohort.settings import CohortSettings
from mmsn.cohort.sources import Tables
from mmsn.cohort.split_file import read_split_file
from mmsn.cohort.stratify import balance
from mmsn.errors import UserError

SPLITS = ("train", "validate", "test")


def assign(connection: duckdb.DuckDBPyConnection, tables: Tables, settings: CohortSettings) -> dict[str, int]:
    """Make the table `patient_split` (subject_id, split) of the patients that have images.

    Returns:
        What is worth counting about the lists that the split comes from: their rows, and those without an image.

    Raises:
        UserError: A patient is in two splits, or the split file lacks an image or a patient.
    """
    counts: dict[str, int] = {}
    if settings.split == "medfuse":
        counts = _register_medfuse(connection, tables)
    elif settings.split == "file":
        counts = _register_file(connection, tables)
    run_file(connection, f"split_{settings.split}")
    if settings.split == "random" and settings.split_stratify:
        _stratify(connection)
    if tables.split is not None:
        _check_every_image_is_listed(connection, tables.split, tables.metadata)
    if tables.split_file is not None:
        _check_every_patient_is_listed(connection, tables.split_file)
    if listed := tables.split or tables.split_file:
        _check_one_split_a_patient(connection, listed)
    return counts


def check_none_is_empty(connection: duckdb.DuckDBPyConnection, tables: Tables, settings: CohortSettings) -> None:
    """Stop when the cohort has no image in one of the splits: training or testing would fail much later.

    Raises:
        UserError: A split is empty; says which one and the likely cause.
    """
    found = rows(connection, "SELECT DISTINCT split FROM placed WHERE reason IS NULL")
    empty = [split for split in SPLITS if (split,) not in found]
    if empty:
        cause = _likely_cause(empty[0], tables, settings)
        raise UserError(f"split '{empty[0]}' is empty after joining: {cause}")


def _register_medfuse(connection: duckdb.DuckDBPyConnection, tables: Tables) -> dict[str, int]:
    """Give the lists to the database and count their patients."""
    assert tables.medfuse_validate is not None, "find_tables demands the lists of a medfuse split"
    assert tables.medfuse_test is not None, "find_tables demands the lists of a medfuse split"
    validate, test = read_patients(tables.medfuse_validate), read_patients(tables.medfuse_test)
    if both := sorted(validate & test):
        raise UserError(
            f"subject_id {both[0]} is on both {tables.medfuse_validate} and {tables.medfuse_test}"
            f" ({len(both):,} patients are); remove each from one of the lists"
        )
    counts: dict[str, int] = {}
    for split, patients in (("validate", validate), ("test", test)):
        # In numpy: to make an Arrow array of Python's numbers imports pandas, which takes a tenth of the stage's time.
        ids = np.fromiter(sorted(patients), np.int64, len(patients))
        connection.register(f"medfuse_{split}", {"subject_id": ids})
        absent = f"SELECT count(*) FROM medfuse_{split} ANTI JOIN images USING (subject_id)"
        ((without_image,),) = rows(connection, absent)
        counts[f"medfuse {split} list: patients"] = len(patients)
        counts[f"medfuse {split} list: patients without an image"] = without_image
    return counts


def _register_file(connection: duckdb.DuckDBPyConnection, tables: Tables) -> dict[str, int]:
    """Give the user's split to the database as `listed` (subject_id, split, row) and count its rows."""
    assert tables.split_file is not None, "find_tables demands the file of a split of one's own"
    given = read_split_file(tables.split_file)
    key = given.column_names[0]
    connection.register("given_split", given)
    source = "given_split" if key == "subject_id" else "given_split JOIN images USING (dicom_id)"
    connection.execute(f"CREATE TABLE listed AS SELECT subject_id, split, row FROM {source}")
    absent = f"SELECT count(DISTINCT {key}) FROM given_split ANTI JOIN images USING ({key})"
    ((without_image,),) = rows(connection, absent)
    what = "patients" if key == "subject_id" else "images"
    return {
        f"split file: {what}": len(given[key].unique()),
        f"split file: {what} that the metadata lack": without_image,
    }


def _stratify(connection: duckdb.DuckDBPyConnection) -> None:
    """Exchange patients of the random split until its labels are shared out evenly."""
    patients = table(connection, "stratification")
    names = pa.array(SPLITS)
    split = pc.index_in(patients["split"], value_set=names).to_numpy().astype(np.int64)
    counts = np.column_stack([column.to_numpy() for column in patients.columns[2:]]).astype(np.int64)
    balanced = names.take(pa.array(balance(counts, split)))
    connection.register("balanced", pa.table({"subject_id": patients["subject_id"], "split": balanced}))
    connection.execute("CREATE OR REPLACE TABLE patient_split AS FROM balanced")


def _check_every_patient_is_listed(connection: duckdb.DuckDBPyConnection, split: Path) -> None:
    unlisted = "SELECT subject_id, count(*) OVER () FROM patient_split WHERE split IS NULL ORDER BY ALL LIMIT 1"
    for patient, patients in rows(connection, unlisted):
        raise UserError(
            f"{split}: no row for {patients:,} of the patients with images, such as subject_id {patient};"
            " list every patient (ids are compared as integers)"
        )


def _check_every_image_is_listed(connection: duckdb.DuckDBPyConnection, split: Path, metadata: Path) -> None:
    if rows(connection, "SELECT count(*) FROM patient_split WHERE split IS NULL") == [(0,)]:
        return
    unlisted = "SELECT count(*), min(dicom_id) FROM images ANTI JOIN split USING (dicom_id)"
    ((images, first),) = rows(connection, unlisted)
    raise UserError(
        f"{split}: column dicom_id: no row for {images:,} of the images of {metadata.name}, such as"
        f" '{first}'; use the split file of the same MIMIC-CXR-JPG version"
    )


def _check_one_split_a_patient(connection: duckdb.DuckDBPyConnection, split: Path) -> None:
    leaks = (
        "SELECT subject_id, string_agg(split, ' and ' ORDER BY split), count(*) OVER () FROM patient_split"
        " GROUP BY subject_id HAVING count(*) > 1 ORDER BY subject_id LIMIT 1"
    )
    for patient, splits, patients in rows(connection, leaks):
        row = _row_of_second_split(connection, patient)
        raise UserError(
            f"{split}: row {row}, column split: subject_id {patient} is in {splits}"
            f" ({patients:,} patients are in two splits); put every image of a patient in one split"
        )


def _row_of_second_split(connection: duckdb.DuckDBPyConnection, patient: int) -> int:
    opened = (
        "SELECT min(row) AS opened FROM listed WHERE subject_id = ? GROUP BY split ORDER BY opened LIMIT 1 OFFSET 1"
    )
    ((row,),) = rows(connection, opened, [patient])
    return int(row)


def _likely_cause(split: str, tables: Tables, settings: CohortSettings) -> str:
    if settings.split == "official":
        return f"{tables.split} names no image of it that the exclusions leave; check that the file is whole"
    if settings.split == "random":
        shares = settings.split_fractions
        return f"split_fractions {shares} leave it no patient; use a larger share or more patients"
    if settings.split == "file":
        return f"{tables.split_file} gives it no patient of the cohort; check that the file is whole"
    if split == "train":
        return "every patient is on one of MedFuse's lists; check that each is the list meant"
    listed = tables.medfuse_validate if split == "validate" else tables.medfuse_test
    return (
        f"no patient of {listed} has an image in the cohort; likely the ids do not match,"
        " they must be MIMIC subject_ids, eight digits such as 10000032"
    )
