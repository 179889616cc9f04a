"""Reading the pixel store: any images by dicom_id, as tensors, from memory-mapped shards or from memory."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from mmsn.console import logger
from mmsn.errors import UserError
from mmsn.files import read_table
from mmsn.images.pixels import Pixels
from mmsn.images.reading import digest

Positions = npt.NDArray[np.int64]

_LOADABLE_SHARE = 0.5  # of the device's free memory; models and activations need the rest


class PixelStore:
    """The images of one data set, uint8 [N, S, S]; position n is row n of `index.parquet`.

    Opening reads the index alone; pixels come from memory-mapped shards until `load` puts them into memory.
    A row that is read for the first time must have the digest that the index has of it: a disk's flipped bit is found.
    Pickles as its directory, so workers open their own maps.
    """

    def __init__(self, directory: Path | str) -> None:
        self._directory = Path(directory)
        index = read_table(self._directory / "index.parquet")
        self.dicom_ids: pa.Array = index["dicom_id"].combine_chunks()
        """dicom_id of each position."""
        runs = pc.value_counts(index["shard"].combine_chunks()).to_pylist()
        self.shards: tuple[str, ...] = tuple(run["values"] for run in runs)
        """Names of the shards, in the order of the index."""
        self._shards = [_mapped(self._directory / f"{run['values']}.npy", run["counts"]) for run in runs]
        self._starts = np.cumsum([0] + [run["counts"] for run in runs])
        self._refuse_gaps(index["row"].to_numpy())
        digested = "pixel_digest" in index.column_names  # not in stores of old
        self._digests: pa.Array = index["pixel_digest"].combine_chunks() if digested else pa.nulls(len(index))
        self._unread = np.full(len(self), digested)
        self._loaded: Tensor | None = None

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __reduce__(self) -> tuple[type["PixelStore"], tuple[Path]]:
        return PixelStore, (self._directory,)

    @property
    def side(self) -> int:
        """Side S of the images in pixels."""
        if not self._shards:
            raise UserError(f"{self._directory} holds no images: see quarantine.parquet beside its index")
        return int(self._shards[0].shape[1])

    def rows_of(self, dicom_ids: Sequence[str] | pa.Array) -> Positions:
        """Positions int64 [len(dicom_ids)]; -1 for an image that is not in the store (quarantined).

        The count of those is logged.

        Raises:
            UserError: none of them is in the store, which is a wrong store rather than a few broken files.
        """
        found = pc.index_in(pa.array(dicom_ids, pa.string()), value_set=self.dicom_ids)
        positions: Positions = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        missing = int((positions < 0).sum())
        if missing and missing == len(positions):
            raise UserError(f"none of the {missing} images asked for is in {self._directory}: is it their data set's?")
        if missing:
            logger.info("%d of %d images are not in the pixel store (quarantined)", missing, len(positions))
        return positions

    def batch(self, positions: Positions | Sequence[int]) -> Tensor:
        """Read images uint8 [len(positions), S, S], on the device of `load` or else on the CPU.

        Raises:
            IndexError: a position is negative (not in the store) or beyond the end.
            UserError: a row is not what was packed.
        """
        wanted = np.asarray(positions, dtype=np.int64)
        if wanted.size and (wanted.min() < 0 or wanted.max() >= len(self)):
            raise IndexError(f"positions span {wanted.min()}..{wanted.max()}, the store has 0..{len(self) - 1}")
        if self._loaded is not None:
            return self._loaded[torch.from_numpy(wanted).to(self._loaded.device)]
        return torch.from_numpy(self._read(wanted))

    def load(self, device: torch.device | str) -> bool:
        """Copy all images into the memory of `device` if they take no more than half of what is free there.

        Returns whether they are there now; when not, `batch` goes on reading from disk.
        """
        target = torch.device(device)
        needed, free = len(self) * self.side**2, _free_bytes(target)
        if needed > _LOADABLE_SHARE * free:
            logger.info("pixels stay on disk: %.1f GB, %.1f GB free on %s", needed / 1e9, free / 1e9, target)
            return False
        loaded = torch.empty(len(self), self.side, self.side, dtype=torch.uint8, device=target)
        for shard, start in zip(self._shards, self._starts, strict=False):
            rows = np.array(shard)
            self._check(np.arange(start, start + len(shard)), rows)
            loaded[start : start + len(shard)] = torch.from_numpy(rows).to(target)
        self._loaded = loaded
        return True

    def _read(self, wanted: Positions) -> Pixels:
        """Gather rows shard by shard, in the order of the file, which a disk answers fastest."""
        out = np.empty((len(wanted), self.side, self.side), dtype=np.uint8)
        order = np.argsort(wanted)
        bounds = np.searchsorted(wanted[order], self._starts)
        for number, shard in enumerate(self._shards):
            here = order[bounds[number] : bounds[number + 1]]
            if here.size:
                out[here] = shard[wanted[here] - self._starts[number]]
        self._check(wanted, out)
        return out

    def _check(self, positions: Positions, rows: Pixels) -> None:
        """Compare rows that were not read before with their digests."""
        for place in np.flatnonzero(self._unread[positions]):
            position = int(positions[place])
            if digest(rows[place].ravel().data) != self._digests[position].as_py():
                number = int(np.searchsorted(self._starts, position, side="right")) - 1
                array, row = self._directory / f"{self.shards[number]}.npy", position - self._starts[number]
                raise UserError(f"{array}: row {row} is not what was packed; {_rebuilding(array)}")
            self._unread[position] = False

    def _refuse_gaps(self, rows: npt.NDArray[np.int64]) -> None:
        expected = np.concatenate([np.arange(len(shard)) for shard in self._shards] or [np.arange(0)])
        if not np.array_equal(rows, expected):
            raise UserError(f"{self._directory / 'index.parquet'} does not list its shards' rows in order: rebuild it")


def _mapped(path: Path, rows: int) -> Pixels:
    if not path.is_file():
        raise UserError(f"{path} is missing though index.parquet lists {rows} images of it: {_rebuilding(path)}")
    try:
        shard: Pixels = np.load(path, mmap_mode="r")
    except ValueError as error:
        raise UserError(f"{path}: damaged array ({error}); {_rebuilding(path)}") from None
    if len(shard) != rows:
        raise UserError(f"{path} has {len(shard)} rows, index.parquet lists {rows}: rebuild index.parquet")
    return shard


def _rebuilding(array: Path) -> str:
    # The index too: Snakemake does not make a table again that only a finished one was made from.
    table = array.with_suffix(".parquet")
    return f"delete {table} and index.parquet beside it, and the same command packs this shard again"


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
