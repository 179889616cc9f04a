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

Positions = npt.NDArray[np.int64]

_LOADABLE_SHARE = 0.5  # of the device's free memory; models and activations need the rest


class PixelStore:
    """The images of one data set, uint8 [N, S, S]; position n is row n of `index.parquet`.

    Opening reads the index alone; pixels come from memory-mapped shards until `load` puts them into memory.
    Pickles as its directory, so workers open their own maps.
    """

    def __init__(self, directory: Path | str) -> None:
        self._directory = Path(directory)
        index = read_table(self._directory / "index.parquet", columns=["dicom_id", "shard", "row"])
        self.dicom_ids: pa.Array = index["dicom_id"].combine_chunks()
        """dicom_id of each position."""
        runs = pc.value_counts(index["shard"].combine_chunks()).to_pylist()
        self.shards: tuple[str, ...] = tuple(run["values"] for run in runs)
        """Names of the shards, in the order of the index."""
        self._shards = [_mapped(self._directory / f"{run['values']}.npy", run["counts"]) for run in runs]
        self._starts = np.cumsum([0] + [run["counts"] for run in runs])
        self._refuse_gaps(index["row"].to_numpy())
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
            loaded[start : start + len(shard)] = torch.from_numpy(np.array(shard)).to(target)
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
        return out

    def _refuse_gaps(self, rows: npt.NDArray[np.int64]) -> None:
        expected = np.concatenate([np.arange(len(shard)) for shard in self._shards] or [np.arange(0)])
        if not np.array_equal(rows, expected):
            raise UserError(f"{self._directory / 'index.parquet'} does not list its shards' rows in order: rebuild it")


def _mapped(path: Path, rows: int) -> Pixels:
    if not path.is_file():
        remedy = f"delete {path.with_suffix('.parquet').name} and run again"
        raise UserError(f"{path} is missing though index.parquet lists {rows} images of it: {remedy}")
    shard: Pixels = np.load(path, mmap_mode="r")
    if len(shard) != rows:
        raise UserError(f"{path} has {len(shard)} rows, index.parquet lists {rows}: rebuild index.parquet")
    return shard


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
