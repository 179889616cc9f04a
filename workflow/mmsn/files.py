"""Writing files so that a reader never sees half of one."""

import errno
import json
import math
import os
import re
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mmsn.errors import UserError
from mmsn.failures import error_number

_LONGEST_REASON = 200
_MADE_AGAIN = "delete it, and the same command makes it again"
_RANDOM = re.compile(r"-[a-z0-9_]{8}")  # what tempfile puts between prefix and suffix
_started = time.time()


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; renamed onto it on success, removed on failure.

    The temporary file keeps the suffix, so that writers which look at it still work. What killed writers of `path`
    left is removed.

    Raises:
        OSError: with the name of `path`, whatever a library raises when the disk is full.
    """
    final = Path(path)
    with naming(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(final, older_than=_started)
        handle, name = tempfile.mkstemp(dir=final.parent, prefix=f".{final.stem}-", suffix=final.suffix)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.replace(final)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Let a failure of the machine while `path` is written name it: libraries, and writes themselves, do not.

    Raises:
        OSError: with the name of `path`, unless it names another file than a temporary one of `path`.
    """
    try:
        yield
    except Exception as error:
        number = None if isinstance(error, UserError) else error_number(error)
        named = Path(error.filename).name if isinstance(error, OSError) and error.filename else None
        if number is None or (named is not None and not named.startswith(f".{Path(path).stem}-")):
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def remove_leftovers(path: Path, older_than: float = math.inf) -> None:
    """Remove the temporary files that killed writers of `path` left, last written to before `older_than`."""
    for leftover in path.parent.glob(f".{path.stem}-*{path.suffix}"):
        middle = leftover.name.removeprefix(f".{path.stem}").removesuffix(path.suffix)
        if _RANDOM.fullmatch(middle) and leftover.stat().st_mtime < older_than:
            leftover.unlink(missing_ok=True)


def write_table(
    path: Path | str,
    table: pa.Table,
    metadata: dict[str, str] | None = None,
    distinct: Collection[str] = (),
    encodings: Mapping[str, str] | None = None,
) -> None:
    """Write an Arrow table as Parquet (zstd), atomically; `metadata` joins the schema's own and wins over it.

    `distinct` names columns whose values hardly repeat, such as ids, which a dictionary would not make smaller;
    `encodings` says how to write some of those (column -> a name of Parquet's). No column gets statistics: they take a
    seventh of the time, and serve to pass over parts of a file, which no reader here does.
    """
    if metadata:
        known = {key.decode(): value for key, value in (table.schema.metadata or {}).items()}
        table = table.replace_schema_metadata({**known, **metadata})
    with atomic_path(path) as temporary:
        pq.write_table(
            table,
            temporary,
            compression="zstd",
            use_dictionary=[name for name in table.column_names if name not in distinct],
            write_statistics=False,
            column_encoding=encodings,
            write_page_checksum=True,
        )


def read_table(path: Path | str, columns: list[str] | None = None, where: Mapping[str, str] | None = None) -> pa.Table:
    """Read a Parquet table of ours, optionally only some columns, or the rows with the values of `where`.

    Raises:
        UserError: it is damaged: cut short, no Parquet file, or a page differs from its checksum.
    """
    filters = [(name, "=", value) for name, value in where.items()] if where else None
    with _refusing_damage(path):
        return pq.read_table(path, columns=columns, filters=filters, page_checksum_verification=True)


def read_schema(path: Path | str) -> pa.Schema:
    """The schema of a Parquet table of ours with its metadata; only the footer is read.

    Raises:
        UserError: it is damaged.
    """
    with _refusing_damage(path):
        return pq.read_schema(path)


@contextmanager
def _refusing_damage(path: Path | str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:  # Arrow's has no number
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from error
    except MemoryError:  # Arrow's is an ArrowException too
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        reason = str(error).partition("\n")[0][:_LONGEST_REASON]
        raise UserError(f"{path}: damaged table ({reason}); {_MADE_AGAIN}") from None


def write_text(path: Path | str, text: str) -> None:
    """Write a text file atomically, UTF-8, ending in a newline."""
    with atomic_path(path) as temporary:
        temporary.write_text(text if text.endswith("\n") else text + "\n", encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write JSON atomically, indented, keys in the order given."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises:
        UserError: it is damaged.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: damaged JSON ({error}); {_MADE_AGAIN}") from None
