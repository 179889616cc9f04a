"""Runs that share a process (`runs.pack`) on a real Slurm: one job trains all of them.

The last of these files: it submits more jobs, and the tests of what was submitted count them.
"""

import json

import pytest

from tests.slurm.study import METHODS, MODEL, Pretraining, Submitted, until

pytestmark = pytest.mark.workflow
ENCODERS = [f"{MODEL.format(method)}/encoder.safetensors" for method in METHODS]
PACKED = f"runs={json.dumps({'backbones': ['vit-ci'], 'methods': ['msn', 'msn+ehr(sex)'], 'pack': 2})}"


@pytest.fixture(scope="module")
def packed(submitted) -> tuple[Submitted, list[dict[str, str]]]:
    """Both models trained again by one job; the jobs it took."""
    before = {job["JobId"] for job in submitted.jobs()}
    submitted.remove()
    with submitted.running(*ENCODERS, config=(PACKED,)) as run:
        until(lambda: run.poll() is not None, "it does not end", submitted)
    assert run.returncode == 0, submitted.said()
    return submitted, [job for job in submitted.jobs() if job["JobId"] not in before]


def test_the_first_job_trains_both_and_the_other_comes_after_it(packed):
    submitted, jobs = packed
    assert [job["Comment"].startswith("rule_pretrain") for job in jobs] == [True] * 2
    first, second = sorted(jobs, key=lambda job: job["StartTime"])
    assert first["EndTime"] <= second["StartTime"]
    logs = [Pretraining(submitted, method).log.read_text() for method in METHODS]
    assert sorted("2 runs trained" in log for log in logs) == [False, True]
    assert sorted("epoch 80 of 80" in log for log in logs) == [False, True]


@pytest.mark.parametrize("method", METHODS)
def test_encoders_are_those_of_jobs_of_their_own(packed, method):
    assert packed[0].largest_gap(method) == 0
