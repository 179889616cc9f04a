"""A pixel store on the node's own disk: copied there once, with the space checked first."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

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
    """Folder of a whole copy of a store below `target`; the store itself, with a warning, where none can be had.

    A disk that fails, fills up or may not be written to costs no job: the pixels can be read where they lie. Jobs of
    one user on one node share the copy: the first makes it, others wait. A copy belongs to the content of the
    store's index, which has a digest of every image, so another study's, or a newer one's, is never taken for it. One
    that is no longer whole (some clusters delete old files one by one) is made again. Whole copies are never deleted.

    Args:
        directory: of the store.
        target: on the node's own disk; made if it is not there.
    """
    content, files = content_digest([directory / "index.parquet"]), _files(directory)
    try:
        return _copy_of(files, _own_folder(target) / f"store-{content}") or directory
    except OSError as error:
        logger.warning("warning: images.stage_to: pixels are read where they lie, not from a copy: %s", error)
        return directory


def _own_folder(target: Path) -> Path:
    """This user's alone, also below a folder that several users name: they could not read each other's copies.

    Raises:
        OSError: it cannot be made, or somebody else made it.
    """
    own = target / f"mmsn-{os.getuid()}"
    target.mkdir(parents=True, exist_ok=True)
    own.mkdir(mode=0o700, exist_ok=True)
    if own.lstat().st_uid != os.getuid():
        raise PermissionError(f"{own} belongs to another user")
    return own


def _copy_of(files: list[Path], copy: Path) -> Path | None:
    """The whole copy, made if need be; None where there is no room for it."""
    with _turn(copy):
        if _is_whole(copy, files):
            return copy
        shutil.rmtree(copy, ignore_errors=True)
        shutil.rmtree(_unfinished(copy), ignore_errors=True)  # of a job that was killed; before free space is asked for
        if not _has_room(copy.parent, files):
            return None
        _make(copy, files)
        return copy


@contextmanager
def _turn(copy: Path) -> Iterator[None]:
    """One job of the node at a time; the lock ends with its process, however that ends."""
    lock = FileLock(f"{copy}.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        logger.info("waiting for another job that copies the pixel store to %s", copy.parent)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _files(directory: Path) -> list[Path]:
    """What a `PixelStore` reads: the index and its shards."""
    index = directory / "index.parquet"
    return [*sorted({directory / f"{shard}.npy" for shard in PixelStore(directory).shards}), index]


def _is_whole(copy: Path, files: list[Path]) -> bool:
    return all((copy / f.name).is_file() and (copy / f.name).stat().st_size == f.stat().st_size for f in files)


def _has_room(target: Path, files: list[Path]) -> bool:
    needed = sum(file.stat().st_size for file in files)
    free = shutil.disk_usage(target).free
    if needed * _SPARE <= free:
        return True
    sizes = needed / 1e9, target, free / 1e9
    logger.warning("warning: pixels of %.1f GB are not copied to %s, which has %.1f GB free", *sizes)
    return False


def _make(copy: Path, files: list[Path]) -> None:
    """Copy under another name and rename, so that half a copy is never taken for a whole one.

    Raises:
        OSError: the disk fails or fills up meanwhile; what was copied is gone.
    """
    unfinished = _unfinished(copy)
    try:
        unfinished.mkdir(mode=0o700)
        for file in progress(files, f"copying the pixel store to {copy.parent}", len(files)):
            shutil.copyfile(file, unfinished / file.name)
        unfinished.rename(copy)
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _unfinished(copy: Path) -> Path:
    return copy.with_suffix(".unfinished")
