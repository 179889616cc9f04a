"""Whether Snakemake can begin: a folder it may write to, room on its disk, no lock that a killed one left.

Snakemake itself meets the same, later and with a traceback or many lines.
"""

import os
import shutil
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mmsn.errors import UserError
from mmsn.planning.evidence import lock_is_stale

_LEAST_FREE: Final = 2_000_000
"""Bytes; with less even logs and tables cannot be written."""
_LOOKS: Final = (
    *("dryrun", "lint", "report", "summary", "detailed_summary", "dag", "rulegraph", "filegraph", "d3dag"),
    *("list_rules", "list_target_rules", "list_changes", "list_input_changes", "list_params_changes"),
    *("list_untracked", "list_conda_envs", "print_compilation", "containerize"),
    "nolock",  # a job on a cluster's node, whose Snakemake elsewhere has the lock
)
"""Snakemake's options, by its own names, with which it runs no job or asks for no lock."""


def check_folders(results: Path, project: Path, arguments: Sequence[str]) -> None:
    """Look at the folders before the first job.

    Args:
        results: where the run writes.
        project: the folder that Snakemake works in.
        arguments: Snakemake's; a dry run and the like only look, and need neither right nor lock.

    Raises:
        UserError: results may not be written, their disk is full, or a killed Snakemake left the lock.
    """
    asked = _options(arguments)
    if _only_looks(asked):
        return
    if not asked.unlock and lock_is_stale(project):
        raise UserError(
            f"{project}: locked, and no Snakemake to be seen here works in it: one that was killed left the lock, or"
            " one of another user, another machine or a container is at work; if none is: snakemake --unlock, then the"
            " same command goes on from there"
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


def _options(arguments: Sequence[str]) -> Namespace:
    """As Snakemake's own parser understands them: `-np`, `--report=page.html`, `--detailed-s`."""
    from snakemake.cli import get_argument_parser

    options: Namespace = get_argument_parser().parse_known_args(list(arguments))[0]
    return options


def _only_looks(asked: Namespace) -> bool:
    """Whether Snakemake was asked for nothing but a look."""
    if asked.report is not None and asked.report_after_run:
        return False
    return any(getattr(asked, name) not in (None, False) for name in _LOOKS)
