"""A GPU for one job alone: leased by a lock that the operating system lets go of when the process ends.

Snakemake counts GPUs and says nothing of which; two jobs that each take the first one would share it while the second
idles. A cluster's scheduler gives out devices itself; then a job sees its own alone and has no choice here.
"""

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from filelock import BaseFileLock, FileLock, Timeout

from mmsn.console import logger

_SECONDS_BETWEEN_TRIES: Final = 2.0
_held: Final[dict[Path, BaseFileLock]] = {}
"""Locks of this process: a lock that is collected is a lock let go of."""


def lease_folder() -> Path:
    """Where this user's locks of this machine lie; nobody else can read it."""
    folder = Path(tempfile.gettempdir()) / f"mmsn-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def lease(devices: Sequence[str], folder: Path, seconds_between_tries: float = _SECONDS_BETWEEN_TRIES) -> int:
    """Take the first device that no other process has, and keep it until this process ends, however it ends.

    A process that asks again is given what it has. Waits while all are taken.

    Args:
        devices: names that mean the same device in every process, such as UUIDs.
        folder: of the locks.
        seconds_between_tries: while waiting.

    Returns:
        The place of the device in `devices`.
    """
    locks = [folder / f"{device}.lock" for device in devices]
    own = [place for place, lock in enumerate(locks) if lock in _held]
    if own:
        return own[0]
    waited = False
    while True:
        for place, path in enumerate(locks):
            lock = FileLock(path)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            _held[path] = lock
            return place
        if not waited:
            logger.info("all %d GPUs are taken by other jobs of mmsn; waiting for one", len(devices))
            waited = True
        time.sleep(seconds_between_tries)
