"""Building the pixel store: an array and an index for each shard.

Files are told apart by content alone: a build reads every file, copies the rows of those whose bytes were there in the
last build (`kept.py`) and decodes the others; what it is about to leave behind when interrupted is in `growing.py`.
Images are read whole and in order, and all pixels of a shard are appended to one file, so a shared file system sees one
open file a thread, one growing file, and never a small file for an image.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from mmsn.console import logger, progress
from mmsn.errors import UserError
from mmsn.files import write_table
from mmsn.images.decode import decode, decoder_key
from mmsn.images.growing import Entry, GrowingShard
from mmsn.images.kept import KEY, KeptShard
from mmsn.images.reading import Unreadable, digest, read
from mmsn.images.settings import ImageSettings

SHARD_SCHEMA = pa.schema(
    [
        pa.field("dicom_id", pa.string(), nullable=False),
        pa.field("subject_id", pa.int64(), nullable=False),
        pa.field("row", pa.int64()),  # null: unreadable
        pa.field("reason", pa.string()),  # null: readable
        pa.field("file_digest", pa.string()),  # of the file's bytes; null: could not be read
        pa.field("pixel_digest", pa.string()),  # of the row's bytes; null: unreadable
    ]
)
_FOLDER = re.compile(r"p\d\d")
_PART = re.compile(r"part(\d+)of(\d+)")
_TASKS_PER_WORKER = 32  # bounds the decoded images that wait for the disk


class ImageRow(NamedTuple):
    """One image to pack: its ids, and its path relative to the data root."""

    dicom_id: str
    subject_id: int
    path: str


@dataclass(frozen=True)
class ShardSummary:
    """What building a shard came to: all its images, of which so many were decoded, copied, or found unreadable.

    The rest were packed before an interruption.
    """

    images: int
    decoded: int
    unchanged: int
    unreadable: Counter[str]


class _Result(NamedTuple):
    entry: Entry
    pixels: bytes = b""
    unchanged: bool = False


def shard_of(subject_id: int) -> str:
    """Name a patient's shard as MIMIC-CXR names its folders: `p` and the first two of eight digits.

    MIMIC's patients fall into p10..p19, the small ids of NIH-14 and CheXpert into p00.
    """
    return f"p{subject_id:08d}"[:3]


def shard_rows(subjects: Iterable[int], shard: str) -> list[bool]:
    """Which images a shard has.

    Args:
        subjects: patient of each image.
        shard: `all`; `p10` and the like, as MIMIC-CXR's folders; or `part2of4`, every fourth patient by number, for
            data sets whose patients are numbered otherwise.

    Raises:
        UserError: `shard` is none of these.
    """
    if shard == "all":
        return [True for _ in subjects]
    if found := _PART.fullmatch(shard):
        part, parts = map(int, found.groups())
        if 1 <= part <= parts:
            return [subject % parts == part - 1 for subject in subjects]
    if _FOLDER.fullmatch(shard):
        return [shard_of(subject) == shard for subject in subjects]
    raise UserError(f"--shard {shard}: give p10 and the like, part1of4 and the like, or all")


def build_shard(
    rows: Sequence[ImageRow],
    root: Path,
    settings: ImageSettings,
    output_array: Path,
    output_index: Path,
    workers: int = 1,
) -> ShardSummary:
    """Pack a shard's images into one .npy, uint8 [N, side, side]: the N readable ones in `rows`' order.

    Also writes `output_index` (SHARD_SCHEMA): every image with its row, or with the reason why it has none. A shard of
    no images is an array of no rows. The bytes depend on the files' content, `rows` and `settings` alone, not on
    `workers`, interruptions or earlier builds.

    Raises:
        UserError: `root` is no folder, or its file system fails.
    """
    if rows and not root.is_dir():
        raise UserError(f"data root {root} is not a folder: set it to the folder that the images' paths start from")
    key = decoder_key(settings)
    tally: Counter[bool] = Counter()
    with (
        GrowingShard(output_array, settings.side, _build_key(rows, settings, key)) as growing,
        KeptShard(output_array, output_index, key) as kept,
    ):
        if growing.entries:
            logger.info("%s: %d of %d images are there from before", output_array.stem, len(growing.entries), len(rows))
        todo = rows[len(growing.entries) :]
        results = _in_order(partial(_looked_at, root=root, settings=settings, kept=kept), todo, workers)
        for result in progress(results, f"packing {output_array.stem}", total=len(todo)):
            growing.add(result.entry, result.pixels)
            if result.pixels:
                tally[result.unchanged] += 1
        growing.mark()
    write_table(output_index, _index(rows, growing.entries), {KEY: key})
    growing.finish(output_array)
    kept.replace()
    reasons = Counter(entry.reason for entry in growing.entries if entry.reason is not None)
    summary = ShardSummary(len(rows), tally[False], tally[True], reasons)
    _report(output_array.stem, summary)
    return summary


def _looked_at(row: ImageRow, root: Path, settings: ImageSettings, kept: KeptShard) -> _Result:
    """Read one image file and get its row. Unreadable ones are always tried again: a plugin may be there now."""
    path = root / row.path
    if settings.file_suffix is not None:
        path = path.with_suffix(settings.file_suffix)
    file_digest = None
    try:
        data = read(path)
        file_digest = digest(data)
        pixels = kept.pixels(file_digest)
        unchanged = pixels is not None
        if pixels is None:
            pixels = decode(data, settings).tobytes()
    except Unreadable as finding:
        return _Result(Entry(file_digest, None, finding.reason))
    return _Result(Entry(file_digest, digest(pixels), None), pixels, unchanged)


def _in_order(work: Callable[[ImageRow], _Result], rows: Sequence[ImageRow], workers: int) -> Iterator[_Result]:
    """Work in threads (Pillow lets go of the interpreter lock) and yield in order."""
    batch = _TASKS_PER_WORKER * workers
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(rows), batch):
            yield from pool.map(work, rows[start : start + batch])


def _build_key(rows: Sequence[ImageRow], settings: ImageSettings, key: str) -> str:
    return digest(json.dumps([key, settings.file_suffix, rows]).encode())


def _index(rows: Sequence[ImageRow], entries: Sequence[Entry]) -> pa.Table:
    numbers = iter(range(len(rows)))
    columns = {
        "dicom_id": [row.dicom_id for row in rows],
        "subject_id": [row.subject_id for row in rows],
        "row": [next(numbers) if entry.reason is None else None for entry in entries],
        "reason": [entry.reason for entry in entries],
        "file_digest": [entry.file_digest for entry in entries],
        "pixel_digest": [entry.pixel_digest for entry in entries],
    }
    return pa.table(columns, schema=SHARD_SCHEMA)


def _report(shard: str, summary: ShardSummary) -> None:
    readable = summary.images - summary.unreadable.total()
    lost = f"; unreadable: {counted(summary.unreadable)}" if summary.unreadable else ""
    told = f"{summary.decoded} decoded, {summary.unchanged} unchanged"
    logger.info("%s: %d images, %d readable (%s)%s", shard, summary.images, readable, told, lost)


def counted(reasons: Counter[str]) -> str:
    """Reasons with their counts as text, the commonest first: `truncated 12, empty file 3`."""
    return ", ".join(f"{reason} {count}" for reason, count in reasons.most_common(5))
