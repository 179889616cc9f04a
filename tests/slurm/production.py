"""Signs that this machine belongs to a Slurm in use, which no test may touch; what killed tests have left of theirs."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tests.slurm.daemons import PROCESSES, search_path, started_at

ETC = Path("/etc/slurm")  # jobs look here: Snakemake takes SLURM_CONF from their environment
SETTINGS = ("slurm.conf", "gres.conf", "cgroup.conf", "slurmdbd.conf")
OWNER = "owner.pid"
_RUNNING = Path("/run/slurm")  # sockets of daemons, and the settings of a node that fetches its own
_ELSEWHERE = ("/etc/slurm-llnl", "/usr/local/etc", "/usr/local/etc/slurm", "/opt/slurm/etc")
_DAEMONS = {"slurmctld", "slurmd", "slurmdbd", "slurmrestd", "sackd"}
_ASKED = (("scontrol", "show", "config"), ("scontrol", "ping"), ("sinfo", "--noheader"))
_SECONDS_TO_ANSWER = 5


def signs() -> list[str]:
    """Why this machine is left alone, each in a few words; empty where nothing speaks of a Slurm in use."""
    found = [f"{path} is there" for path in _settings()]
    if os.environ.get("SLURM_CONF"):
        found.append("SLURM_CONF names a cluster")
    if _RUNNING.is_dir() and any(_RUNNING.iterdir()):
        found.append(f"{_RUNNING} holds files")
    found += [f"{name} runs" for name in sorted(_DAEMONS & running())]
    return found or [f"{' '.join(words)} is answered" for words in _ASKED if _answered(*words)]


def clear() -> None:
    """End the daemons of tests that were killed, by the process ids in their folders, and remove their links."""
    for link in (ETC / name for name in SETTINGS):
        if _left_behind(link):
            _end_daemons(link.readlink().parent)
            link.unlink()


def _settings() -> list[Path]:
    """Settings of Slurm in the folders that its packages, and `make install`, look in."""
    folders = {ETC, *map(Path, _ELSEWHERE)}
    for name in ("slurmctld", "slurmd", "scontrol"):
        if program := shutil.which(name, path=search_path()):
            prefix = Path(program).resolve().parents[1]
            folders |= {prefix / "etc", prefix / "etc" / "slurm"}
    return sorted(path for folder in folders for name in SETTINGS if os.path.lexists(path := folder / name))


def running() -> set[str]:
    """Names of the programs that run on this machine, without those that have ended and wait for their parent."""
    names = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cmdline").read_bytes():
                names.add((process / "comm").read_text().strip())
        except OSError:  # gone meanwhile
            continue
    return names


def _answered(*command: str) -> bool:
    """Whether a controller answers; one that is not found or does not within seconds does not."""
    try:
        environment = {**os.environ, "PATH": search_path()}
        done = subprocess.run(command, env=environment, capture_output=True, timeout=_SECONDS_TO_ANSWER, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _left_behind(link: Path) -> bool:
    """Whether a link is that of a test that was killed: its process is gone, or its folder."""
    if not link.is_symlink():
        return False
    owner = link.readlink().parent / OWNER
    if not owner.parent.exists():
        return "/pytest-of-" in str(link.readlink())
    return owner.exists() and not Path("/proc", owner.read_text()).exists()


def _end_daemons(folder: Path) -> None:
    """Only those that started when their record says: a process id may be another's by now."""
    kept = folder / PROCESSES
    records = [line.split() for line in kept.read_text().splitlines()] if kept.exists() else []
    for last in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + 10
        living = [int(process) for process, start in records if started_at(int(process)) == start]
        for process in reversed(living):
            os.kill(process, last)
        while any(started_at(int(process)) == start for process, start in records) and time.monotonic() < deadline:
            time.sleep(0.2)


if __name__ == "__main__":
    clear()
    print("; ".join(signs()))
