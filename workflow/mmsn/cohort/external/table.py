"""Any further data set: one table of images in, with a label map, one row an image out."""

import hashlib
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Any, Final

import duckdb
import pyarrow as pa

from mmsn.cohort.build import Cohort
from mmsn.cohort.database import connect, rows
from mmsn.cohort.external.reading import cell, header, read_csv
from mmsn.cohort.external.result import VARIABLES, finish
from mmsn.cohort.external.settings import TableSettings
from mmsn.cohort.flow import step
from mmsn.cohort.schema import IDENTITY
from mmsn.cohort.tables import Column, InputTable
from mmsn.errors import UserError
from mmsn.labels import LABELS

_PATH: Final = Column("path", must_be="the image's file below the root", required=True)
_PATIENT: Final = Column("patient", must_be="the patient's number or name", required=True)
_SPLIT: Final = Column(
    "split",
    "CASE WHEN {cell} IN ('train', 'test') THEN {cell}"
    " WHEN {cell} IN ('validate', 'val', 'valid', 'validation') THEN 'validate' END",
    "train, validate or test",
    required=True,
)
_LABEL_VALUE: Final = (
    "CASE WHEN {cell} IN ('0', '0.0', 'false') THEN 0 WHEN {cell} IN ('1', '1.0', 'true') THEN 1"
    " WHEN {cell} IN ('-1', '-1.0') THEN -1 END"
)
_VALUES: Final[dict[str, float | None]] = {"zero": 0.0, "one": 1.0, "ignore": None}
_TRAINED_ON: Final = ("train", "validate", "test")


def check_columns(path: Path, settings: TableSettings) -> None:
    """Stop unless the table has the columns that are needed; only its header is read.

    Raises:
        UserError: the file cannot be read or lacks a column.
    """
    found = header(path)
    needed = ["path", "patient", *(["split"] if settings.head == "own" else []), *settings.labels]
    missing = [name for name in needed if name not in found]
    if missing:
        raise UserError(f"{path}: column '{missing[0]}' is missing (found: {', '.join(found)}); add or rename it")


def build(name: str, path: Path, settings: TableSettings, threads: int) -> Cohort:
    """Read the table; every row stays.

    `dicom_id` is the file's name without its ending where no two files share it, else the path without its ending;
    where two files differ in the ending alone, the path with it. All rows have the same kind.
    `subject_id` is the patient where all are whole numbers, else 63 bits of SHA-256 of it; `study_id` is the same,
    since the table knows no studies. Without a column `split` every image is tested on.

    Raises:
        UserError: Anything in the table that would make the result wrong, with file, column, row and value.
    """
    check_columns(path, settings)
    with closing(connect(threads)) as connection:
        has_split = "split" in header(path)
        labels = tuple(Column(column, _LABEL_VALUE, "0, 1, -1 or blank") for column in settings.labels)
        columns = (_PATH, _PATIENT, *((_SPLIT,) if has_split else ()), *labels)
        read_csv(connection, "entries", InputTable(columns, key="path"), path)
        if not has_split:
            connection.execute("ALTER TABLE entries ADD COLUMN split VARCHAR DEFAULT 'test'")
        _refuse_other_spellings(connection, path)
        _refuse_missing_files(connection, path, settings.root)
        _make_images(connection, settings)
        _refuse_empty_split(connection, path, settings)
        names = LABELS if settings.head == "mimic" else tuple(settings.labels)
        return finish(connection, name, settings, _steps(connection, settings), {}, names)


def left_out(settings: TableSettings) -> list[str]:
    """Labels of the head that no column stands for."""
    return [label for label in LABELS if label not in settings.labels.values()] if settings.head == "mimic" else []


