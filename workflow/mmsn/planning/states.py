"""What became of each job: from Snakemake's two lists and the evidence on disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from mmsn.planning.evidence import Evidence, Log, checkpoint_standing, read_log
from mmsn.planning.jobs import TARGET, Job
from mmsn.planning.reasons import NO_REASON, Why, why
from mmsn.planning.schedule import stage_order

State = Literal["done", "running", "failed", "stopped", "stale", "waiting"]
STATES: Final[tuple[State, ...]] = ("done", "running", "failed", "stopped", "stale", "waiting")
FRESH: Final = 300.0
"""Seconds within which a job that works writes to its log: progress comes every 15 s, starting up takes a minute."""
_UNSEEN: Final = "if none of another user, machine or container is at work"


@dataclass(frozen=True)
class Standing:
    """One job and what became of it."""

    job: Job
    state: State
    note: str = ""
    """Progress, the last error, or how sure the state is."""
    why: Why = NO_REASON


def judge(every: Sequence[Job], needed: Sequence[Job], evidence: Evidence) -> list[Standing]:
    """The state of every job of the study that does work: stages in the order in which they can run, jobs by name.

    Snakemake lists jobs in an order that differs from one time to the next.

    Args:
        every: all jobs of the study.
        needed: those that Snakemake would run now.
        evidence: what files and processes say.
    """
    pending = {job.key: job for job in needed}
    working = [job for job in every if job.stage != TARGET]
    rank = {stage: place for place, stage in enumerate(stage_order(working))}
    ordered = sorted(working, key=lambda job: (rank[job.stage], job.place))
    return [_judged(pending.get(job.key), job, evidence) for job in ordered]


def _judged(pending: Job | None, job: Job, evidence: Evidence) -> Standing:
    if job.log in evidence.logs:
        return _alive(job, read_log(job.log))
    if pending is None:
        return Standing(job, "done")
    reason, log = why(pending), read_log(job.log)
    if evidence.begun.intersection(job.outputs):
        return _begun(job, log, reason, evidence)
    complete = all(Path(path).exists() for path in job.outputs)
    if log and log.error and not complete:
        if log.error.startswith("stopped by a signal"):
            return Standing(job, "stopped", _saved(job, "by a signal"), reason)
        return Standing(job, "failed", log.error, reason)
    if job.log in evidence.failed and not complete:
        said = f"last line: {log.last}" if log and log.last else "it wrote no log"
        return Standing(job, "failed", f"without a message of its own (killed? too little memory?); {said}", reason)
    if saved := checkpoint_standing(job.options.get("checkpoint")):
        if "pack" in job.options:  # perhaps another job of its pack is training it, or has done so
            return Standing(job, "waiting", f"{saved}; its pack goes on from there", reason)
        if log is None:  # never begun itself: a pack that it was part of before left the state
            return Standing(job, "waiting", f"{saved}, by a pack; it goes on from there", reason)
        return Standing(job, "stopped", f"lost: it ended without a word; {saved}; it goes on from there", reason)
    return Standing(job, "stale" if complete else "waiting", "", reason)


def _alive(job: Job, log: Log | None) -> Standing:
    """A job with a process on this machine, which may hang: a log that is silent for long says so."""
    if log and log.age > FRESH:
        return Standing(
            job, "running", _progress(log, f"hung? its process is alive, its log silent for {log.age / 60:.0f} min")
        )
    return Standing(job, "running", _progress(log, "its process is alive"))


def _begun(job: Job, log: Log | None, reason: Why, evidence: Evidence) -> Standing:
    """A job that Snakemake marked as begun, without a process of its own on this machine."""
    if not evidence.locked:
        return Standing(job, "stopped", _saved(job, "lost: cut off, and Snakemake is not at work here"), reason)
    if log and log.age < FRESH:
        return Standing(job, "running", _progress(log, f"probably: its log was written {log.age:.0f} s ago"), reason)
    silent = f"its log is silent for {log.age / 60:.0f} min" if log else "it has no log yet"
    if evidence.alive is not False:
        return Standing(job, "running", f"not sure: Snakemake began it, {silent}: queued, hung? or on another node")
    return Standing(
        job,
        "stopped",
        _saved(job, f"lost? {silent}, and no Snakemake is to be seen here; {_UNSEEN}: snakemake --unlock"),
        reason,
    )


def _progress(log: Log | None, sureness: str) -> str:
    return f"{log.last} ({sureness})" if log and log.last else f"nothing in its log yet ({sureness})"


def _saved(job: Job, how: str) -> str:
    saved = checkpoint_standing(job.options.get("checkpoint"))
    return f"{how}; {saved}; it goes on from there" if saved else f"{how}; it starts again"
