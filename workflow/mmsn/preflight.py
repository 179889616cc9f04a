"""Before the first job: folders that may be written to, room on the disk, no lock that a killed Snakemake left.

Snakemake itself meets the same, later and with a traceback or many lines.
"""

import os
import shutil
from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from mmsn.errors import UserError
from mmsn.planning.evidence import lock_is_stale

_LEAST_FREE: Final = 2_000_000
"""Bytes; with less even logs and tables cannot be written."""
_SNAKEMAKES_RATE: Final = (100, 1)
"""Jobs and seconds of `--max-jobs-per-timespan` where a user gives none."""
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
    there = _existing(results)
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


def check_outputs(files: Iterable[Path]) -> None:
    """Look at what jobs will make: where Snakemake cannot remove an old file or make a folder, it ends all jobs.

    On a disk that may only be read it does so even where there is nothing to remove. In a folder that is there and has
    no such file a job without the right to write fails alone, and says so.

    Args:
        files: results, logs and benchmarks of the jobs that are to run.

    Raises:
        UserError: names the first such file.
    """
    for file in sorted(files):
        folder = _existing(file.parent)
        read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
        changed = os.path.lexists(file) or folder != file.parent
        if read_only or (changed and not os.access(folder, os.W_OK | os.X_OK)):
            raise UserError(
                f"{file}: to be made (snakemake -n says why), but there is no right to write in {folder}; give it to"
                " yourself (or mount its disk for writing), then the same command goes on"
            )


def without_default_rate(scheduler: Any) -> None:
    """Take away Snakemake's own limit of 100 jobs a second, which nothing here needs; another one stays.

    With a limit every look for jobs to start asks for another look a second later, and every job that ends begins one
    more such chain (9.27). Each look asks the size of every input: after some dozens of jobs the full study's tables
    kept a core busy with nothing else.

    Args:
        scheduler: Snakemake's `JobScheduler`, before its first job.
    """
    limiter = scheduler.job_rate_limiter
    if limiter and (limiter.max_jobs, limiter.timespan) == _SNAKEMAKES_RATE:
        scheduler.job_rate_limiter = None


def _existing(folder: Path) -> Path:
    return next(one for one in (folder, *folder.absolute().parents) if one.exists())


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