def _refuse_other_spellings(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Stop at a path that could be written in another way: one file would be two images."""
    for row, image in rows(connection, "SELECT rowid, path FROM entries ORDER BY rowid"):
        written = PurePosixPath(image)
        if written.is_absolute() or ".." in written.parts or str(written) != image:
            where = cell(connection, "entries", "path", row, path)
            raise UserError(f"{where} must be a path below the root without '.', '..' or '//'; write it as folder/file")


def _refuse_missing_files(connection: duckdb.DuckDBPyConnection, path: Path, root: Path) -> None:
    for row, image in rows(connection, "SELECT rowid, path FROM entries ORDER BY rowid"):
        if not (root / image).is_file():
            where = cell(connection, "entries", "path", row, path)
            raise UserError(f"{where} is no file below {root}; correct the path, or external.<name>.root")


def _make_images(connection: duckdb.DuckDBPyConnection, settings: TableSettings) -> None:
    """Make the table `images` of `finish`."""
    entries = connection.sql("SELECT path, patient, split FROM entries ORDER BY rowid").to_arrow_table()
    paths, patients = entries["path"].to_pylist(), entries["patient"].to_pylist()
    subjects = pa.array(_subjects(patients), pa.int64())
    known = {
        "dicom_id": pa.array(_names(paths), pa.string()),
        "subject_id": subjects,
        "study_id": subjects,
        "study_time": pa.nulls(len(entries), IDENTITY.field("study_time").type),
        "path": entries["path"],
        "split": entries["split"],
        "labelled": pa.array([True] * len(entries)),
        **{field.name: pa.nulls(len(entries), field.type) for field in VARIABLES},
        "reason": pa.nulls(len(entries), pa.string()),
    }
    values = connection.sql(f"SELECT {_label_columns(settings)} FROM entries ORDER BY rowid").to_arrow_table()
    known |= dict(zip(values.column_names, values.columns, strict=True))
    connection.register("made", pa.table(known))
    connection.execute("CREATE TABLE images AS FROM made ORDER BY subject_id, study_id, dicom_id")


def _label_columns(settings: TableSettings) -> str:
    """SQL of every label: of MIMIC's fourteen from the columns that stand for each, or the columns themselves."""
    if settings.head == "own":
        return ", ".join(f"{_coded(column, settings)} AS {_quoted(column)}" for column in settings.labels)
    return ", ".join(f"{_any_of(label, settings)} AS {_quoted(label)}" for label in LABELS)


def _any_of(label: str, settings: TableSettings) -> str:
    """Positive where any column is, unknown where one is unknown and none positive."""
    coded = [_coded(column, settings) for column, meant in settings.labels.items() if meant == label]
    if not coded:
        return "CAST(NULL AS FLOAT)"
    return f"CASE WHEN {' OR '.join(f'{one} = 1' for one in coded)} THEN 1 ELSE {' * '.join(coded)} END::FLOAT"


def _coded(column: str, settings: TableSettings) -> str:
    """A column with -1 and blank as the settings say."""
    uncertain, blank = (_sql(_VALUES[choice]) for choice in (settings.uncertain, settings.blank))
    name = _quoted(column)
    return f"CAST(CASE WHEN {name} IS NULL THEN {blank} WHEN {name} = -1 THEN {uncertain} ELSE {name} END AS FLOAT)"


def _subjects(patients: list[str]) -> list[int]:
    if all(patient.isdecimal() and len(patient) <= 18 for patient in patients):
        return [int(patient) for patient in patients]
    return [int.from_bytes(hashlib.sha256(patient.encode()).digest()[:8]) >> 1 for patient in patients]


def _names(paths: list[str]) -> list[str]:
    stems = [PurePosixPath(path).stem for path in paths]
    without_ending = [str(PurePosixPath(path).with_suffix("")) for path in paths]
    return next(names for names in (stems, without_ending, paths) if len(set(names)) == len(names))


def _refuse_empty_split(connection: duckdb.DuckDBPyConnection, path: Path, settings: TableSettings) -> None:
    found = {split for (split,) in rows(connection, "SELECT DISTINCT split FROM images")}
    needed = _TRAINED_ON if settings.head == "own" else ("test",)
    for split in needed:
        if split not in found:
            raise UserError(f"{path}: column split: no image in {split}; a head of its own needs all three, any a test")


def _steps(connection: duckdb.DuckDBPyConnection, settings: TableSettings) -> list[dict[str, Any]]:
    ((images, patients),) = rows(connection, "SELECT count(*), count(DISTINCT subject_id) FROM images")
    steps = [step("images in the table", images), step("patients in the table", patients)]
    return [*steps, step("labels of MIMIC-CXR without a column", len(left_out(settings)))]


def _quoted(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _sql(value: float | None) -> str:
    return "NULL" if value is None else f"{value:g}"
