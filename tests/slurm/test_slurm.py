"""The workflow as jobs of a real Slurm: what they ask for, and that a job that is taken away comes back and goes on."""

import os
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.slurm.cluster import Cluster, missing, one_node
from tests.workflow.project import Project

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.skipif(
        os.environ.get("MMSN_TEST_SLURM") != "1",
        reason="SKIPPED: nothing was submitted to Slurm; `make test-slurm` brings a cluster up on this machine",
    ),
]
GPU_RULES = ("rule_pretrain", "rule_linear")
PREDICTIONS = "results/evaluate/linear/mimic-cxr/vit-ci/{}/seed0/predictions.parquet"
ENCODER = "results/pretrain/vit-ci/msn/seed0/encoder.safetensors"
OPTIONS = (
    *("--workflow-profile", "profiles/slurm", "--slurm-status-command", "squeue", "--slurm-no-account"),
    *("--slurm-init-seconds-before-status-checks", "2", "--jobs", "3", "--configfile", "workflow/configs/ci.yaml"),
)
LONG = ("--config", 'pretrain={"epochs": 60, "early_stop_patience": 0}')


class Run:
    """A project and the cluster that it submits to."""

    def __init__(self, project: Project, cluster: Cluster) -> None:
        self.project, self.cluster = project, cluster

    def snakemake(self, *targets: str) -> subprocess.CompletedProcess[str]:
        """Submit what the targets need; output and errors as one text."""
        environment = {**os.environ, "PYTHONPATH": str(self.project.folder / "workflow"), "OMP_NUM_THREADS": "1"}
        environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), self.cluster.environment["PATH"]])
        return subprocess.run(
            [sys.executable, "-m", "snakemake", *targets, *OPTIONS, *LONG],
            cwd=self.project.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )

    def jobs(self) -> list[dict[str, str]]:
        """All jobs so far as Slurm describes them."""
        described = self.cluster("scontrol", "--oneliner", "show", "job").splitlines()
        return [dict(field.split("=", 1) for field in job.split() if "=" in field) for job in described if job]

    def jobs_of(self, *rules: str) -> list[dict[str, str]]:
        """The jobs of some rules."""
        return [job for job in self.jobs() if job.get("Comment", "").startswith(rules)]


def asked_for(job: dict[str, str]) -> str:
    """What a job asked for beside processors and memory: Slurm says it by job, by node, by task or by socket."""
    return " ".join(value for name, value in job.items() if name.startswith("TresPer"))


@pytest.fixture(scope="module")
def submitted(tmp_path_factory):
    """Two models pretrained and evaluated, every rule that computes as a Slurm job."""
    if lacking := missing():
        pytest.skip(f"SKIPPED: no Slurm to be had here, it needs {', '.join(lacking)} (Debian: slurm-wlm, munge)")
    project = Project(tmp_path_factory.mktemp("slurm"))
    drawn = project.mmsn("synth", "--output", "data", "--patients", "48", "--side", "48", "--seed", "3")
    assert drawn.returncode == 0, drawn.stdout
    with one_node(tmp_path_factory.mktemp("cluster"), gpus=1) as cluster:
        run = Run(project, cluster)
        done = run.snakemake(*(PREDICTIONS.format(method) for method in ("msn", "msn+ehr.sex")))
        assert done.returncode == 0, done.stdout
        yield run


def test_only_gpu_rules_ask_for_a_gpu_and_never_more_run_than_there_are(submitted):
    on_gpu = submitted.jobs_of(*GPU_RULES)
    assert len(on_gpu) == 4, [job["Comment"] for job in submitted.jobs()]
    assert all("gpu:1" in asked_for(job) for job in on_gpu), on_gpu
    others = [job for job in submitted.jobs() if job not in on_gpu]
    assert len(others) >= 10
    assert not any("gpu" in asked_for(job) for job in others), others
    spans = sorted((job["StartTime"], job["EndTime"]) for job in on_gpu)
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(spans)), spans
    assert all(job["JobState"] == "COMPLETED" for job in submitted.jobs())


@pytest.mark.parametrize(
    "taken_away", [("scancel", "--signal=TERM"), ("scontrol", "requeue")], ids=["told to stop", "requeued"]
)
def test_a_job_that_is_taken_away_comes_back_and_ends_as_if_undisturbed(submitted, taken_away):
    folder = submitted.project.folder
    undisturbed = load_file(folder / ENCODER)
    (folder / ENCODER).unlink()
    known = {job["JobId"] for job in submitted.jobs()}
    disturbed: list[str] = []
    done: list[subprocess.CompletedProcess[str]] = []
    thread = threading.Thread(target=lambda: done.append(submitted.snakemake(ENCODER)))
    thread.start()
    started = time.monotonic()
    while thread.is_alive() and not disturbed and time.monotonic() - started < 120:
        time.sleep(0.5)
        running = [job for job in submitted.jobs_of("rule_pretrain") if job["JobState"] == "RUNNING"]
        new = [job["JobId"] for job in running if job["JobId"] not in known]
        if new and (folder / ENCODER).with_name("unfinished.safetensors").exists():
            submitted.cluster(*taken_away, new[0])
            disturbed.append(new[0])
    thread.join()
    assert disturbed, done[0].stdout
    assert done[0].returncode == 0, done[0].stdout
    log = next((folder / "results/logs/pretrain/vit-ci/msn").glob("seed0*.log")).read_text()
    assert "goes on at epoch" in log, log  # each attempt writes it anew
    # not the bytes of the file: its header's keys have no fixed order
    encoder = load_file(folder / ENCODER)
    assert encoder.keys() == undisturbed.keys()
    gaps = {name: float((weight - undisturbed[name]).abs().max()) for name, weight in encoder.items()}
    assert max(gaps.values()) == 0, gaps
