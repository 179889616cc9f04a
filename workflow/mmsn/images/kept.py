"""The last finished build of a shard, from which unchanged images are copied instead of decoded.

Snakemake deletes a rule's outputs before it runs the rule again. So a finished shard gets a second name, a hard link
`<name>.kept`, which takes no space and outlives the outputs. Deleting it costs nothing but the time of decoding.
"""

import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from mmsn.console import logger
from mmsn.errors import UserError
from mmsn.files import read_table
from mmsn.images.reading import digest

KEY = "decoder"
"""Where a shard's index has `decode.decoder_key` in its metadata."""


class KeptShard:
    """Rows of the last build by the digest of their image file; none where there is none or it was decoded otherwise.

    A context, in which several threads may ask. Single rows are read, so memory does not grow with their size.
    """

    def __init__(self, output_array: Path, output_index: Path, key: str) -> None:
        self._outputs = (output_array, output_index)
        self._array, self._index = (path.with_name(path.name + ".kept") for path in self._outputs)
        self._rows: dict[str, tuple[int, str]] = self._known(key)

    def __enter__(self) -> "KeptShard":
        self._file: BinaryIO | None = None
        if self._rows:
            opened = self._array.open("rb")
            try:
                np.lib.format.read_magic(opened)
                (_, height, width), _, _ = np.lib.format.read_array_header_1_0(opened)
            except ValueError:  # damaged: every image is decoded
                opened.close()
                return self
            self._start, self._size, self._file = opened.tell(), height * width, opened
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def pixels(self, file_digest: str) -> bytes | None:
        """Row of a file with this digest, None if it is not here or not as it was written."""
        if self._file is None or file_digest not in self._rows:
            return None
        row, expected = self._rows[file_digest]
        pixels = os.pread(self._file.fileno(), self._size, self._start + row * self._size)
        return pixels if digest(pixels) == expected else None

    def replace(self) -> None:
        """Keep the outputs, now finished, in place of the last build."""
        self._drop()
        try:
            for output, kept in zip(self._outputs, (self._array, self._index), strict=True):
                kept.hardlink_to(output)
        except OSError as error:
            logger.info("no copy kept (%s): building this shard again will decode every image", error.strerror)

    def _known(self, key: str) -> dict[str, tuple[int, str]]:
        if not (self._array.is_file() and self._index.is_file()):
            return {}
        try:
            table = read_table(self._index)
        except UserError:  # damaged
            self._drop()
            return {}
        if (table.schema.metadata or {}).get(KEY.encode()) != key.encode():
            self._drop()  # of no use any more, and the new store may need its room
            return {}
        return _rows_by_file(table)

    def _drop(self) -> None:
        self._index.unlink(missing_ok=True)  # first: without it the array is not looked at
        self._array.unlink(missing_ok=True)


def _rows_by_file(table: pa.Table) -> dict[str, tuple[int, str]]:
    columns = (table[name].to_pylist() for name in ("file_digest", "row", "pixel_digest"))
    return {file: (row, pixels) for file, row, pixels in zip(*columns, strict=True) if row is not None}
