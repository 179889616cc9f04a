"""What the stage asks of DuckDB."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
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


@contextmanager
def cursors_of_cores(cores: int) -> Iterator[list[duckdb.DuckDBPyConnection]]:
    """Open an empty database in memory, which `side_by_side` works on: a cursor for each core, of one thread each."""
    with ExitStack() as stack:
        first = stack.enter_context(closing(connect(threads=1)))
        yield [first, *(stack.enter_context(closing(first.cursor())) for _ in range(cores - 1))]


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
    cursors: Sequence[duckdb.DuckDBPyConnection], jobs: Sequence[Callable[[duckdb.DuckDBPyConnection], T]]
) -> list[T]:
    """Run jobs at once, each on a core: small ones keep the cores busier so than in turn, each on all.

    A cursor serves one job after the other; DuckDB hands the variables of one cursor on to no other. On one core a join
    also keeps the order of its left table, though only ORDER BY promises so.
    """
    free: SimpleQueue[duckdb.DuckDBPyConnection] = SimpleQueue()
    for cursor in cursors:
        free.put(cursor)

    def run(job: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        cursor = free.get()
        try:
            return job(cursor)
        finally:
            free.put(cursor)

    with ThreadPoolExecutor(len(cursors)) as pool:
        return list(pool.map(run, jobs))


def _statement(name: str) -> str:
    return (_HERE / f"{name}.sql").read_text(encoding="utf-8")
