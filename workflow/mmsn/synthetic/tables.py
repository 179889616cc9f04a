"""CSV files as PhysioNet ships them: columns of Arrow arrays, gzipped lightly and the same bytes for the same rows."""

import gzip
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
from numpy.typing import NDArray

from mmsn.synthetic.exact import Flags, Integers, Numbers

Columns = dict[str, Any]
"""Column name -> Arrow array, or anything that `pyarrow.array` takes."""


def write_csv(path: Path, columns: Columns) -> None:
    """Write a table with a header line; gzipped when `path` ends in `.gz`. Cells must not need quotes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with append_csv(path) as append:
        append(columns)


@contextmanager
def append_csv(path: Path) -> Iterator[Callable[[Columns], None]]:
    """Write a table in parts, which must have the same columns; as `write_csv`."""
    options = csv.WriteOptions(include_header=False, quoting_style="none")
    with ExitStack() as opened:
        target: Any = opened.enter_context(path.open("wb"))
        if path.suffix == ".gz":
            # No name and no time in the gzip header, or equal tables would differ.
            packed = gzip.GzipFile("", "wb", compresslevel=1, fileobj=target, mtime=0)
            target = opened.enter_context(packed)
        started = False

        def append(columns: Columns) -> None:
            nonlocal started
            if not started:
                target.write(_header(columns))
                started = True
            csv.write_csv(pa.table(columns), pa.PythonFile(target, "w"), options)

        yield append


def _header(columns: Columns) -> bytes:
    return (",".join(columns) + "\n").encode()


def select(columns: Columns, order: Integers) -> Columns:
    """The same columns with their rows in another order, or fewer of them."""
    rows = pa.array(order)
    return {name: pa.array(values).take(rows) for name, values in columns.items()}


def words(values: NDArray[np.generic] | list[str], codes: Integers) -> pa.Array:
    """Strings `values[code]`; an empty string becomes a null, and so an empty cell."""
    known = pa.array([None if value == "" else str(value) for value in values], pa.string())
    return known.take(pa.array(codes))


def sample(rng: np.random.Generator, shares: dict[str, float], count: int) -> pa.Array:
    """`count` random words with the given relative shares."""
    weights = np.array(list(shares.values()))
    return words(list(shares), rng.choice(len(weights), count, p=weights / weights.sum()))


def timestamps(seconds: Integers, present: Flags | None = None) -> pa.Array:
    """`2180-05-06 22:23:00`, null where not `present`."""
    mask = None if present is None else ~present
    return pa.array(seconds, pa.timestamp("s"), mask=mask).cast(pa.string())


def dates(seconds: Integers, present: Flags) -> pa.Array:
    """`2180-05-06`, null where not `present`."""
    days = (seconds // 86_400).astype(np.int32)
    return pa.array(days, pa.date32(), mask=~present).cast(pa.string())


def study_date(time: Numbers) -> Integers:
    """The integer yyyymmdd of seconds since 1970."""
    day = np.floor(time / 86_400).astype(np.int64).astype("datetime64[D]")
    month, year = day.astype("datetime64[M]"), day.astype("datetime64[Y]")
    out: Integers = (
        (year.astype(np.int64) + 1970) * 10_000
        + ((month - year).astype(np.int64) + 1) * 100
        + (day - month).astype(np.int64)
        + 1
    )
    return out


def study_time(time: Numbers) -> Numbers:
    """The number hhmmss.fff of seconds since 1970; leading zeros are lost, as in MIMIC-CXR."""
    milliseconds = np.round(time * 1000).astype(np.int64) % 86_400_000
    seconds, fraction = milliseconds // 1000, milliseconds % 1000
    whole = seconds // 3600 * 10_000 + seconds // 60 % 60 * 100 + seconds % 60
    return np.round(whole + fraction / 1000, 3)
