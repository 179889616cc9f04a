"""A pixel store on the node's own disk: copied there once, with the space checked first."""

import os
import shutil
from pathlib import Path
from typing import Final

from filelock import FileLock

from mmsn.console import logger, progress
from mmsn.images.store import PixelStore
from mmsn.provenance import content_digest

STAGE_TO: Final = "MMSN_STAGE_TO"
"""Environment variable that hands `images.stage_to` to jobs: it says where bytes lie, not what they are."""
_SPARE: Final = 1.05
"""Share of the store's size that has to be free: a full disk stops other people's jobs."""


def open_store(directory: Path) -> PixelStore:
    """Open a pixel store, from a copy on the node's own disk where `images.stage_to` asks for one."""
    wanted = os.environ.get(STAGE_TO, "")
    target = Path(os.path.expandvars(wanted))
    if wanted and not target.is_absolute():  # a variable that is not set here stays in the text
        logger.warning("warning: images.stage_to: %s is no absolute path here: pixels are read where they lie", wanted)
    return PixelStore(staged(directory, target) if wanted and target.is_absolute() else directory)


def staged(directory: Path, target: Path) -> Path:
    """Folder of a whole copy of a store below `target`; the store itself where there is no room for one.

    Jobs of one node share the copy: the first makes it, others wait. A copy belongs to the content of the store's
    index, so another study's, or a newer one's, is never taken for it; nothing is ever deleted.

    Args:
        directory: of the store.
        target: on the node's own disk; made if it is not there.
    """
    copy = target / f"mmsn-store-{content_digest([directory / 'index.parquet'])}"
    target.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{copy}.lock"):
        if copy.is_dir():
            return copy
        needed = sum(file.stat().st_size for file in _files(directory))
        free = shutil.disk_usage(target).free
        if needed * _SPARE > free:
            sizes = needed / 1e9, target, free / 1e9
            logger.warning("warning: pixels of %.1f GB are not copied to %s, which has %.1f GB free", *sizes)
            return directory
        _copy(directory, copy)
    return copy


def _files(directory: Path) -> list[Path]:
    """What a `PixelStore` reads: the index and its shards."""
    index = directory / "index.parquet"
    return [*sorted({directory / f"{shard}.npy" for shard in PixelStore(directory).shards}), index]


def _copy(directory: Path, copy: Path) -> None:
    """Copy under another name and rename, so that half a copy is never taken for a whole one."""
    unfinished = copy.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    files = _files(directory)
    for file in progress(files, f"copying the pixel store to {copy.parent}", len(files)):
        shutil.copyfile(file, unfinished / file.name)
    unfinished.rename(copy)
