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
from mmsn.cohort.external.result import finish
from mmsn.cohort.external.settings import NihSettings
from mmsn.cohort.external.sources import NihFiles
from mmsn.cohort.flow import step
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
    _check_none_is_empty(cohort.images)
    return cohort


def _read_lists(connection: duckdb.DuckDBPyConnection, files: NihFiles) -> None:
    """Make the table `listed` (name, row, list) and compare it with the entries, both ways."""
    connection.execute("CREATE TABLE listed (name VARCHAR, row BIGINT, list VARCHAR)")
    for name, path in (("train_val", files.train_val), ("test", files.test)):
        connection.register("given", read_list(path))
        connection.execute("INSERT INTO listed SELECT *, ? FROM given", [name])
        connection.unregister("given")
        unknown = "SELECT name, row FROM listed ANTI JOIN entries USING (name) WHERE list = ? ORDER BY row LIMIT 1"
        for image, row in rows(connection, unknown, [name]):
            raise UserError(f"{path}: row {row}: '{image}' is not in {files.entries}; use files of one release")
    for (image,) in rows(connection, "SELECT name FROM listed GROUP BY name HAVING count(*) > 1 ORDER BY name LIMIT 1"):
        raise UserError(f"'{image}' is on both {files.train_val} and {files.test}; remove it from one of the two")
    for (row,) in rows(
        connection, "SELECT entries.rowid FROM entries ANTI JOIN listed USING (name) ORDER BY 1 LIMIT 1"
    ):
        where = cell(connection, "entries", "Image Index", row, files.entries)
        raise UserError(f"{where} is on neither {files.train_val.name} nor {files.test.name}; use files of one release")


def _choose_validation(connection: duckdb.DuckDBPyConnection, settings: NihSettings) -> None:
    """Make the table `validating` (subject_id) of patients of train_val_list."""
    counted = (
        "SELECT patient, count(*) FROM listed_entries WHERE list = 'train_val' AND reason IS NULL GROUP BY patient"
    )
    images_of = dict(rows(connection, counted))
    wanted = settings.validate_images or resplit.share(sum(images_of.values()))
    chosen = sorted(resplit.choose(images_of, wanted, settings.split_seed))
    connection.register("chosen", pa.table({"subject_id": pa.array(chosen, pa.int64())}))
    connection.execute("CREATE TABLE validating AS FROM chosen")


def _make_images(connection: duckdb.DuckDBPyConnection, root: Path) -> None:
    """Make the table `images` of `finish`."""
    connection.register("on_disk", _folders(root))
    flags = ", ".join(f"CAST(list_contains(findings, '{name}') AS FLOAT) AS \"{name}\"" for name in NIH_LABELS.names)
    connection.register("placed_entries", table(connection, "external/nih_images"))
    connection.execute(f"CREATE TABLE images AS SELECT * EXCLUDE (findings), {flags} FROM placed_entries")


def _check_none_is_empty(images: pa.Table) -> None:
    found = set(images["split"].unique().to_pylist())
    empty = [split for split in SPLITS if split not in found]
    if empty:
        raise UserError(
            f"nih-14: split '{empty[0]}' is empty: the lists are too short, or validate_images takes no patient or all;"
            " mend the one or the other"
        )


def _folders(root: Path) -> pa.Table:
    """The folder below `root` of every image (name, folder), where the twelve archives were unpacked side by side.

    The tables do not say which archive an image came in. Unpacked into one folder, as the archives themselves do, all
    lie in `images` and none is listed here.
    """
    parts = [] if (root / "images").is_dir() else sorted(root.glob("images_*/images"))
    found = [(path.name, str(part.relative_to(root))) for part in parts for path in part.glob("*.png")]
    names, folders = zip(*found, strict=True) if found else ((), ())
    return pa.table({"name": pa.array(names, pa.string()), "folder": pa.array(folders, pa.string())})


def _steps(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    (counted,) = table(connection, "external/nih_flow").to_pylist()
    return [step(name, counted[column], published) for column, (name, published) in _STEPS.items()]
