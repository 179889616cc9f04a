"""MIMIC-IV tables that EHR variables read besides the cohort's own, handed over as streams.

Such a table may have more than a hundred million rows (`hosp/labevents`), so none is loaded: each becomes a view of its
file, of which a statement reads the columns that it names, batch by batch.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import duckdb

from mmsn.cohort.database import rows
from mmsn.cohort.reading import csv_rows, header
from mmsn.errors import UserError

_IDS = ("subject_id", "hadm_id", "stay_id", "labevent_id", "specimen_id", "microevent_id", "itemid", "seq_num")
_TIMES = ("charttime", "storetime", "starttime", "endtime", "intime", "outtime", "ordertime", "transfertime")
_NUMBERS = ("valuenum", "ref_range_lower", "ref_range_upper", "amount", "rate", "patientweight", "los")
_VITALS = ("temperature", "heartrate", "resprate", "o2sat", "sbp", "dbp")
TYPES: Final = {
    **dict.fromkeys(_IDS, "BIGINT"),
    **dict.fromkeys(_TIMES, "TIMESTAMP"),
    "chartdate": "DATE",
    **dict.fromkeys((*_NUMBERS, *_VITALS), "DOUBLE"),
}
"""Columns that are not text, by name: the same in every table of MIMIC-IV and MIMIC-IV-ED that has them. A cell is
checked where its column is used; one that is not of its type stops the run."""
_MUST_BE = {
    "BIGINT": "an integer",
    "TIMESTAMP": "a time YYYY-MM-DD hh:mm:ss",
    "DATE": "a day YYYY-MM-DD",
    "DOUBLE": "a number",
}


def create_views(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, Path]) -> None:
    """Make a view `folder.name` of each table.

    Args:
        connection: The database to make them in.
        tables: Table (`folder/name`) -> file, from `sources.find_tables`.

    Raises:
        UserError: The first line of a file cannot be read.
    """
    for table, path in tables.items():
        folder, _, name = table.partition("/")
        connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{folder}"')
        source = _parquet_rows(connection, path) if path.suffix == ".parquet" else _csv_rows(path)
        connection.execute(f'CREATE VIEW "{folder}"."{name}" AS {source}')


def _csv_rows(path: Path) -> str:
    return f"FROM {csv_rows(path, {column: TYPES.get(column, 'VARCHAR') for column in header(path)})}"


def _parquet_rows(connection: duckdb.DuckDBPyConnection, path: Path) -> str:
    """Rows of a Parquet file; columns of `TYPES` that were written as something else, text for example, are cast."""
    source = "read_parquet('" + str(path).replace("'", "''") + "')"
    try:
        columns = [row[0] for row in rows(connection, f"DESCRIBE FROM {source}")]
    except duckdb.Error as error:
        raise UserError(f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}; write it again") from error
    casts = ", ".join(f'CAST("{name}" AS {TYPES[name]}) AS "{name}"' for name in columns if name in TYPES)
    return f"SELECT * REPLACE ({casts}) FROM {source}" if casts else f"FROM {source}"


def fault_in_file(error: duckdb.Error) -> str | None:
    """Where a streamed file is at fault, and what to do; None when it is the statement that is wrong."""
    text = str(error)
    if isinstance(error, duckdb.IOException):
        return f"{text.splitlines()[0]}; fetch the file again from PhysioNet"
    row = re.search(r"CSV Error on Line: (\d+)", text)
    if row is None:
        return None
    file = re.search(r"^  file = (.*)$", text, re.MULTILINE)
    place = f"{file[1] if file else 'a table'}: row {row[1]}"
    cell = re.search(r"converting column \"(.*?)\". Could not convert string \"(.*)\" to '(\w+)'", text)
    if cell is None:
        return f"{place} cannot be read as CSV; fetch the file again from PhysioNet"
    return f"{place}, column {cell[1]}: '{cell[2]}' must be {_MUST_BE.get(cell[3], cell[3])}; correct the cell"
