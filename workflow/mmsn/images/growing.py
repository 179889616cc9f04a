"""A shard under construction, which an interrupted build goes on with.

`<array>.partial` is a growing .npy and `<array>.partial.jsonl` its journal: the key of what is built, then a line for
each image looked at. No rule declares them, so Snakemake, which deletes the outputs of a failed job, leaves them alone.
"""

import json
import os
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

_ROWS_BETWEEN_MARKS = 512


class Entry(NamedTuple):
    """What came of one image: a row of the array with these pixels, or the reason why it has none."""

    file_digest: str | None
    pixel_digest: str | None
    reason: str | None


class GrowingShard:
    """An array and its journal that grow together; a context, within which `add` may be called.

    Additions become safe a few hundred at a time: first the pixels are on the disk, then the journal says so.
    """

    def __init__(self, output_array: Path, side: int, key: str) -> None:
        self._path = output_array.with_name(output_array.name + ".partial")
        self._journal_path = self._path.with_name(self._path.name + ".jsonl")
        self._side, self._key = side, key
        self._unmarked: list[Entry] = []
        self.entries: list[Entry] = []
        """One for each image looked at so far, before an interruption too, in order."""

    def __enter__(self) -> "GrowingShard":
        self._path.parent.mkdir(parents=True, exist_ok=True)
        written = self._take_up() if self._path.is_file() and self._journal_path.is_file() else 0
        self._pixels = self._path.open("r+b" if written else "w+b")
        self._journal = self._journal_path.open("r+b" if written else "w+b")
        self._journal.truncate(written)
        self._journal.seek(0, os.SEEK_END)
        if not written:
            self._journal.write(_line(self._key))
        self._pixels.truncate(self._write_header() + self._rows * self._side**2)
        return self

    def __exit__(self, *_: object) -> None:
        self._pixels.close()
        self._journal.close()

    def add(self, entry: Entry, pixels: bytes) -> None:
        """Append one image: its row, uint8 [side, side] as bytes, or no bytes for an unreadable one."""
        self._pixels.seek(0, os.SEEK_END)
        self._pixels.write(pixels)
        self.entries.append(entry)
        self._unmarked.append(entry)
        if len(self._unmarked) >= _ROWS_BETWEEN_MARKS:
            self.mark()

    def mark(self) -> None:
        """Make what was added last."""
        self._write_header()
        _to_disk(self._pixels)
        self._journal.writelines(map(_line, self._unmarked))
        _to_disk(self._journal)
        self._unmarked.clear()

    def finish(self, output_array: Path) -> None:
        """Give the finished array its name."""
        self._path.replace(output_array)
        self._journal_path.unlink()

    @property
    def _rows(self) -> int:
        return sum(entry.reason is None for entry in self.entries)

    def _write_header(self) -> int:
        """Write the header for the rows there are; its length, which is that of any number of rows."""
        self._pixels.seek(0)
        shape = (self._rows, self._side, self._side)  # numpy leaves room for a first axis that grows
        np.lib.format.write_array_header_1_0(self._pixels, {"descr": "|u1", "fortran_order": False, "shape": shape})
        return self._pixels.tell()

    def _take_up(self) -> int:
        """Read the entries of an interrupted build with this key; the length of the journal that holds them.

        A machine that lost power may leave a torn line, which ends them, or an array shorter than its journal says.
        """
        lines = self._journal_path.read_bytes().splitlines(keepends=True)
        if not lines or lines[0] != _line(self._key):
            return 0
        written = len(lines[0])
        for line in lines[1:]:
            if not line.endswith(b"]\n"):
                break
            self.entries.append(Entry(*json.loads(line)))
            written += len(line)
        if self._path.stat().st_size <= self._rows * self._side**2:
            self.entries.clear()
            return 0
        return written


def _line(value: str | Entry) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
