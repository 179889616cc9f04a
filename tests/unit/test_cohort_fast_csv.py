"""The fast way to load a table gives what the careful way gives, or declines."""

from pathlib import Path
from typing import Any

import pytest

from mmsn.cohort import fast_csv, reading
from mmsn.cohort.database import connect, rows
from mmsn.cohort.tables import TABLES
from mmsn.errors import UserError

SOUND = {
    "subject_id": "10000001", "study_id": "50000001", "hadm_id": "20000001", "stay_id": "30000001", "dicom_id": "a1",
    "admittime": "2150-03-01 10:00:00", "intime": "2150-03-01 10:00:00", "hospital_expire_flag": "1", "split": "train",
}  # fmt: skip
"""Cells of the columns that may not be blank."""
ODD = (
    # numbers
    *("", '""', " ", " 7", "7 ", "+7", "-7", "007", "7.0", "7.5", "7e0", "1e3", "0x10", "1_000", "seven", "nan", "inf"),
    *("0", "1", "-1", "2", "1.0", "0.0", "-1.0", "1.00", "0.5", "4294967295", "4294967296", "99999999999999999999"),
    # days and clocks
    *(
        "21500302",
        "21500230",
        "2150030",
        "2150-03-02",
        "21500302.0",
        "00010101",
        "99991231",
        "90000.5",
        "235959.999999",
    ),
    # moments
    *("2150-03-01", "2150-03-01 10:00", "2150-03-01T10:00:00", "2150-03-01 10:00:00.5", "2150-03-01 24:00:00"),
    *("2150-02-30 10:00:00", "2150-03-01 10:00:00Z", "2150-03-01 10:00:00+01", "0001-01-01 00:00:00", "2150-3-1 1:0:0"),
    # text
    *("a1", "a/1", "a 1", '"a,1"', '"a""1"', "é", "test", "NULL", "NA", "null", "true"),
)


def table_of(path: Path, name: str, fast: bool) -> list[tuple[Any, ...]] | None:
    """The rows of a loaded table, None where it is refused or the fast way declines."""
    with connect(threads=1) as connection:
        if fast:
            if not fast_csv.load(connection, name, path, reading.header(path)):
                return None
        else:
            try:
                reading.load(connection, name, path)
            except UserError as refused:
                if refused.__cause__ is not None:
                    raise
                return None
        return rows(connection, f"SELECT rowid, * FROM {name} ORDER BY rowid")


def kinds() -> dict[str, tuple[str, str]]:
    """One column of each kind there is: a name for it -> table, header."""
    found: dict[tuple[Any, ...], tuple[str, str]] = {}
    for name, table in TABLES.items():
        for column in table.columns:
            what = (column.parse, column.typed, column.kind, column.required, column.header == table.key)
            found.setdefault(what, (name, column.header))
    return {f"{name}.{header}": (name, header) for name, header in found.values()}


@pytest.mark.parametrize(("name", "odd_column"), kinds().values(), ids=kinds())
def test_what_it_accepts_the_careful_way_reads_the_same(
    tmp_path: Path, name: str, odd_column: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = [column.header for column in TABLES[name].columns]
    path = tmp_path / f"{name}.csv"
    accepted = 0
    for odd in ODD:
        cells = [odd if column == odd_column else SOUND.get(column, "") for column in columns]
        path.write_text(f"{','.join(columns)}\n{','.join(cells)}\n", encoding="utf-8")
        found = table_of(path, name, fast=True)
        if found is not None:
            accepted += 1
            with monkeypatch.context() as patched:
                patched.setattr(fast_csv, "load", lambda *_: False)
                assert found == table_of(path, name, fast=False), odd
    assert accepted > 0


def test_tables_as_physionet_ships_them_take_the_fast_way(tmp_path: Path) -> None:
    for name, table in TABLES.items():
        columns = [column.header for column in table.columns]
        path = tmp_path / f"{name}.csv"
        path.write_text(f"{','.join(columns)}\n{','.join(SOUND.get(column, '') for column in columns)}\n")
        assert table_of(path, name, fast=True) is not None


def test_a_doubt_leaves_no_table_behind(tmp_path: Path) -> None:
    path = tmp_path / "patients.csv"
    path.write_text("subject_id,gender,anchor_age,anchor_year\n1,F,60,2150\n1,F,60,2150\n")
    with connect(threads=1) as connection:
        assert not fast_csv.load(connection, "patients", path, reading.header(path))
        assert rows(connection, "SELECT count(*) FROM duckdb_tables()") == [(0,)]
