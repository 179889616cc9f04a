"""Building the pixel store: an array and an index for each shard, then one index over all of them.

A shard under construction is `<array>.partial`, a growing .npy, with `<array>.partial.json`, which says how
far it is. No rule declares these paths, so Snakemake leaves them alone and an interrupted shard can go on.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa

from mmsn.console import logger, progress
from mmsn.errors import UserError
from mmsn.files import read_json, write_json, write_table
from mmsn.images.decode import Pixels, Unreadable, decode
from mmsn.images.settings import ImageSettings

SHARD_SCHEMA = pa.schema(
    [
        pa.field("dicom_id", pa.string(), nullable=False),
        pa.field("subject_id", pa.int64(), nullable=False),
        pa.field("row", pa.int64()),  # null: unreadable
        pa.field("reason", pa.string()),  # null: readable
    ]
)
_ROWS_BETWEEN_MARKS = 512
_TASKS_PER_WORKER = 32  # bounds the decoded images that wait for the disk


class ImageRow(NamedTuple):
    """One image to pack: its ids, and its path relative to the data root."""

    dicom_id: str
    subject_id: int
    path: str


def shard_of(subject_id: int) -> str:
    """Name a patient's shard as MIMIC-CXR names its folders: `p` and the first two of eight digits.

    MIMIC's patients fall into p10..p19, the small ids of NIH-14 and CheXpert into p00.
    """
    return f"p{subject_id:08d}"[:3]


def build_shard(
    rows: Sequence[ImageRow],
    root: Path,
    settings: ImageSettings,
    output_array: Path,
    output_index: Path,
    workers: int = 1,
) -> None:
    """Decode a shard's images into one .npy, uint8 [N, side, side]: the N readable ones in `rows`' order.

    Also writes `output_index` (SHARD_SCHEMA): every image with its row, or with the reason why it has none.
    A shard of no images is an array of no rows. The bytes do not depend on `workers` or on interruptions.

    Raises:
        UserError: `root` is no folder, or its file system fails.
    """
    if rows and not root.is_dir():
        raise UserError(f"data root {root} is not a folder: set it to the folder that the images' paths start from")
    growing = _GrowingShard.take_up(output_array, rows, settings)
    with growing.open() as pixels:
        todo = rows[growing.done :]
        results = _decoded(todo, root, settings, workers)
        for result in progress(results, f"packing {output_array.stem}", total=len(todo)):
            growing.add(pixels, result)
        growing.mark(pixels)
    write_table(output_index, growing.index(rows))
    growing.finish(output_array)
    _report(output_array.stem, len(rows), Counter(growing.unreadable.values()))


def _decoded(
    rows: Sequence[ImageRow], root: Path, settings: ImageSettings, workers: int
) -> Iterator[Pixels | Unreadable]:
    """Decode in threads (Pillow lets go of the interpreter lock) and yield in order."""

    def attempt(row: ImageRow) -> Pixels | Unreadable:
        try:
            return decode(root / row.path, settings)
        except Unreadable as finding:
            return finding

    batch = _TASKS_PER_WORKER * workers
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(rows), batch):
            yield from pool.map(attempt, rows[start : start + batch])


@dataclass
class _GrowingShard:
    """A shard under construction: `done` images looked at; `unreadable` says why some of them have no row."""

    path: Path
    marker: Path
    side: int
    key: str
    done: int = 0
    unreadable: dict[int, str] = field(default_factory=dict)

    @classmethod
    def take_up(cls, output_array: Path, rows: Sequence[ImageRow], settings: ImageSettings) -> "_GrowingShard":
        """Go on with a shard that was begun with these settings and images, else begin anew."""
        path = output_array.with_name(output_array.name + ".partial")
        shard = cls(path, path.with_name(path.name + ".json"), settings.side, _key(rows, settings))
        if path.is_file() and shard.marker.is_file() and (known := read_json(shard.marker))["key"] == shard.key:
            shard.done = known["done"]
            shard.unreadable = {int(position): reason for position, reason in known["unreadable"].items()}
            logger.info("%s: %d of %d images are there from before", output_array.stem, shard.done, len(rows))
        return shard

    @property
    def rows(self) -> int:
        return self.done - len(self.unreadable)

    def open(self) -> BinaryIO:
        """Open for appending, less whatever was written after the last mark."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        pixels = self.path.open("r+b" if self.done else "w+b")
        self._write_header(pixels)
        pixels.truncate(pixels.tell() + self.rows * self.side**2)
        pixels.seek(0, os.SEEK_END)
        return pixels

    def add(self, pixels: BinaryIO, result: Pixels | Unreadable) -> None:
        if isinstance(result, Unreadable):
            self.unreadable[self.done] = result.reason
        else:
            pixels.write(result.tobytes())
        self.done += 1
        if self.done % _ROWS_BETWEEN_MARKS == 0:
            self.mark(pixels)

    def mark(self, pixels: BinaryIO) -> None:
        """Make what was added last: first the pixels, then the note that they are there."""
        self._write_header(pixels)
        pixels.seek(0, os.SEEK_END)
        pixels.flush()
        os.fsync(pixels.fileno())
        write_json(self.marker, {"key": self.key, "done": self.done, "unreadable": self.unreadable})

    def _write_header(self, pixels: BinaryIO) -> None:
        # numpy pads the header for a growing first axis, so that a later one fits in its place
        pixels.seek(0)
        shape = (self.rows, self.side, self.side)
        np.lib.format.write_array_header_1_0(pixels, {"descr": "|u1", "fortran_order": False, "shape": shape})

    def index(self, rows: Sequence[ImageRow]) -> pa.Table:
        """Index of the finished shard (SHARD_SCHEMA)."""
        reasons = [self.unreadable.get(position) for position in range(len(rows))]
        numbers = iter(range(len(rows)))
        columns = {
            "dicom_id": [row.dicom_id for row in rows],
            "subject_id": [row.subject_id for row in rows],
            "row": [next(numbers) if reason is None else None for reason in reasons],
            "reason": reasons,
        }
        return pa.table(columns, schema=SHARD_SCHEMA)

    def finish(self, output_array: Path) -> None:
        self.path.replace(output_array)
        self.marker.unlink()


def _key(rows: Sequence[ImageRow], settings: ImageSettings) -> str:
    of_pixels = settings.model_dump_json(exclude={"max_unreadable_share"})
    return hashlib.sha256(json.dumps([of_pixels, rows]).encode()).hexdigest()


def _report(shard: str, images: int, reasons: Counter[str]) -> None:
    lost = f"; unreadable: {counted(reasons)}" if reasons else ""
    logger.info("%s: %d images, %d readable%s", shard, images, images - reasons.total(), lost)


def counted(reasons: Counter[str]) -> str:
    """Reasons with their counts as text, the commonest first: `truncated 12, empty file 3`."""
    return ", ".join(f"{reason} {count}" for reason, count in reasons.most_common(5))
