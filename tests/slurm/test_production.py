"""A Slurm in use is never touched; what a killed test has left is removed, and nothing else."""

import subprocess
from pathlib import Path

import pytest

from tests.slurm import production
from tests.slurm.daemons import PROCESSES, started_at

pytestmark = pytest.mark.workflow


@pytest.fixture
def machine(tmp_path, monkeypatch) -> Path:
    """A machine without a sign of Slurm, whose folders a test may fill."""
    monkeypatch.delenv("SLURM_CONF", raising=False)
    for name, folder in (("ETC", "etc"), ("_RUNNING", "run")):
        (tmp_path / folder).mkdir()
        monkeypatch.setattr(production, name, tmp_path / folder)
    monkeypatch.setattr(production, "_ELSEWHERE", (str(tmp_path / "opt"),))
    monkeypatch.setattr(production, "_DAEMONS", {"slurmctld-of-nobody"})
    monkeypatch.setattr(production, "_ASKED", (("false",), ("program-of-nobody",)))
    return tmp_path


def left_behind(machine: Path, owner: str) -> tuple[Path, subprocess.Popen[bytes]]:
    """The link and a daemon of a test with a process id."""
    folder = machine / "pytest-of-root" / "one"
    folder.mkdir(parents=True)
    daemon = subprocess.Popen(["sleep", "600"])
    (folder / PROCESSES).write_text(f"{daemon.pid} {started_at(daemon.pid)}\n")
    (folder / production.OWNER).write_text(owner)
    (folder / "slurm.conf").touch()
    link = machine / "etc" / "slurm.conf"
    link.symlink_to(folder / "slurm.conf")
    return link, daemon


def test_a_machine_without_slurm_gives_no_sign(machine):
    assert production.signs() == []


@pytest.mark.parametrize("file", ["etc/slurm.conf", "etc/slurmdbd.conf", "opt/slurm.conf", "run/conf"])
def test_its_files_are_a_sign(machine, file):
    (machine / file).parent.mkdir(exist_ok=True)
    (machine / file).touch()
    assert len(production.signs()) == 1


def test_a_daemon_is_a_sign(machine, monkeypatch):
    daemon = subprocess.Popen(["sleep", "600"])
    monkeypatch.setattr(production, "_DAEMONS", {"sleep"})
    assert production.signs() == ["sleep runs"]
    daemon.kill()
    daemon.wait()


def test_a_controller_that_answers_is_a_sign_and_one_that_hangs_is_none(machine, monkeypatch):
    monkeypatch.setattr(production, "_SECONDS_TO_ANSWER", 0.2)
    monkeypatch.setattr(production, "_ASKED", (("true",), ("sleep", "5")))
    assert production.signs() == ["true is answered"]


def test_daemons_of_a_killed_test_are_ended_and_its_link_removed(machine):
    link, daemon = left_behind(machine, owner="999999999")
    production.clear()
    assert daemon.wait(timeout=5) < 0
    assert not link.is_symlink()


def test_those_of_a_test_that_lives_are_left_alone(machine):
    link, daemon = left_behind(machine, owner="1")
    production.clear()
    assert daemon.poll() is None
    assert link.is_symlink()
    assert len(production.signs()) == 1
    daemon.kill()
    daemon.wait()


def test_a_process_that_has_the_id_of_a_daemon_since_is_left_alone(machine):
    _, other = left_behind(machine, owner="999999999")
    (machine / "pytest-of-root" / "one" / PROCESSES).write_text(f"{other.pid} 1\n")
    production.clear()
    assert other.poll() is None
    other.kill()
    other.wait()
