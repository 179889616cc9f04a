"""Jobs of a real Slurm that are taken away, hang or vanish: they are found, come back and end as if undisturbed."""

import os
import signal
import subprocess
import time
from contextlib import suppress

import pytest

from tests.slurm.cluster import freeze, processes, wake
from tests.slurm.study import METHODS, MODEL, Pretraining, Submitted, until

pytestmark = pytest.mark.workflow
ENCODERS = [f"{MODEL.format(method)}/encoder.safetensors" for method in METHODS]


@pytest.fixture(scope="module")
def lost(submitted) -> str:
    """What is said of two jobs that died with all their processes, as did the Snakemake that had submitted them."""
    submitted.remove()
    trainings = [Pretraining(submitted, method) for method in METHODS]
    with submitted.running(*ENCODERS) as run:
        jobs = [training.at_work() for training in trainings]
        run.kill()
        run.wait()
    for process in processes(submitted.project.folder):  # parents first; none has time to save or to clean up
        os.kill(process, signal.SIGKILL)
    submitted.cluster("scancel", *jobs)
    until(lambda: not submitted.cluster("squeue", "--noheader"), "the jobs do not end", submitted)
    for training in trainings:
        _silent_for_ten_minutes(training)
    said = submitted.status()
    submitted.unlock()
    return said


@pytest.fixture(scope="module")
def taken_away(submitted, lost) -> tuple[Submitted, str]:
    """Both models trained to their end, from what was saved, however often their jobs were taken away."""
    hanging, disturbed = (Pretraining(submitted, method) for method in METHODS)
    with submitted.running(*ENCODERS) as run:
        jobs, frozen = {}, {}
        for training in (hanging, disturbed):
            jobs[training] = training.at_work()
            frozen[training] = freeze(submitted.project.folder, "pretrain", training.method)
            _silent_for_ten_minutes(training)
        said = submitted.status()
        submitted.cluster("scontrol", "update", f"JobId={jobs[hanging]}", "TimeLimit=1")
        wake(frozen[disturbed])
        submitted.cluster("scancel", "--signal=TERM", jobs[disturbed])
        submitted.cluster("scontrol", "requeue", disturbed.at_work())
        hanging.at_work()
        _node("state=down", "reason=test", study=submitted)
        with suppress(subprocess.CalledProcessError):  # its slurmd may have registered again by now: it is up then
            _node("state=resume", study=submitted)
        until(
            lambda: "down" not in submitted.cluster("sinfo", "--noheader", "--format=%T"), "the node is lost", submitted
        )
        until(lambda: run.poll() is not None, "it does not end", submitted)
    assert run.returncode == 0, submitted.said()
    return submitted, said


def test_jobs_that_vanished_are_named(lost):
    stopped = lost.partition("Stopped before the end:")[2]
    for method in METHODS:
        assert f"vit-ci/{method}/seed0" in stopped, lost
    assert stopped.count("lost") == 2, lost
    assert stopped.count("it goes on from there") == 2, lost


def test_jobs_that_hang_are_named(taken_away):
    running = taken_away[1].partition("Running:")[2]
    assert running.count("hung? its process is alive, its log silent for 10 min") == 2, taken_away[1]


def test_a_job_that_hangs_is_ended_by_its_time_limit_and_tried_again(taken_away):
    assert "TIMEOUT" in taken_away[0].said()


@pytest.mark.parametrize("method", METHODS)
def test_models_end_as_if_undisturbed(taken_away, method):
    assert Pretraining(taken_away[0], method).attempts_that_went_on() == 1
    assert taken_away[0].largest_gap(method) == 0


def _silent_for_ten_minutes(training: Pretraining) -> None:
    then = time.time() - 600
    os.utime(training.log, (then, then))


def _node(*changes: str, study: Submitted) -> None:
    study.cluster("scontrol", "update", f"NodeName={study.cluster.host}", *changes)
