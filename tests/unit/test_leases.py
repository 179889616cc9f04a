"""Two jobs never share a GPU, whichever way either of them ends. Devices are names here; the locks are real."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mmsn import devices as devices_module
from mmsn.devices import pick_device
from mmsn.errors import UserError
from mmsn.leases import lease_folder

_JOB = """
import sys, time
from pathlib import Path
from mmsn.leases import lease
folder, devices, record, seconds = Path(sys.argv[1]), sys.argv[2].split(","), Path(sys.argv[3]), float(sys.argv[4])
place = lease(devices, folder, 0.02)
with record.open("a") as out:
    out.write(f"took {place}\\n")
time.sleep(seconds)
with record.open("a") as out:
    out.write(f"left {place}\\n")
"""


def _start(folder: Path, devices: str, seconds: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _JOB, str(folder), devices, str(folder / "record"), str(seconds)])


def _wait_for(folder: Path, text: str) -> None:
    deadline = time.monotonic() + 60
    while text not in ((folder / "record").read_text() if (folder / "record").exists() else ""):
        assert time.monotonic() < deadline, f"{text!r} never came"
        time.sleep(0.02)


def test_more_jobs_than_devices_take_turns(tmp_path):
    jobs = [_start(tmp_path, "gpu-a,gpu-b", 0.2) for _ in range(6)]
    assert [job.wait(timeout=120) for job in jobs] == [0] * 6
    taken: set[str] = set()
    most = 0
    for line in (tmp_path / "record").read_text().splitlines():
        what, place = line.split()
        if what == "took":
            assert place not in taken, "two jobs had the same device"
            taken.add(place)
        else:
            taken.remove(place)
        most = max(most, len(taken))
    assert most == 2


def test_a_killed_job_lets_its_device_go(tmp_path):
    job = _start(tmp_path, "gpu-a", 600)
    _wait_for(tmp_path, "took 0")
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    after = _start(tmp_path, "gpu-a", 0)
    assert after.wait(timeout=60) == 0


def test_processes_that_see_other_devices_agree_on_names(tmp_path):
    first = _start(tmp_path, "gpu-a,gpu-b", 600)
    try:
        _wait_for(tmp_path, "took 0")
        second = _start(tmp_path, "gpu-b,gpu-a", 0)  # its first is the other's second
        assert second.wait(timeout=60) == 0
        assert (tmp_path / "record").read_text().splitlines() == ["took 0", "took 0", "left 0"]
    finally:
        first.kill()
        first.wait()


def test_locks_are_the_users_own():
    assert lease_folder().stat().st_mode & 0o077 == 0


def test_auto_takes_the_leased_device_and_a_named_one_is_taken_as_named(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda place: SimpleNamespace(uuid=f"uuid-{place}"))
    monkeypatch.setattr(devices_module, "lease_folder", lambda: tmp_path)
    other = _start(tmp_path, "uuid-0,uuid-1", 600)
    try:
        _wait_for(tmp_path, "took 0")
        assert pick_device("auto") == torch.device("cuda", 1)  # the first is taken
        assert pick_device("auto") == torch.device("cuda", 1)  # who asks again waits for nobody
    finally:
        other.kill()
        other.wait()
    assert pick_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(UserError, match="GPU 2 is asked for and 2 are visible"):
        pick_device("auto", 2)
