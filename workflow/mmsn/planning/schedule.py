"""How jobs follow from each other, and how long they take side by side."""

import heapq
from collections.abc import Mapping, Sequence

from mmsn.planning.jobs import Job

Edges = Mapping[str, frozenset[str]]
"""Keys of the jobs that a job waits for, by its own key."""


def dependencies(jobs: Sequence[Job]) -> dict[str, frozenset[str]]:
    """Which of `jobs` each of them reads from."""
    makers = {output: job.key for job in jobs for output in job.outputs}
    return {job.key: frozenset(makers[path] for path in job.inputs if path in makers) - {job.key} for job in jobs}


def in_order(jobs: Sequence[Job], waits_for: Edges) -> list[Job]:
    """The jobs, each after those that it waits for, otherwise as given."""
    named = {job.key: job for job in jobs}
    placed: dict[str, Job] = {}

    for job in jobs:
        stack = [job.key]
        while stack:
            key = stack[-1]
            open_ones = sorted(other for other in waits_for[key] if other not in placed)
            if open_ones:
                stack.extend(open_ones)
            else:
                placed.setdefault(key, named[key])
                stack.pop()
    return list(placed.values())


def stage_order(jobs: Sequence[Job]) -> list[str]:
    """Stages by the longest chain of jobs that leads to one of theirs, by name where those are equally long."""
    waits_for = dependencies(jobs)
    depth: dict[str, int] = {}
    of_stage: dict[str, int] = {}
    for job in in_order(jobs, waits_for):
        depth[job.key] = 1 + max((depth[other] for other in waits_for[job.key]), default=0)
        of_stage[job.stage] = max(of_stage.get(job.stage, 0), depth[job.key])
    return sorted(of_stage, key=lambda stage: (of_stage[stage], stage))


def wall_hours(jobs: Sequence[Job], hours: Mapping[str, float], gpus: int, cores: int) -> float:
    """Hours until the last job ends when each starts as soon as its inputs and its share of the machine are there.

    List scheduling: of the jobs that could start, the one with the longest chain behind it comes first; of equally long
    ones the first by key, so that the order of `jobs` does not matter.

    Args:
        jobs: all of them.
        hours: of each job by key.
        gpus: GPUs of the machine; a job that asks for more gets all of them.
        cores: CPU cores of the machine, as for `snakemake --cores`; a job that asks for more gets all of them.
    """
    waits_for = dependencies(jobs)
    named = {job.key: job for job in jobs}
    needs = {key: (min(job.gpus, gpus), min(job.threads, cores)) for key, job in named.items()}
    behind = _chains(in_order(jobs, waits_for), waits_for, hours)
    readers: dict[str, list[str]] = {key: [] for key in named}
    for key, before in waits_for.items():
        for other in before:
            readers[other].append(key)
    open_inputs = {key: len(before) for key, before in waits_for.items()}
    ready = sorted((key for key, count in open_inputs.items() if not count), key=lambda key: (-behind[key], key))
    running: list[tuple[float, str]] = []
    free, now = [gpus, cores], 0.0
    while ready or running:
        for key in list(ready):
            gpu, core = needs[key]
            if gpu <= free[0] and core <= free[1]:
                free = [free[0] - gpu, free[1] - core]
                heapq.heappush(running, (now + hours[key], key))
                ready.remove(key)
        now, ended = heapq.heappop(running)
        free = [free[0] + needs[ended][0], free[1] + needs[ended][1]]
        for reader in readers[ended]:
            open_inputs[reader] -= 1
            if not open_inputs[reader]:
                ready.append(reader)
        ready.sort(key=lambda key: (-behind[key], key))
    return now


def _chains(ordered: Sequence[Job], waits_for: Edges, hours: Mapping[str, float]) -> dict[str, float]:
    """Hours of the longest chain that starts with each job."""
    chain = {job.key: hours[job.key] for job in ordered}
    for job in reversed(ordered):
        for before in waits_for[job.key]:
            chain[before] = max(chain[before], hours[before] + chain[job.key])
    return chain
