"""A job ends with its Snakemake, and two processes never do one job."""

import os
import signal
import subprocess
import sys
import time

import pytest

from mmsn.console import run
from mmsn.errors import UserError
from mmsn.orphans import SNAKEMAKE, alone, this_process

JOB = """
import sys, time
from mmsn.console import run
from mmsn.signals import StopRequest
from mmsn.errors import StoppedBySignal

def work():
    with StopRequest() as stop:
        print("at work", flush=True)
        for _ in range(600):
            time.sleep(0.05)
            if stop.made:
                raise StoppedBySignal("x")

sys.exit(run(work))
"""


HERE = this_process().partition("@")[2]


def _job_of(started_by, numbering=HERE):
    environment = {**os.environ, SNAKEMAKE: f"{started_by}@{numbering}"}
    job = subprocess.Popen([sys.executable, "-c", JOB], env=environment, stdout=subprocess.PIPE, text=True)
    assert job.stdout.readline() == "at work\n"
    return job


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="watching a process needs Linux")
def test_a_job_saves_and_ends_when_its_snakemake_is_killed():
    snakemake = subprocess.Popen(["sleep", "60"])
    job = _job_of(snakemake.pid)
    time.sleep(0.2)
    assert job.poll() is None
    snakemake.kill()
    snakemake.wait()
    assert job.wait(10) == 75


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="watching a process needs Linux")
def test_a_number_that_means_another_process_in_this_container_is_not_watched():
    gone = subprocess.Popen(["true"])
    gone.wait()
    job = _job_of(gone.pid, "pid:[1]")
    time.sleep(0.3)
    assert job.poll() is None
    job.terminate()
    assert job.wait(10) == 75


def test_a_job_by_hand_is_watched_by_nobody(monkeypatch):
    monkeypatch.setenv(SNAKEMAKE, "")
    job = subprocess.Popen([sys.executable, "-c", JOB], stdout=subprocess.PIPE, text=True)
    assert job.stdout.readline() == "at work\n"
    time.sleep(0.3)
    assert job.poll() is None
    job.send_signal(signal.SIGTERM)
    assert job.wait(10) == 75


def test_a_second_process_waits_for_the_first_and_then_says_so(tmp_path):
    log = tmp_path / "job.log"
    holds = f"from pathlib import Path; from mmsn.orphans import alone; alone(Path({str(log)!r})); print(); input()"
    first = subprocess.Popen([sys.executable, "-c", holds], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    first.stdout.readline()
    with pytest.raises(UserError, match=r"job\.log: another process is still at this job"):
        alone(log, seconds_to_wait=0.3)
    first.kill()  # however it ends, the lock ends with it
    first.wait()
    alone(log, seconds_to_wait=5)
    alone(log, seconds_to_wait=0)  # ours already


def test_a_job_that_another_process_still_does_is_one_line(tmp_path, monkeypatch, capfd):
    def still(*_):
        raise UserError("another process is still at this job; wait")

    monkeypatch.setattr("mmsn.console.alone", still)
    assert run(lambda: None, tmp_path / "job.log") == 2
    assert "error: another process is still at this job" in capfd.readouterr().err
