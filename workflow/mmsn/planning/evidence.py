"""What files and processes say of a job: read only, no lock taken, no tensor loaded."""

import base64
import binascii
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

_ERROR: Final = re.compile(r" (?:ERROR|CRITICAL) (?:error: )?(?P<text>.*)")
_MESSAGE: Final = re.compile(r"^[-\d]+ [\d:,]+ [A-Z]+ (?P<text>.*)$")
_FAILED_LOG: Final = re.compile(r"^\s+log: (\S+)", flags=re.MULTILINE)
_HEADER_LIMIT: Final = 100_000_000
"""safetensors' own limit of a header."""


@dataclass(frozen=True)
class Evidence:
    """Taken once for all jobs."""

    begun: frozenset[str]
    """Outputs that Snakemake marked as begun and not finished."""
    locked: bool
    """Snakemake holds the folder, or was killed while it did."""
    alive: bool | None
    """A Snakemake process of this folder is on this machine; None where processes cannot be seen (no /proc).

    Those of another user, or outside this container, are never seen.
    """
    logs: frozenset[str]
    """Logs that living processes of this folder on this machine write."""
    failed: frozenset[str]
    """Logs of the jobs that failed in Snakemake's last run."""


def gather(project: Path) -> Evidence:
    """Look at Snakemake's own folder and at this machine's processes."""
    processes = list(_commands(project))
    state = project / ".snakemake"
    return Evidence(
        begun=frozenset(_begun(state / "incomplete")),
        locked=_is_locked(state),
        alive=any(map(_is_snakemake, processes)) if Path("/proc/self").exists() else None,
        logs=frozenset(word for words in processes for flag, word in pairwise(words) if flag == "--log"),
        failed=frozenset(_failed_last(state / "log")),
    )


def lock_is_stale(project: Path) -> bool:
    """Whether the folder is locked though no Snakemake of it is seen on this machine but perhaps the one that asks.

    One of another user, or outside this container, is not seen: who is told has to know. False where processes cannot
    be seen (no /proc).
    """
    if not _is_locked(project / ".snakemake") or not Path("/proc/self").exists():
        return False
    return not any(map(_is_snakemake, _commands(project, besides=os.getpid())))


def _is_locked(state: Path) -> bool:
    return (state / "locks").is_dir() and any((state / "locks").glob("*"))


def _begun(folder: Path) -> Iterator[str]:
    """Names of outputs in Snakemake's folder of unfinished ones: base64, long ones cut into folders `@...`."""
    for path in folder.rglob("*") if folder.is_dir() else ():
        if path.is_file():
            coded = "".join(part.removeprefix("@") for part in path.relative_to(folder).parts)
            try:
                yield base64.urlsafe_b64decode(coded).decode()
            except (binascii.Error, UnicodeDecodeError):
                continue


def _commands(project: Path, besides: int | None = None) -> Iterator[list[str]]:
    """Command lines of this machine's processes that work in the project's folder; none where there is no /proc."""
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(besides):
            continue
        try:
            if (process / "cwd").samefile(project):
                yield (process / "cmdline").read_text(errors="replace").split("\0")
        except OSError:  # gone meanwhile, or another user's
            continue


def _is_snakemake(words: list[str]) -> bool:
    names = {Path(word).name for word in words[:4]}
    dry = {"--dry-run", "-n", "--dryrun"} & set(words)
    return "snakemake" in names and not dry


def _failed_last(folder: Path) -> Iterator[str]:
    newest = max(folder.glob("*.snakemake.log"), default=None) if folder.is_dir() else None
    if newest is not None:
        for block in newest.read_text(errors="replace").split("Error in rule")[1:]:
            named = _FAILED_LOG.search(block)
            if named:
                yield named[1]


@dataclass(frozen=True)
class Log:
    """A job's log."""

    age: float
    """Seconds since it was written to."""
    error: str | None
    """Its last error."""
    last: str
    """Its last message, without time and level."""


def read_log(path: str | None) -> Log | None:
    """A job's log, None when it has none yet."""
    if path is None or not Path(path).is_file():
        return None
    lines = [line for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    errors = [found["text"] for line in lines if (found := _ERROR.search(line))]
    messages = [found["text"] for line in lines if (found := _MESSAGE.match(line))]
    last = messages[-1] if messages else (lines[-1] if lines else "")
    return Log(time.time() - Path(path).stat().st_mtime, errors[-1] if errors else None, last)


def checkpoint_standing(path: str | None) -> str | None:
    """How far a checkpoint goes, from its header alone: None where there is none."""
    if path is None or not Path(path).is_file():
        return None
    try:
        state = _state(Path(path))
    except (OSError, ValueError, KeyError):
        return "a saved state that could not be read"
    if "history" in state:
        return f"saved in epoch {state['epoch'] + 1}, after step {state['step']}"
    if isinstance(state.get("epochs"), int):
        return f"saved after epoch {state['epochs']}"
    return "saved part of the way"


def _state(path: Path) -> dict[str, Any]:
    """The JSON state in a safetensors file's header; tensors stay on disk."""
    with path.open("rb") as opened:
        size = int.from_bytes(opened.read(8), "little")
        if size > _HEADER_LIMIT:
            raise ValueError("not a safetensors file")
        header = json.loads(opened.read(size))
    state = json.loads(header["__metadata__"]["state"])
    return state if isinstance(state, dict) else {}
