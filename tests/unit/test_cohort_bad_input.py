"""Bad input: one clear line each, and nothing half-written left behind."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmsn.cohort.command import app
from tests.unit.cohort_tables import SIX, VARIABLES, Mimic, write_file

METADATA_FILE = "mimic-cxr/mimic-cxr-2.0.0-metadata.csv"
ADMISSIONS_FILE = "mimic-iv/hosp/admissions.csv"


def run(folder: Path, variables: dict[str, Path] | None = None, **settings: object) -> tuple[int, list[str], list[str]]:
    """Run the verb on the tables below `folder`: exit code, lines of the log, files written."""
    chosen = variables or {name: VARIABLES / f"{name}.sql" for name in SIX}
    results = folder / "results"
    outputs = {name: f"{name}.parquet" for name in ("images", "rows", "exclusions")} | {"flow": "flow.json"}
    arguments = ["build", "--mimic-iv", folder / "mimic-iv", "--mimic-cxr", folder / "mimic-cxr"]
    arguments += ["--variables", json.dumps({name: str(path) for name, path in chosen.items()})]
    arguments += ["--settings", json.dumps({"split": "official"} | settings), "--log", folder / "log.txt"]
    for name, file in outputs.items():
        arguments += [f"--output-{name}", results / file]
    code = CliRunner().invoke(app, [str(argument) for argument in arguments]).exit_code
    lines = [line.split(" ", 2)[2] for line in (folder / "log.txt").read_text().splitlines()]
    return code, lines, sorted(path.name for path in results.glob("**/*"))


def error_of(mimic: Mimic, folder: Path) -> str:
    """The one line that the tables' fault gives."""
    mimic.write(folder)
    return error_in(folder)


def error_in(folder: Path, variables: dict[str, Path] | None = None, **settings: object) -> str:
    code, lines, left = run(folder, variables, **settings)
    assert (code, len(lines), left) == (2, 1, [])
    return lines[0]


def test_good_tables_give_four_files_and_the_flow_in_the_log(tmp_path: Path) -> None:
    Mimic().write(tmp_path)
    code, lines, written = run(tmp_path)
    assert (code, written) == (0, ["exclusions.parquet", "flow.json", "images.parquet", "rows.parquet"])
    assert any(line.startswith("INFO images in the metadata") and line.split()[-3] == "3" for line in lines)
    assert lines[-1] == "INFO parts from the published cohort first at 'images in the metadata'"


# table, text, what to write instead, the cell and the demand that the line names
BAD_CELLS = [
    ("metadata", "21500601", "2150-06-01", "row 3, column StudyDate: '2150-06-01' must be an integer yyyymmdd"),
    ("metadata", "21500601", "21500601.0", "row 3, column StudyDate: '21500601.0' must be an integer yyyymmdd"),
    ("metadata", "21500601", "21501340", "row 3, column StudyDate: '21501340' must be an integer yyyymmdd, a day of"),
    ("metadata", "120000.0   R", "21500302   R", "row 3, column StudyTime: '21500302' must be a number HHMMSS.ffffff"),
    ("metadata", "120000.0   R", "noon       R", "row 3, column StudyTime: 'noon' must be a number HHMMSS.ffffff"),
    ("metadata", "10000002", "10000002.0", "row 3, column subject_id: '10000002.0' must be an integer"),
    ("metadata", "10000003", "-10000003", "row 4, column subject_id: '-10000003' must be an integer"),
    ("metadata", "50000003", "s50000003", "row 4, column study_id: 's50000003' must be an integer"),
    ("metadata", "a1 ", ".  ", "row 2, column dicom_id: blank must be a DICOM id"),
    ("metadata", "a1 ", "a/1", "row 2, column dicom_id: 'a/1' must be a DICOM id without slashes and blanks"),
    ("metadata", "b1", "a1", "row 3, column dicom_id: 'a1' already stands in row 2; remove one of the two rows"),
    ("patients", "10000002", "10000001", "row 3, column subject_id: '10000001' already stands in row 2"),
    ("patients", "40", "4o", "row 3, column anchor_age: '4o' must be an integer"),
    ("admissions", "2150-03-05 12", "2150-03-35 12", "row 2, column dischtime: '2150-03-35 12:00:00' must be a time"),
    ("admissions", "23:00:00  0", "23:00:00  2", "row 2, column hospital_expire_flag: '2' must be 0 or 1"),
    ("icustays", "2150-03-02 08:00:00", ".", "row 2, column intime: blank must be a time YYYY-MM-DD hh:mm:ss"),
    ("labels", "-1.0", "0.5", "row 3, column Edema: '0.5' must be 1, 0, -1 or blank"),
    ("labels", "50000003", "50000001", "row 4, column study_id: '50000001' already stands in row 2"),
    ("split", "validate", "valid", "row 3, column split: 'valid' must be train, validate or test; correct the cell"),
]


@pytest.mark.parametrize(("table", "old", "new", "message"), BAD_CELLS)
def test_a_bad_cell_is_named_by_file_row_column_value_and_next_step(
    tmp_path: Path, table: str, old: str, new: str, message: str
) -> None:
    line = error_of(Mimic().but(table, old, new), tmp_path)
    name = {"labels": "chexpert"}.get(table, table)
    assert message in line
    assert f"{name}.csv: row" in line


