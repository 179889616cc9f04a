"""What the stage asks of DuckDB."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

T = TypeVar("T")
_HERE = Path(__file__).parent


def connect(threads: int) -> duckdb.DuckDBPyConnection:
    """Open an empty database in memory; it fetches no extension, and sees no Python variable as a table."""
    return duckdb.connect(
        config={"threads": threads, "autoinstall_known_extensions": False, "python_enable_replacements": False}
    )


def run_file(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Run the statements of `<name>.sql`, which lies beside this module."""
    connection.execute(_statement(name))


def table(connection: duckdb.DuckDBPyConnection, name: str) -> pa.Table:
    """Run the query of `<name>.sql`, which lies beside this module."""
    return connection.sql(_statement(name)).to_arrow_table()


def rows(
    connection: duckdb.DuckDBPyConnection, statement: str, parameters: Sequence[Any] = ()
) -> list[tuple[Any, ...]]:
    """Run one statement; every row is fetched, since an unfinished result blocks the connection."""
    return connection.execute(statement, list(parameters)).fetchall()


def set_variable(connection: duckdb.DuckDBPyConnection, name: str, value: Any) -> None:
    """Set what SQL reads with `getvariable(name)`."""
    connection.execute(f"SET VARIABLE {name} = ?", [value])


def side_by_side(
    connection: duckdb.DuckDBPyConnection, jobs: Sequence[Callable[[duckdb.DuckDBPyConnection], T]], threads: int
) -> list[T]:
    """Run jobs at once, each with a cursor to itself on one core: small ones keep the cores busier so than in turn.

    A cursor serves one job after the other. It knows the variables of the connection, which DuckDB by itself does not
    hand on. On one core a join also keeps the order of its left table, though only ORDER BY promises so.
    """
    connection.execute("SET threads = 1")
    variables = _variables(connection)
    free: SimpleQueue[duckdb.DuckDBPyConnection] = SimpleQueue()
    for _ in range(threads):
        cursor = connection.cursor()
        for name, value in variables.items():
            set_variable(cursor, name, value)
        free.put(cursor)

    def run(job: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        cursor = free.get()
        try:
            return job(cursor)
        finally:
            free.put(cursor)

    with ThreadPoolExecutor(threads) as pool:
        results = list(pool.map(run, jobs))
    connection.execute(f"SET threads = {threads}")
    return results


def _variables(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    names = [name for (name,) in rows(connection, "SELECT name FROM duckdb_variables()")]
    wanted = ", ".join(f"getvariable('{name}')" for name in names)
    (values,) = rows(connection, f"SELECT {wanted}")
    return dict(zip(names, values, strict=True))


def _statement(name: str) -> str:
    return (_HERE / f"{name}.sql").read_text(encoding="utf-8")
