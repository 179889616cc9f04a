"""The text of `mmsn status`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from mmsn.planning.evidence import Evidence
from mmsn.planning.reasons import named_stages
from mmsn.planning.schedule import stage_order
from mmsn.planning.states import STATES, Standing, State

_TITLES: dict[State, str] = {
    "running": "Running",
    "failed": "Failed",
    "stopped": "Stopped before the end",
}


def status_text(standings: Sequence[Standing], evidence: Evidence) -> str:
    """A table of states by stage, then what runs, what failed, what was stopped, what is stale and why."""
    lines = [*_table(standings), "", _headline(standings, evidence)]
    for state, title in _TITLES.items():
        those = [standing for standing in standings if standing.state == state]
        if those:
            lines += ["", f"{title}:", *(line for standing in those for line in _one(standing))]
    stale = [standing for standing in standings if standing.state == "stale"]
    if stale:
        lines += ["", "Stale (its results are there, and would be made again):", *_by_cause(stale)]
    odd = [standing for standing in standings if standing.state == "waiting" and _lost(standing)]
    if odd:
        lines += ["", "Made before, and partly gone:", *_by_cause(odd)]
    return "\n".join(lines)


def _table(standings: Sequence[Standing]) -> Iterator[str]:
    counts: dict[str, dict[State, int]] = {}
    for standing in standings:
        of_stage = counts.setdefault(standing.job.stage, dict.fromkeys(STATES, 0))
        of_stage[standing.state] += 1
    total = {state: sum(of_stage[state] for of_stage in counts.values()) for state in STATES}
    width = max(map(len, [*counts, "stage"]))
    yield f"{'stage':<{width}}" + "".join(f"{state:>9}" for state in STATES)
    ordered = {stage: counts[stage] for stage in stage_order([standing.job for standing in standings])}
    for stage, of_stage in [*ordered.items(), ("all", total)]:
        yield f"{stage:<{width}}" + "".join(f"{of_stage[state] or '.':>9}" for state in STATES)


def _headline(standings: Sequence[Standing], evidence: Evidence) -> str:
    left = [standing for standing in standings if standing.state != "done"]
    if not left:
        return f"All {len(standings)} jobs are done; nothing would run."
    if evidence.alive:
        work = "Snakemake is at work in this folder, on this machine."
    elif evidence.locked and evidence.alive is None:
        work = "This folder is locked: Snakemake is at work in it, or was killed."
    elif evidence.locked:
        work = "This folder is locked, but no Snakemake of it is on this machine: it works elsewhere, or was killed."
    else:
        work = "Snakemake is not at work in this folder."
    return f"{len(standings) - len(left)} of {len(standings)} jobs are done. {work}"


def _one(standing: Standing) -> Iterator[str]:
    yield f"  {standing.job.stage}  {standing.job.run}"
    yield f"      {standing.note}"
    if standing.state == "failed" and standing.job.log:
        yield f"      {standing.job.log}"


def _lost(standing: Standing) -> bool:
    """Whether something of the job is there: else it simply has not been made yet."""
    return any(Path(path).exists() for path in standing.job.outputs)


def _by_cause(standings: Sequence[Standing]) -> Iterator[str]:
    """Jobs under the same cause together; those that only follow from others at the end."""
    causes: dict[tuple[str, str], list[Standing]] = {}
    for standing in standings:
        for cause in standing.why.causes:
            causes.setdefault((standing.job.stage, cause), []).append(standing)
    for (stage, cause), those in causes.items():
        names = ", ".join(standing.job.run for standing in those[:3])
        more = f" and {len(those) - 3} more" if len(those) > 3 else ""
        yield f"  {stage} ({names}{more}): {cause}"
    following = [standing.job for standing in standings if standing.why.follows and not standing.why.causes]
    if following:
        yield f"  and what reads from jobs that run: {named_stages(following)}"
