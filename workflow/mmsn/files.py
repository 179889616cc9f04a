"""Writing files so that a reader never sees half of one."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; renamed onto it on success, removed on failure.

    The temporary file keeps the suffix, so that writers which look at it still work.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
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


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files that killed writers of `path` left; nobody may be writing it."""
    for leftover in path.parent.glob(f".{path.stem}-*{path.suffix}"):
        leftover.unlink(missing_ok=True)


def write_table(path: Path | str, table: pa.Table, metadata: dict[str, str] | None = None) -> None:
    """Write an Arrow table as Parquet (zstd), atomically; `metadata` joins the schema's own and wins over it."""
    if metadata:
        known = {key.decode(): value for key, value in (table.schema.metadata or {}).items()}
        table = table.replace_schema_metadata({**known, **metadata})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_table(path: Path | str, columns: list[str] | None = None, where: Mapping[str, str] | None = None) -> pa.Table:
    """Read a Parquet table of ours, optionally only some columns, or the rows with the values of `where`."""
    filters = [(name, "=", value) for name, value in where.items()] if where else None
    return pq.read_table(path, columns=columns, filters=filters)


def write_text(path: Path | str, text: str) -> None:
    """Write a text file atomically, UTF-8, ending in a newline."""
    with atomic_path(path) as temporary:
        temporary.write_text(text if text.endswith("\n") else text + "\n", encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write JSON atomically, indented, keys in the order given."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def read_json(path: Path | str) -> Any:
    """Read a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))
