"""Tables and lists of the external data sets, every cell checked; a bad one is named by file, column, row and value."""

import csv
import gzip
from pathlib import Path
from typing import TextIO

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from mmsn.cohort.database import rows
from mmsn.cohort.reading import FIRST_ROW
from mmsn.cohort.tables import InputTable
from mmsn.errors import UserError

_WHAT_A_READER_RAISES = (OSError, EOFError, UnicodeDecodeError, csv.Error, pa.ArrowException)


def header(path: Path) -> list[str]:
    """The names of a CSV file's columns; one without a name (NIH's table of 2017 ends in one) is called by number.

    Raises:
        UserError: The file cannot be read, is empty, or has a column twice.
    """
    try:
        names = _column_names(path)
    except _WHAT_A_READER_RAISES as error:
        raise UserError(f"{path} cannot be read as a table: {error}; fetch it again") from error
    if not names:
        raise UserError(f"{path} is empty; fetch it again")
    repeated = [name for name in names if name and names.count(name) > 1]
    if repeated:
        raise UserError(f"{path}: column '{repeated[0]}' stands twice in the header; keep one of the two")
    return [name or f"column {number}" for number, name in enumerate(names, 1)]


def read_csv(connection: duckdb.DuckDBPyConnection, name: str, table: InputTable, path: Path) -> None:
    """Make the table `name` of a CSV or Parquet file: the columns of `table` as values, rows in the file's order.

    Also leaves a view `raw_<name>` of the file with every column as text.

    Raises:
        UserError: The file cannot be read, lacks a column, has no row, has a bad cell, or repeats its key.
    """
    found = header(path)
    if missing := [column.header for column in table.columns if column.header not in found]:
        raise UserError(
            f"{path}: column '{missing[0]}' is missing (found: {', '.join(found)}); use the table as shipped"
        )
    connection.execute(_raw_view(name, found, path))
    values = ", ".join(
        f'{column.parse.format(cell=_name(column.header))} AS "{column.called}"' for column in table.columns
    )
    try:
        connection.execute(f"CREATE TABLE {name} AS SELECT {values}, {_first_fault(table)} AS fault FROM raw_{name}")
    except duckdb.Error as error:
        raise UserError(f"{path} cannot be read as CSV: {str(error).splitlines()[0]}; fetch it again") from error
    if rows(connection, f"SELECT count(*) FROM {name}") == [(0,)]:
        raise UserError(f"{path} has a header and no row; fetch it again")
    _report_fault(connection, name, table, path)
    _report_repeat(connection, name, table, path)


def read_list(path: Path) -> pa.Table:
    """Read a list of one image name a line, blank lines left out: columns `name` string, `row` int64.

    Raises:
        UserError: The file cannot be read, names nothing, or names an image twice.
    """
    try:
        with _opened(path) as lines:
            named = [(line.strip(), row) for row, line in enumerate(lines, 1) if line.strip()]
    except _WHAT_A_READER_RAISES as error:
        raise UserError(f"{path} cannot be read: {error}; fetch it again") from error
    if not named:
        raise UserError(f"{path} names no image; fetch it again")
    first: dict[str, int] = {}
    for name, row in named:
        if first.setdefault(name, row) != row:
            raise UserError(
                f"{path}: row {row}: '{name}' already stands in row {first[name]}; remove one of the two rows"
            )
    return pa.table({"name": list(first), "row": pa.array(first.values(), pa.int64())})


def cell(connection: duckdb.DuckDBPyConnection, name: str, column: str, row: int, path: Path) -> str:
    """Where a cell of `raw_<name>` is and what it says; `row` counts from 0. Reads the file again."""
    ((value,),) = rows(connection, f"SELECT {_name(column)} FROM raw_{name} LIMIT 1 OFFSET {row}")
    shown = "blank" if value is None else f"'{value}'"
    return f"{path}: row {row + _first_row(path)}, column {column}: {shown}"


def _column_names(path: Path) -> list[str]:
    if _is_parquet(path):
        return list(pq.read_schema(path).names)
    with _opened(path) as lines:
        return next(csv.reader(lines), [])


def _is_parquet(path: Path) -> bool:
    return path.suffix == ".parquet"


def _first_row(path: Path) -> int:
    """Number of the first data row: a CSV file's header is row 1, a Parquet table has none."""
    return 1 if _is_parquet(path) else FIRST_ROW


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _raw_view(name: str, columns: list[str], path: Path) -> str:
    """A view of the file with every column as text; DuckDB's own guessing of types and dialect stays off."""
    if _is_parquet(path):
        cells = ", ".join(f"CAST({_name(column)} AS VARCHAR) AS {_name(column)}" for column in columns)
        return f"CREATE VIEW raw_{name} AS SELECT {cells} FROM read_parquet({_text(str(path))})"
    typed = ", ".join(f"{_text(column)}: 'VARCHAR'" for column in columns)
    return (
        f"CREATE VIEW raw_{name} AS FROM read_csv({_text(str(path))}, auto_detect = false, header = true, "
        f"delim = ',', quote = '\"', escape = '\"', columns = {{{typed}}})"
    )


def _first_fault(table: InputTable) -> str:
    """SQL of the number of a row's first bad cell, or NULL: there is text but no value, or a value is required."""
    cases = [
        f"WHEN {column.parse.format(cell=_name(column.header))} IS NULL"
        f" AND {'true' if column.required else f'{_name(column.header)} IS NOT NULL'} THEN {number}"
        for number, column in enumerate(table.columns)
        if column.must_be
    ]
    return f"CASE {' '.join(cases)} END"


def _report_fault(connection: duckdb.DuckDBPyConnection, name: str, table: InputTable, path: Path) -> None:
    first = f"SELECT rowid, fault FROM {name} WHERE fault IS NOT NULL ORDER BY rowid LIMIT 1"
    for row, number in rows(connection, first):
        column = table.columns[number]
        where = cell(connection, name, column.header, row, path)
        raise UserError(f"{where} must be {column.must_be}; correct the cell")


def _report_repeat(connection: duckdb.DuckDBPyConnection, name: str, table: InputTable, path: Path) -> None:
    key = next((column for column in table.columns if column.called == table.key), None)
    if key is None:
        return
    repeated = (
        f'SELECT min(rowid), max(rowid) AS again FROM {name} GROUP BY "{key.called}"'
        " HAVING count(*) > 1 ORDER BY again LIMIT 1"
    )
    for first, again in rows(connection, repeated):
        where = cell(connection, name, key.header, again, path)
        raise UserError(f"{where} already stands in row {first + _first_row(path)}; remove one of the two rows")


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
