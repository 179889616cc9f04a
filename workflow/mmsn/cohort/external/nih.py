"""NIH-14 (ChestX-ray14, Wang et al. 2017): Data_Entry_2017*.csv and the official lists in, one row an image out."""

from contextlib import closing
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from mmsn.cohort.build import Cohort
from mmsn.cohort.database import connect, rows, run_file, table
from mmsn.cohort.external import resplit
from mmsn.cohort.external.reading import cell, read_csv, read_list
from mmsn.cohort.external.result import check_none_is_empty, finish, step
from mmsn.cohort.external.settings import NihSettings
from mmsn.cohort.external.sources import NihFiles
from mmsn.cohort.splits import SPLITS
from mmsn.cohort.tables import Column, InputTable
from mmsn.errors import UserError
from mmsn.labels import NIH_LABELS

DATA_SET: Final = "nih-14"
_KNOWN: Final = ", ".join(f"'{name}'" for name in (*NIH_LABELS.names, "No Finding"))
_SPLIT_UP: Final = "string_split({cell}, '|')"
_WHOLE: Final = "TRY_CAST(CASE WHEN regexp_full_match({cell}, '[0-9]+') THEN {cell} END AS BIGINT)"
_ENTRIES: Final = InputTable(
    (
        Column(
            "Image Index",
            "CASE WHEN regexp_full_match({cell}, '[0-9]+_[0-9]+[.]png') THEN {cell} END",
            "the name of an image such as 00000001_000.png",
            required=True,
            name="name",
        ),
        Column(
            "Finding Labels",
            f"CASE WHEN list_has_all([{_KNOWN}], {_SPLIT_UP})"
            f" AND (len({_SPLIT_UP}) = 1 OR NOT list_contains({_SPLIT_UP}, 'No Finding')) THEN {_SPLIT_UP} END",
            f"'No Finding' alone, or findings with '|' between them: {', '.join(NIH_LABELS.names)}",
            required=True,
            name="findings",
        ),
        Column("Follow-up #", _WHOLE, "a whole number", required=True, name="follow_up"),
        Column("Patient ID", _WHOLE, "a whole number", required=True, name="patient"),
        Column(
            # Years, as the release of 2020 has them, or 058Y, 011M, 013D as that of 2017 has them.
            "Patient Age",
            "CASE WHEN regexp_full_match({cell}, '[0-9]+[YMD]?') THEN"
            " CAST(regexp_extract({cell}, '[0-9]+') AS DOUBLE)"
            " / CASE right({cell}, 1) WHEN 'M' THEN 12 WHEN 'D' THEN 365.25 ELSE 1 END END",
            "an age: years such as 58, or 058Y, 011M, 013D",
            name="age",
        ),
        Column("Patient Gender", "CASE WHEN {cell} IN ('M', 'F') THEN {cell} END", "M or F", name="sex"),
        Column("View Position", "CASE WHEN {cell} IN ('PA', 'AP') THEN {cell} END", "PA or AP", name="view"),
    ),
    key="name",
)
_STEPS: Final = {
    "images": ("images in the table", 112_120),
    "patients": ("patients in the table", 30_805),
    "train_val": ("on train_val_list.txt", 86_524),
    "test": ("on test_list.txt", 25_596),
    "train_val_findings": ("on train_val_list.txt, with a finding", 36_024),
    "test_findings": ("on test_list.txt, with a finding", 15_735),
}
_PUBLISHED_SPLITS: Final = {
    "findings-only": {"train": 32_457, "validate": 3_567, "test": 15_735},
    "full": {"test": 25_596},
}


def build(files: NihFiles, settings: NihSettings, threads: int) -> Cohort:
    """Join the table with the lists: the test list tests, part of the other's patients validate, the rest train.

    `dicom_id` is the name of the image without its ending; `study_id` is patient x 1000 + follow-up number, which the
    release of 2020 counts anew, so only `dicom_id` compares across releases. `path` starts with `images`, or with the
    folder of the twelve `images_001/images` ... that holds the file.

    Raises:
        UserError: Anything in the files that would make the table wrong, with file, column, row and value.
    """
    with closing(connect(threads)) as connection:
        connection.execute("SET VARIABLE findings_only = ?", [settings.mode == "findings-only"])
        read_csv(connection, "entries", _ENTRIES, files.entries)
        _read_lists(connection, files)
        run_file(connection, "external/nih")
        _choose_validation(connection, settings)
        _make_images(connection, files.root)
        cohort = finish(connection, DATA_SET, settings, _steps(connection), _PUBLISHED_SPLITS[settings.mode])
    check_none_is_empty(cohort.images, SPLITS, "give longer lists, or a larger validate_images")
    return cohort


def _read_lists(connection: duckdb.DuckDBPyConnection, files: NihFiles) -> None:
    """Make the table `listed` (name, row, list) and compare it with the entries, both ways."""
    given = {"train_val": files.train_val, "test": files.test}
    lists = [read_list(path).append_column("list", pa.array([name] * 0)) for name, path in ()]
    tables = []
    for name, path in given.items():
        names = read_list(path)
        tables.append(names.append_column("list", pa.array([name] * len(names), pa.string())))
    listed = pa.concat_tables([*lists, *tables])
    connection.register("given_lists", listed)
    connection.execute("CREATE TABLE listed AS FROM given_lists")
    for name, path in given.items():
        unknown = "SELECT name, row FROM listed ANTI JOIN entries USING (name) WHERE list = ? ORDER BY row LIMIT 1"
        for image, row in rows(connection, unknown, [name]):
            raise UserError(f"{path}: row {row}: '{image}' is not in {files.entries.name}; use files of one release")
    both = "SELECT name, max(row) FROM listed WHERE list = 'test' OR true GROUP BY name HAVING count(*) > 1 ORDER BY name LIMIT 1"
    for image, _ in rows(connection, both):
        raise UserError(f"'{image}' is on both {files.train_val} and {files.test}; remove it from one of the two")
    unlisted = "SELECT entries.rowid FROM entries ANTI JOIN listed USING (name) ORDER BY 1 LIMIT 1"
    for (row,) in rows(connection, unlisted):
        where = cell(connection, "entries", "Image Index", row, files.entries)
        raise UserError(f"{where} is on neither {files.train_val.name} nor {files.test.name}; use files of one release")
