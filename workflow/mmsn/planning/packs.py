"""What packs (`runs.pack`) change of a plan: a pack's first job trains all of its runs, the others wait and write."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mmsn.planning.assumptions import START_MINUTES
from mmsn.planning.estimate import Cost
from mmsn.planning.jobs import Job


def in_packs(jobs: Sequence[Job], costs: Mapping[str, Cost]) -> tuple[list[Job], dict[str, Cost]]:
    """Jobs and costs as packs run them, both by the key of the job.

    The first job takes the hours of all, for the gain depends on the device (`benchmarks/packing.py` measures it); the
    others read from it and take what starting takes.
    """
    changed, spent = {job.key: job for job in jobs}, dict(costs)
    for first, *others in _packs(jobs):
        hours = sum(costs[job.key].hours for job in (first, *others))
        spent[first.key] = replace(costs[first.key], hours=hours - len(others) * START_MINUTES / 60)
        for job in others:
            changed[job.key] = replace(job, inputs=(*job.inputs, first.outputs[0]))
            spent[job.key] = replace(costs[job.key], hours=START_MINUTES / 60)
    return list(changed.values()), spent


def _packs(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """Jobs of the same pack, where there are two or more of it."""
    packs: dict[frozenset[str], list[Job]] = {}
    for job in jobs:
        if "pack" in job.options and job.outputs:
            own = str(Path(job.options["checkpoint"]).parent)
            packs.setdefault(frozenset([own, *_folders(job)]), []).append(job)
    yield from (pack for pack in packs.values() if len(pack) > 1)


def _folders(job: Job) -> list[str]:
    return [str(other["folder"]) for other in json.loads(job.options["pack"])]
