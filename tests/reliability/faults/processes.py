"""The processes of one run, known by the session it was started in: never by a name."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A living process of a run."""

    number: int
    words: tuple[str, ...]

    @property
    def role(self) -> str:
        """Snakemake, the shell of a job, a job by its verb, or a helper of one."""
        names = [Path(word).name for word in self.words[:4]]
        if "snakemake" in names:
            return "snakemake"
        if "mmsn" in names:
            place = names.index("mmsn") + 1
            verb = [word for word in self.words[place : place + 2] if word.isidentifier() or "-" in word[1:]]
            return "job: " + " ".join(word for word in verb if not word.startswith("-"))
        if names and names[0] in ("bash", "sh"):
            return "shell of a job"
        return f"helper: {names[0] if names else '?'}"


def living(session: int) -> list[Process]:
    """Processes of a session that have not ended."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, its_session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            words = tuple((folder / "cmdline").read_text(errors="replace").rstrip("\0").split("\0"))
        except OSError:  # ended meanwhile
            continue
        if int(its_session) == session and state != "Z":
            found.append(Process(int(folder.name), words))
    return sorted(found, key=lambda process: process.number)


def kill(process: Process) -> bool:
    """Kill without warning; whether it was still there."""
    try:
        os.kill(process.number, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def outlived(session: int, seconds: float) -> list[Process]:
    """Processes of a session that are still there after some seconds, at the latest."""
    until = time.monotonic() + seconds
    while (left := living(session)) and time.monotonic() < until:
        time.sleep(0.1)
    return left
