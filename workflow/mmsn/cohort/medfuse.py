"""Reading MedFuse's patient lists, in any of the forms they are passed around in."""

import csv
import gzip
import re
from pathlib import Path

from mmsn.errors import UserError

_PATIENT = re.compile(r"(\d{1,18})(_\S*)?")
"""A subject id, alone or opening the name of an episode's file: 10000032_episode1_timeseries.csv."""


def read_patients(path: Path) -> frozenset[int]:
    """Read the subject ids of a list.

    Three forms are understood: a CSV file with a `subject_id` column; a mimic3-benchmarks listfile, whose first
    column names files that open with the subject id (MedFuse's `val_listfile.csv`); and lines `subject_id,flag` without
    a header, of which flag 1 is on the list (mimic3-benchmarks' `valset.csv`) and which may leave the flag out.

    Raises:
        UserError: The file cannot be read, has no patient, or a cell holds no subject id.
    """
    rows = _rows(path)
    if not rows:
        raise UserError(f"{path} is empty; give a CSV file of subject ids")
    column, start = _layout(rows[0])
    patients = frozenset(
        _patient(path, number, row, column)
        for number, row in enumerate(rows[start:], start + 1)
        if row and _is_listed(path, number, row, headerless=start == 0)
    )
    if not patients:
        raise UserError(f"{path} lists no patient; give a CSV file of subject ids")
    return patients


def _rows(path: Path) -> list[list[str]]:
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as lines:
            return list(csv.reader(lines))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as CSV: {error}; fetch or write it again") from error


def _layout(first: list[str]) -> tuple[int, int]:
    """The column of the subject ids and the first row of data."""
    if "subject_id" in first:
        return first.index("subject_id"), 1
    return 0, 0 if first and _PATIENT.fullmatch(first[0].strip()) else 1


def _is_listed(path: Path, number: int, row: list[str], headerless: bool) -> bool:
    if not headerless or len(row) != 2 or "_" in row[0]:
        return True
    flag = row[1].strip()
    if flag not in ("0", "1"):
        raise UserError(f"{path}: row {number}, column 2: '{flag}' must be a flag 0 or 1; correct the cell")
    return flag == "1"


def _patient(path: Path, number: int, row: list[str], column: int) -> int:
    cell = row[column].strip() if column < len(row) else ""
    match = _PATIENT.fullmatch(cell)
    if match is None:
        raise UserError(
            f"{path}: row {number}, column {column + 1}: '{cell}' must be a subject id such as 10000032 or a file name"
            " that opens with one; correct the cell"
        )
    return int(match.group(1))
