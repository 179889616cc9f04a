"""What two runs must agree on, and what they may not have lost: digests of the files of a study."""

import hashlib
import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import safe_open

from mmsn.planning.evidence import gather

NOT_RESULTS = ("logs", "benchmarks")
"""Folders that say when and how fast something was made: they differ between any two runs."""
OF_TIME = ("images_per_second", "peak_memory_gb")
"""Columns of a training history that say the same."""
TIMED_LINE = re.compile(rb"^.*(seconds_since_last_start|Hours of the last finished jobs).*$", flags=re.MULTILINE)
"""The one line of resolved.yaml, of the model card and of the report's opening that does."""


def contents(results: Path) -> dict[str, str]:
    """Digest of what each result says, by path.

    Left out: logs and benchmarks, TensorBoard's event files (named by time), the store's second names (`*.kept`, hard
    links of what is compared), columns and the line of time. Parquet tables are compared as columns and metadata,
    safetensors as tensors and metadata, all else, figures too, byte by byte.
    """
    return {str(path.relative_to(results)): _said(path) for path in _files(results)}


def leftovers(results: Path) -> list[str]:
    """Files of unfinished work; there are none in a finished study."""
    found = [path for path in results.rglob("*") if path.is_file() and _is_unfinished(path)]
    return sorted(str(path.relative_to(results)) for path in found)


def finished(project: Path) -> dict[str, tuple[int, int]]:
    """Date and size of each result whose job has ended, as Snakemake has it: these may never be lost or made again."""
    begun = gather(project).begun
    found = {}
    for path in _files(project / "results"):
        name = str(path.relative_to(project))
        if name not in begun:
            there = path.stat()
            found[name] = (there.st_mtime_ns, there.st_size)
    return found


def lost(before: dict[str, tuple[int, int]], project: Path) -> list[str]:
    """Files of `finished` that are gone or were made again since."""
    return [name for name, was in before.items() if not (path := project / name).is_file() or _dated(path) != was]


def differing(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """Paths whose contents differ or that only one of two runs has."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _dated(path: Path) -> tuple[int, int]:
    there = path.stat()
    return there.st_mtime_ns, there.st_size


def _files(results: Path) -> list[Path]:
    return sorted(path for path in results.rglob("*") if path.is_file() and _counts(path, results))


def _counts(path: Path, results: Path) -> bool:
    parts = path.relative_to(results).parts
    return parts[0] not in NOT_RESULTS and "tensorboard" not in parts and not _is_unfinished(path) and not _kept(path)


def _kept(path: Path) -> bool:
    return path.suffix == ".kept"


def _is_unfinished(path: Path) -> bool:
    return path.name.startswith((".", "unfinished.")) or ".partial" in path.name


def _said(path: Path) -> str:
    if path.suffix == ".parquet":
        return _table(path)
    if path.suffix == ".safetensors":
        return _tensors(path)
    return hashlib.sha256(TIMED_LINE.sub(b"", path.read_bytes())).hexdigest()


def _table(path: Path) -> str:
    table = pq.read_table(path)
    table = table.drop_columns([name for name in OF_TIME if name in table.column_names]).combine_chunks()
    metadata = sorted((table.schema.metadata or {}).items())
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema.remove_metadata()) as writer:
        writer.write_table(table)
    return hashlib.sha256(repr(metadata).encode() + sink.getvalue().to_pybytes()).hexdigest()


def _tensors(path: Path) -> str:
    total = hashlib.sha256()
    with safe_open(path, framework="np") as opened:
        total.update(json.dumps(sorted((opened.metadata() or {}).items())).encode())
        for name in sorted(opened.keys()):
            tensor = opened.get_tensor(name)
            total.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
            total.update(tensor.tobytes())
    return total.hexdigest()
