"""What a stage says while it works: one logging set-up, one progress helper, one way to fail."""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from mmsn.errors import StoppedBySignal, UserError
from mmsn.failures import told
from mmsn.orphans import alone, end_with_snakemake

T = TypeVar("T")
logger = logging.getLogger("mmsn")
_SECONDS_BETWEEN_LINES = 15.0
STOPPED = 75
"""Exit code of a job that was asked to stop and has saved its state (EX_TEMPFAIL: try again)."""


class _LogFile(logging.FileHandler):
    """A log that a full disk cuts short without a traceback a line: the job's own error says what happened."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's own name)
        """Say nothing."""


def set_up_logging(log: Path | None) -> None:
    """Send messages to the terminal, and with times to `log`, which is made private and is this process's alone."""
    logger.setLevel(logging.INFO)
    logger.handlers.clear()
    logger.propagate = False
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(terminal)
    if log is not None:
        alone(log)
        to_file = _LogFile(log, mode="w", encoding="utf-8")
        to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(to_file)


def only_errors() -> None:
    """Leave messages and progress to another process of the same job."""
    logger.setLevel(logging.ERROR)


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Iterate with a bar on a terminal, or with a line every 15 seconds where there is none (a log, Slurm)."""
    if not logger.isEnabledFor(logging.INFO):
        yield from items
        return
    if sys.stderr.isatty():
        yield from tqdm(items, desc=description, total=total, mininterval=0.5, leave=False)
        return
    if total is None and isinstance(items, Sized):
        total = len(items)
    start = last = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if now - last >= _SECONDS_BETWEEN_LINES:
            last = now
            logger.info(_progress_line(description, done, total, now - start))
        yield item


def _progress_line(description: str, done: int, total: int | None, seconds: float) -> str:
    if not total or not done:
        return f"{description}: {done} done"
    left = seconds * (total - done) / done
    return f"{description}: {done} of {total}, about {left / 60:.1f} min left"


def run(command: Callable[[], None], log: Path | None = None) -> int:
    """Run a stage's command privately (umask 077) and turn failures into an exit code.

    A `UserError`, a full disk and other failures of the machine are one line and exit code 2; a job that a signal
    stopped after saving ends with 75. Anything else is a defect of ours: one line on the terminal, the traceback in
    the log. A job of Snakemake ends with it.
    """
    os.umask(0o077)
    end_with_snakemake()
    try:
        set_up_logging(log)
        command()
    except UserError as error:
        logger.error("error: %s", error)
        return 2
    except StoppedBySignal as stopped:
        logger.error("stopped by a signal, state saved: %s; the same command goes on from there", stopped)
        return STOPPED
    except Exception as error:
        line = told(error)
        if line is not None:
            logger.error("error: %s", line)
            return 2
        if log is None:
            raise
        logger.handlers[0].setLevel(logging.CRITICAL)
        logger.exception("unexpected error")
        logger.critical("unexpected error: %s: %s (traceback in %s)", type(error).__name__, error, log)
        return 1
    return 0
