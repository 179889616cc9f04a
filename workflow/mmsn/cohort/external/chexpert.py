"""CheXpert (Irvin et al. 2019): train, valid and test tables in, one row an image out."""

from contextlib import closing
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from mmsn.cohort.build import Cohort
from mmsn.cohort.database import connect, rows, run_file
from mmsn.cohort.external.reading import cell, header, read_csv
from mmsn.cohort.external.result import finish
from mmsn.cohort.external.settings import ChexpertSettings
from mmsn.cohort.external.sources import ChexpertFiles
from mmsn.cohort.flow import step
from mmsn.cohort.tables import TABLES, Column, InputTable
from mmsn.errors import UserError
from mmsn.labels import LABELS

DATA_SET: Final = "chexpert"
_STUDY_PATTERN: Final = "(.*/)?(train|valid|val|test)/patient[0-9]+/study[0-9]{{1,3}}"
_PATH: Final = Column(
    "Path",
    "CASE WHEN regexp_full_match({cell}, "
    f"'{_STUDY_PATTERN}/view[0-9]+_(frontal|lateral)[.][a-z]+') THEN {{cell}} END",
    "a path that ends as train/patient00001/study1/view1_frontal.jpg does",
    required=True,
    name="path",
)
_STUDY: Final = Column(
    "Study",
    f"CASE WHEN regexp_full_match({{cell}}, '{_STUDY_PATTERN}') THEN {{cell}} END",
    "a path that ends as test/patient64741/study1 does",
    required=True,
    name="path",
)
_DEMOGRAPHICS: Final = (
    Column(
        "Sex",
        "CASE WHEN {cell} IN ('Male', 'Female', 'Unknown') THEN {cell} END",
        "Male, Female or Unknown",
        name="sex",
    ),
    Column(
        "Age",
        "CASE WHEN TRY_CAST({cell} AS DOUBLE) BETWEEN 0 AND 120 THEN TRY_CAST({cell} AS DOUBLE) END",
        "an age in years, a number from 0 to 120",
        name="age",
    ),
    Column(
        "AP/PA",
        "CASE WHEN {cell} IN ('AP', 'PA', 'LL', 'RL') THEN {cell} END",
        "AP, PA, LL, RL or blank",
        name="ap_pa",
    ),
)
"""Columns that train.csv and valid.csv have beside Path, Frontal/Lateral (which Path says too) and the labels; the
test tables have none of them."""
_LABELS: Final = tuple(column for column in TABLES["labels"].columns if column.header in LABELS)
_UNCERTAIN: Final = {"zero": 0, "one": 1, "ignore": None}
_PUBLISHED: Final = {
    "train": ("", 223_414, 64_540),
    "valid": ("", 234, 200),
    "test": (" (the paper says 688)", 668, 500),
}
"""Part -> a remark, published images and patients: the first release's own, and the test set's (CheXlocalize)."""


def build(files: ChexpertFiles, settings: ChexpertSettings, threads: int) -> Cohort:
    """Join the tables; any number of images is accepted and reported beside the published one.

    `dicom_id` is `patient00001_study1_view1_frontal`, the path without its split; `study_id` is patient x 1000 + study.
    A table with `Study` in place of `Path` (groundtruth.csv: 500 studies) labels every image that lies in the study's
    folder.

    Raises:
        UserError: Anything in the files that would make the table wrong, with file, column, row and value.
    """
    split_of = {"train": "train", "valid": "validate"} | {settings.test: "test"}
    with closing(connect(threads)) as connection:
        connection.execute("SET VARIABLE uncertain_label = ?", [_UNCERTAIN[settings.uncertain]])
        connection.execute("SET VARIABLE valid_folder = ?", [_valid_folder(files.root)])
        _make_entries(connection)
        for part, path in files.parts.items():
            _read_part(connection, part, path, files.root)
            connection.execute(_add_part(part, split_of[part]))
        run_file(connection, "external/chexpert")
        return finish(connection, DATA_SET, settings, _steps(connection, files), {})


def _valid_folder(root: Path) -> str:
    return "val" if (root / "val").is_dir() and not (root / "valid").is_dir() else "valid"


def _make_entries(connection: duckdb.DuckDBPyConnection) -> None:
    labels = ", ".join(f'"{name}" FLOAT' for name in LABELS)
    connection.execute(
        "CREATE TABLE entries (part VARCHAR, split VARCHAR, folder VARCHAR, patient VARCHAR, study VARCHAR,"
        f" file VARCHAR, sex VARCHAR, age DOUBLE, ap_pa VARCHAR, {labels})"
    )


def _read_part(connection: duckdb.DuckDBPyConnection, part: str, path: Path, root: Path) -> None:
    """Make the table `<part>` of the part's file; a row an image even where the file has a row a study."""
    found = header(path)
    by_study = "Path" not in found and "Study" in found
    demographics = tuple(column for column in _DEMOGRAPHICS if column.header in found)
    table = InputTable((_STUDY if by_study else _PATH, *demographics, *_LABELS), key="path")
    read_csv(connection, part, table, path)
    if by_study:
        _expand_studies(connection, part, path, root)


def _expand_studies(connection: duckdb.DuckDBPyConnection, part: str, path: Path, root: Path) -> None:
    """Replace the rows of studies with rows of the images that lie in their folders."""
    images = []
    for row, study in rows(connection, f"SELECT rowid, path FROM {part} ORDER BY rowid"):
        inside = Path(*Path(study).parts[-3:])
        views = sorted(view.name for view in (root / inside).glob("view*_*.*"))
        if not views:
            where = cell(connection, part, "Study", row, path)
            raise UserError(f"{where} has no image in {root / inside}; put the images there, they make the rows")
        images += [(study, f"{study}/{view}") for view in views]
    studies, paths = zip(*images, strict=True) if images else ((), ())
    connection.register(
        "views", pa.table({"study": pa.array(studies, pa.string()), "path": pa.array(paths, pa.string())})
    )
    connection.execute(
        f"CREATE OR REPLACE TABLE {part} AS SELECT views.path, {part}.* EXCLUDE (path)"
        f" FROM views JOIN {part} ON {part}.path = views.study"
    )
    connection.unregister("views")


def _add_part(part: str, split: str) -> str:
    """SQL that adds a part's rows to `entries`; columns that its file lacks become null."""
    parts = ("folder", "patient", "study", "file")
    names = ", ".join(f"split_part(path, '/', {place}) AS {name}" for place, name in enumerate(parts, -len(parts)))
    return (
        f"INSERT INTO entries BY NAME SELECT '{part}' AS part, '{split}' AS split, {names},"
        f" * EXCLUDE (path, fault) FROM {part}"
    )


def _steps(connection: duckdb.DuckDBPyConnection, files: ChexpertFiles) -> list[dict[str, Any]]:
    counted = rows(connection, "SELECT part, count(*), count(DISTINCT patient) FROM entries GROUP BY part")
    found = {part: (images, patients) for part, images, patients in counted}
    steps = []
    for part in files.parts:
        remark, images, patients = _PUBLISHED[part]
        steps.append(step(f"{part}: images{remark}", found[part][0], images))
        steps.append(step(f"{part}: patients", found[part][1], patients))
    return steps