def test_the_first_bad_row_is_named_when_there_are_several(tmp_path: Path) -> None:
    line = error_of(Mimic().but("metadata", "2150", "215o"), tmp_path)
    assert "row 2, column StudyDate: '215o0302'" in line


def test_a_patient_in_two_splits(tmp_path: Path) -> None:
    mimic = Mimic().plus(
        metadata="a2  10000001  50000009  PA  21500302  0.0  Erect", split="a2  10000001  50000009  test"
    )
    line = error_of(mimic, tmp_path)
    assert "split.csv: row 5, column split: subject_id 10000001 is in test and train (1 patients are in two" in line


def test_a_split_file_that_lacks_an_image(tmp_path: Path) -> None:
    line = error_of(Mimic().plus(metadata="a2  10000001  50000009  PA  21500302  0.0  Erect"), tmp_path)
    assert (
        "split.csv: column dicom_id: no row for 1 of the images of mimic-cxr-2.0.0-metadata.csv, such as 'a2'" in line
    )


def test_a_split_that_is_empty_after_joining(tmp_path: Path) -> None:
    line = error_of(Mimic().but("patients", "10000003", "10000009"), tmp_path)
    assert "split 'test' is empty after joining: " in line
    assert "split.csv names no image of it that the exclusions leave" in line


@pytest.mark.parametrize("file", [METADATA_FILE, ADMISSIONS_FILE, "mimic-iv/icu/icustays.csv"])
def test_a_missing_table(tmp_path: Path, file: str) -> None:
    Mimic().write(tmp_path)
    (tmp_path / file).unlink()
    line = error_in(tmp_path)
    assert f"{Path(file).name}.gz" in line
    assert "put the table there as PhysioNet ships it" in line


def test_a_missing_folder(tmp_path: Path) -> None:
    assert "mimic-iv is not a folder; correct the path" in error_in(tmp_path)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (METADATA_FILE, "StudyDate", "Date", "column 'StudyDate' is missing (found: dicom_id, subject_id, "),
        (ADMISSIONS_FILE, "race", "colour", "column 'race' or 'ethnicity' is missing (found: "),
        (METADATA_FILE, "Rows", "StudyDate", "column 'StudyDate' stands twice in the header"),
    ],
)
def test_a_missing_or_repeated_column(tmp_path: Path, file: str, old: str, new: str, message: str) -> None:
    Mimic().write(tmp_path)
    text = (tmp_path / file).read_text()
    (tmp_path / file).write_text(text.replace(old, new, 1))
    assert f"{file}: {message}" in error_in(tmp_path)


def test_files_that_are_no_csv(tmp_path: Path) -> None:
    Mimic().write(tmp_path)
    path = tmp_path / METADATA_FILE
    whole = path.read_bytes()
    for content, message in (
        (b"", "is empty"),
        (b"\xff\xfe\x00", "cannot be read as CSV"),
        (whole + b"d1,10000003\n", "cannot be read as CSV"),
    ):
        path.write_bytes(content)
        assert f"{METADATA_FILE} {message}" in error_in(tmp_path)


def test_a_compressed_table_that_was_cut_off(tmp_path: Path) -> None:
    Mimic().write(tmp_path)
    rows = "".join(f"{n},20000001,2150-03-01 10:00:00,,,,,,0\n" for n in range(10_000_000, 10_020_000))
    path = tmp_path / f"{ADMISSIONS_FILE}.gz"
    write_file(path, (tmp_path / ADMISSIONS_FILE).read_text() + rows)
    path.write_bytes(path.read_bytes()[:-5000])
    assert f"{ADMISSIONS_FILE}.gz cannot be read as CSV" in error_in(tmp_path)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        (
            "SELECT dicom_id, 1 AS value FROM images UNION ALL SELECT 'a1', 2",
            "gives 1 rows of images it has given before",
        ),
        ("SELECT 'z9' AS dicom_id, 1 AS value", "gives 1 rows whose dicom_id is no image"),
        ("SELECT dicom_id, 1 AS number FROM images", "selects dicom_id, number; it must select dicom_id and value"),
        ("SELECT dicom_id, age AS value FROM images", "correct the SQL"),
        ("SELECT dicom_id, [1] AS value FROM images", "gives values of type list"),
        ("SELECT 1; SELECT 2", "holds 2 statements; an EHR variable is exactly one SELECT"),
        ("DROP TABLE images", "holds 1 statements; an EHR variable is exactly one SELECT"),
        ("SELEC", "correct the SQL"),
    ],
)
def test_an_ehr_variable_that_is_no_variable(tmp_path: Path, sql: str, message: str) -> None:
    Mimic().write(tmp_path)
    write_file(tmp_path / "mine.sql", sql)
    line = error_in(tmp_path, {"mine": tmp_path / "mine.sql"})
    assert f"EHR variable 'mine': {tmp_path / 'mine.sql'}" in line
    assert message in line


@pytest.mark.parametrize(("name", "message"), [("split", "has that column already"), ("My var", "small letters")])
def test_an_ehr_variable_whose_name_cannot_be_a_column(tmp_path: Path, name: str, message: str) -> None:
    Mimic().write(tmp_path)
    assert message in error_in(tmp_path, {name: VARIABLES / "sex.sql"})


def test_settings_that_do_not_exist(tmp_path: Path) -> None:
    Mimic().write(tmp_path)
    assert "linkage: 'hour' is not allowed" in error_in(tmp_path, linkage="hour")
