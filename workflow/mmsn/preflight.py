"""Whether Snakemake can begin: a folder it may write to, room on its disk, no lock that a killed one left.

Snakemake itself meets the same, later and with a traceback or many lines.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mmsn.errors import UserError
from mmsn.planning.evidence import lock_is_stale

_LEAST_FREE: Final = 2_000_000
"""Bytes; with less even logs and tables cannot be written."""
_LOOKING: Final = {"--dry-run", "--dryrun", "--lint", "--report", "--summary", "--dag", "--rulegraph", "--nolock"}
_UNLOCKING: Final = "--unlock"


def check_folders(results: Path, project: Path, arguments: Sequence[str]) -> None:
    """Look at the folders before the first job.

    Args:
        results: where the run writes.
        project: the folder that Snakemake works in.
        arguments: Snakemake's; a dry run and the like only look, and need neither right nor lock.

    Raises:
        UserError: results may not be written, their disk is full, or a killed Snakemake left the lock.
    """
    if _only_looks(arguments):
        return
    if _UNLOCKING not in arguments and lock_is_stale(project):
        raise UserError(
            f"{project}: locked by a Snakemake that is gone from this machine, killed or cut off; if none works here"
            " from another machine: snakemake --unlock, then the same command goes on from there"
        )
    there = next(folder for folder in (results, *results.absolute().parents) if folder.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(
            f"{there}: no right to write results here; give it to yourself (or mount its disk for writing), or set"
            " `results` to another folder, then the same command goes on"
        )
    free = shutil.disk_usage(there).free
    if free < _LEAST_FREE:
        raise UserError(
            f"{there}: no space left on its disk ({free / 1e6:.1f} MB free); free some, then the same command goes on"
        )


def _only_looks(arguments: Sequence[str]) -> bool:
    """Whether Snakemake was asked for nothing but a look; `-n` may stand with other letters, as in `-np`."""
    short = (word for word in arguments if word.startswith("-") and not word.startswith("--"))
    return bool(_LOOKING & set(arguments)) or any("n" in word for word in short)
