"""The workflow as jobs of a real Slurm: what they ask for, what goes together, that no GPU is given twice."""

import re

import pytest

from tests.slurm import accounting
from tests.slurm.conftest import GPUS
from tests.slurm.study import GPU_RULES

pytestmark = pytest.mark.workflow


def asked_for(job: dict[str, str]) -> str:
    """What a job asked for beside processors and memory: Slurm says it by job, by node, by task or by socket."""
    return " ".join(value for name, value in job.items() if name.startswith("TresPer"))


def test_only_gpu_rules_ask_for_a_gpu_and_each_for_one(submitted):
    on_gpu = [job for job in submitted.jobs() if job["Comment"].startswith(GPU_RULES)]
    assert len(on_gpu) == 7, [job["Comment"] for job in submitted.jobs()]
    assert all(re.fullmatch("gres:gpu:1", asked_for(job)) for job in on_gpu), [asked_for(job) for job in on_gpu]
    others = [job for job in submitted.jobs() if job not in on_gpu]
    assert len(others) == 1, others
    assert not any("gpu" in asked_for(job) for job in others), others


def test_short_jobs_go_together(submitted):
    names = [job["Comment"].partition("_vit")[0] for job in submitted.jobs()]
    assert names.count("rule_cohort_cohort_cohort_records_impute") == 1  # the group, and the jobs in it
    assert names.count("rule_once") == 1


def test_draws_of_few_images_do_not(submitted):
    assert sum("rule_low_data" in job["Comment"] for job in submitted.jobs()) == 2


def test_never_more_jobs_ran_than_there_are_gpus(submitted):
    spans = [(job["StartTime"], job["EndTime"]) for job in submitted.jobs() if job["Comment"].startswith(GPU_RULES)]
    at_once = [sum(start <= moment < end for start, end in spans) for moment, _ in spans]
    assert max(at_once) <= GPUS, spans
    assert all(job["JobState"] == "COMPLETED" for job in submitted.jobs())


def test_sacct_was_asked_and_knows_every_job(submitted):
    if lacking := accounting.missing():
        pytest.skip(f"SKIPPED: squeue was asked, not sacct: {', '.join(lacking)} not found (Debian: slurmdbd, mariadb)")
    told = submitted.cluster("sacct", "-X", "--noheader", "--parsable2", "--format=JobIDRaw,State").split()
    jobs = {job["JobId"] for job in submitted.jobs()}
    assert jobs <= {line.split("|")[0] for line in told if line.endswith("|COMPLETED")}
