"""Jobs of a real Slurm that are taken away, hang or vanish: they are found, come back and end as if undisturbed."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.slurm import production
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
    trainings = hanging, disturbed = [Pretraining(submitted, method) for method in METHODS]
    with ThreadPoolExecutor() as side, submitted.running(*ENCODERS) as run:
        (hangs, _), (lives, frozen) = side.map(_held, trainings)
        for training in trainings:
            _silent_for_ten_minutes(training)
        said = submitted.status()
        submitted.cluster("scontrol", "update", f"JobId={hangs}", "EndTime=now")  # its time limit, without the hours
        tried_again = side.submit(_held, hanging)  # when Slurm has ended it, while the other is taken away twice
        wake(frozen)
        submitted.cluster("scontrol", "requeue", lives)
        submitted.cluster("scancel", "--signal=TERM", disturbed.at_work())
        disturbed.at_work()
        wake(tried_again.result()[1])
        _node_fails(submitted)
        for training in trainings:
            training.at_work()
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


def _held(training: Pretraining) -> tuple[str, list[int]]:
    """The job that trains a model, and its processes, which hang as soon as they have saved something new."""
    job = training.at_work()
    frozen = freeze(training.study.project.folder, "pretrain", training.method)
    assert frozen, f"{training.method} has ended before it could hang"
    return job, frozen


def _node_fails(study: Submitted) -> None:
    """The node goes down under both jobs, and is back when it has ended them: Slurm drains one that still runs them."""
    node = f"NodeName={study.cluster.host}"
    assert len(study.cluster("squeue", "--noheader", "--states=running").splitlines()) == len(METHODS)
    study.cluster("scontrol", "update", node, "state=down", "reason=test")
    until(lambda: "slurmstepd" not in production.running(), "the node's jobs do not end", study)
    assert study.cluster("sinfo", "--noheader", "--format=%T").startswith("down")
    study.cluster("scontrol", "update", node, "state=resume")
