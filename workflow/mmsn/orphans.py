"""A job ends with the Snakemake that started it, and two processes never do the same job.

Snakemake or a job's shell may be killed outright; what they started would work on unseen, and beside the same job when
that is started again. So a job watches both, and stops as if it were asked to: training saves its state first. A job
by hand has no Snakemake and is not watched. Should an earlier process still be at work, the next one waits for it.
"""

import errno
import fcntl
import os
import select
import signal
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final, TextIO

from mmsn.errors import UserError

SNAKEMAKE: Final = "MMSN_SNAKEMAKE"
"""Environment variable with `this_process()` of the Snakemake that started a job's shell."""
_SECONDS_TO_WAIT: Final = 120.0
_SECONDS_BETWEEN_LOOKS: Final = 0.2
_INIT: Final = 1
_UNSUPPORTED: Final = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
_held: Final[dict[Path, TextIO]] = {}
"""Logs whose lock this process has until it ends."""


def this_process() -> str:
    """Number of this process and where it means this process: "12@pid:[34]", "12@" where there is no /proc."""
    return f"{os.getpid()}@{_numbering()}"


def _numbering() -> str:
    """The PID namespace: a container may have one of its own, where a number means another process."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def end_with_snakemake() -> None:
    """Have this process stopped (SIGTERM) when its shell or its Snakemake has ended; nothing for a job by hand."""
    started_by, _, numbering = os.environ.get(SNAKEMAKE, "").partition("@")
    if started_by.isdigit() and hasattr(os, "pidfd_open"):  # Linux
        end_with({os.getppid(), *([int(started_by)] if numbering == _numbering() else [])})


def end_with(processes: Iterable[int]) -> None:
    """Have this process stopped (SIGTERM) as soon as one of `processes` has ended."""
    watched = select.poll()
    for process in processes:
        if process <= _INIT:  # not to be seen from within a container
            continue
        try:
            watched.register(os.pidfd_open(process), select.POLLIN)
        except ProcessLookupError:
            os.kill(os.getpid(), signal.SIGTERM)
        except OSError:  # not ours to watch
            continue
    threading.Thread(target=_wait, args=(watched,), name="end-with-snakemake", daemon=True).start()


def _wait(watched: select.poll) -> None:
    watched.poll()
    os.kill(os.getpid(), signal.SIGTERM)


def alone(log: Path, seconds_to_wait: float = _SECONDS_TO_WAIT) -> None:
    """Let no other process do the job of this log until this one ends, however it ends; waits for one that does.

    Raises:
        UserError: another process still does it after `seconds_to_wait`.
    """
    if log.resolve() in _held:
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    opened = log.open("a", encoding="utf-8")
    until = time.monotonic() + seconds_to_wait
    while not _locked(opened):
        if time.monotonic() > until:
            opened.close()
            raise UserError(
                f"{log}: another process is still at this job (`fuser {log}` names it); wait for its end, or stop it"
                " with `kill`, then the same command goes on from where it stopped"
            )
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    _held[log.resolve()] = opened


def _locked(opened: TextIO) -> bool:
    """Whether this process has the lock now; it counts as locked where the file system knows no locks."""
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return True
        raise
    return True
