"""CSV files into DuckDB tables, every cell checked; a bad one is reported by file, column, row and value."""

import csv
import gzip
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import duckdb

from mmsn.cohort import fast_csv
from mmsn.cohort.database import rows
from mmsn.cohort.tables import RENAMED, TABLES
from mmsn.errors import UserError

FIRST_ROW = 2
"""Row number of the first data row: the header is row 1, as editors and spreadsheets count."""


def load(connection: duckdb.DuckDBPyConnection, name: str, path: Path) -> None:
    """Make the typed table `name` of `tables.TABLES` from a CSV file.

    It also leaves a view `raw_<name>` with every column of the file as text, read only when used.

    Raises:
        UserError: The file cannot be read, lacks a column, has a bad cell, or repeats its key.
    """
    columns = header(path)
    _check_columns(columns, name, path)
    connection.execute(_raw_view(columns, name, path))
    if fast_csv.load(connection, name, path, columns):
        return
    try:
        connection.execute(_typed_table(name))
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} cannot be read as CSV: {reason}; fetch it again from PhysioNet") from error
    _report_fault(connection, name, path)
    _report_repeat(connection, name, path)


def header(path: Path) -> list[str]:
    """The names of a CSV file's columns, as MIMIC-IV 2.x and 3.x call them.

    Raises:
        UserError: The file cannot be read or is empty.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as lines:
            names = next(csv.reader(lines), [])
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as CSV: {error}; fetch it again from PhysioNet") from error
    if not names:
        raise UserError(f"{path} is empty; fetch it again from PhysioNet")
    return [RENAMED.get(column, column) for column in names]


def _check_columns(found: list[str], name: str, path: Path) -> None:
    repeated = [column for column, times in Counter(found).items() if times > 1]
    if repeated:
        raise UserError(f"{path}: column '{repeated[0]}' stands twice in the header; keep one of the two")
    missing = [column.header for column in TABLES[name].columns if column.header not in found]
    if missing:
        older = [old for old, new in RENAMED.items() if new == missing[0]]
        called = " or ".join(f"'{column}'" for column in (missing[0], *older))
        raise UserError(
            f"{path}: column {called} is missing (found: {', '.join(found)}); use the table as PhysioNet ships it"
        )


def _raw_view(columns: list[str], name: str, path: Path) -> str:
    """A view of the file with every column as text."""
    return f"CREATE VIEW raw_{name} AS FROM {csv_rows(path, dict.fromkeys(columns, 'VARCHAR'))}"


def csv_rows(path: Path, types: Mapping[str, str]) -> str:
    """SQL of a file's rows, read as they are needed; DuckDB's own guessing of types and dialect stays off.

    Args:
        path: CSV file, plain or gzipped.
        types: type of each of its columns, in the order of the file.
    """
    columns = ", ".join(f"{_quoted(column)}: '{kind}'" for column, kind in types.items())
    return (
        f"read_csv({_quoted(str(path))}, auto_detect = false, header = true, "
        f"delim = ',', quote = '\"', escape = '\"', columns = {{{columns}}})"
    )


def _typed_table(name: str) -> str:
    """The columns that the stage reads, as values, and `fault`: the number of the first bad cell, or NULL.

    A cell is parsed once: it is bad where there is text but no value. In file order, so that `rowid` is the row.
    """
    columns = TABLES[name].columns
    parsed, faults = [], []
    for number, column in enumerate(columns):
        cell = f'"{column.header}"'
        parsed.append(f'{cell} AS cell_{number}, {column.parse.format(cell=cell)} AS "{column.called}"')
        blank_is_fine = "" if column.required else f"cell_{number} IS NOT NULL AND "
        if column.must_be:
            faults.append(f'WHEN {blank_is_fine}"{column.called}" IS NULL THEN {number}')
    values = ", ".join(f'"{column.called}"' for column in columns)
    return (
        f"CREATE TABLE {name} AS SELECT {values}, CAST(CASE {' '.join(faults)} END AS UTINYINT) AS fault"
        f" FROM (SELECT {', '.join(parsed)} FROM raw_{name})"
    )


def _report_fault(connection: duckdb.DuckDBPyConnection, name: str, path: Path) -> None:
    first = f"SELECT rowid, fault FROM {name} WHERE fault IS NOT NULL ORDER BY rowid LIMIT 1"
    for row, number in rows(connection, first):
        column = TABLES[name].columns[number]
        cell = _cell(connection, name, column.header, row, path)
        raise UserError(f"{cell} must be {column.must_be}; correct the cell")


def _report_repeat(connection: duckdb.DuckDBPyConnection, name: str, path: Path) -> None:
    key = TABLES[name].key
    if key is None or rows(connection, f"SELECT count(*) - count(DISTINCT {key}) FROM {name}") == [(0,)]:
        return
    repeated = (
        f"SELECT min(rowid), max(rowid) AS again FROM {name} GROUP BY {key} HAVING count(*) > 1 ORDER BY again LIMIT 1"
    )
    for first, again in rows(connection, repeated):
        cell = _cell(connection, name, key, again, path)
        raise UserError(f"{cell} already stands in row {first + FIRST_ROW}; remove one of the two rows")


def _cell(connection: duckdb.DuckDBPyConnection, name: str, column: str, row: int, path: Path) -> str:
    """Where a cell is and what it says; reads the file again, which only a failing run does."""
    ((value,),) = rows(connection, f'SELECT "{column}" FROM raw_{name} LIMIT 1 OFFSET {row}')
    shown = "blank" if value is None else f"'{value}'"
    return f"{path}: row {row + FIRST_ROW}, column {column}: {shown}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
