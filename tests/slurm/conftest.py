"""One cluster and one study submitted to it, for all tests here."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.slurm import accounting, cluster, production
from tests.slurm.study import STUDY, Submitted
from tests.workflow.project import Project

GPUS = 2
SECONDS_FOR_ALL = 400
"""For a first study on a machine that does much else; run.sh gives everything 900."""


def pytest_configure() -> None:
    """Let a test that is told to end take its cluster down, as Ctrl-C does."""
    if os.environ.get("MMSN_TEST_SLURM") == "1":
        signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def slurm(tmp_path_factory) -> Iterator[cluster.Cluster]:
    """A cluster of one node with two GPUs; with accounting where its programs are installed."""
    if os.environ.get("MMSN_TEST_SLURM") != "1":
        pytest.skip("SKIPPED: nothing was submitted to Slurm; `make test-slurm` brings a cluster up on this machine")
    if lacking := cluster.missing():
        pytest.skip(f"SKIPPED: no Slurm to be had here, it needs {', '.join(lacking)} (Debian: slurm-wlm, munge)")
    production.clear()
    if signs := production.signs():
        pytest.skip(f"SKIPPED: a Slurm that is in use is left alone: {'; '.join(signs)}")
    accounts = None if accounting.missing() else accounting.start_accounting
    with cluster.one_node(tmp_path_factory.mktemp("cluster") / "one", GPUS, accounts) as brought_up:
        yield brought_up


@pytest.fixture(scope="session")
def submitted(slurm, tmp_path_factory) -> Iterator[Submitted]:
    """A small study that ran to its end: its pixels packed here, and what follows submitted as the executor does it."""
    project = Project(tmp_path_factory.mktemp("slurm"))
    drawn = project.mmsn("synth", "--output", "data", "--patients", "48", "--side", "48", "--seed", "3")
    assert drawn.returncode == 0, drawn.stdout
    two_at_once = ("--set-threads", "image_shard=1")
    packed = project.snakemake("results/images/mimic-cxr/index.parquet", *two_at_once)
    assert packed.returncode == 0, packed.stdout
    study = Submitted(project, slurm)
    with study.running(*STUDY, ask="squeue" if accounting.missing() else None) as run:
        run.wait(timeout=SECONDS_FOR_ALL)
    assert run.returncode == 0, study.said()
    study.keep()
    yield study
    for process in cluster.processes(project.folder):  # without cgroups Slurm may end a job and leave its Snakemake
        os.kill(process, signal.SIGKILL)
