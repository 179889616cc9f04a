"""Daemons as processes of a test: started in the foreground, ended by their process id."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

PROCESSES = "processes"
"""The file in a cluster's folder that tells a later test what to end when this one is killed."""
_SECONDS_TO_START = 60


def search_path() -> str:
    """PATH with the folders where Debian keeps daemons."""
    return os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])


@contextmanager
def daemon(name: str, options: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """A daemon that works in `folder` and leaves there what it says, in `<name>.out`, and which process it is."""
    program = shutil.which(name, path=search_path())
    assert program is not None, f"{name} is not installed: ask what is missing first"
    with (folder / f"{name}.out").open("wb") as output:
        process = subprocess.Popen(
            [program, *options],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            start_new_session=True,  # Ctrl-C is for the test, which then ends its daemons in order
        )
    with (folder / PROCESSES).open("a") as kept:
        kept.write(f"{process.pid} {started_at(process.pid)}\n")
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def started_at(process: int) -> str | None:
    """When a process started, as the kernel counts; none when it is gone or only waits to be asked how it ended."""
    try:
        fields = Path("/proc", str(process), "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def wait(ready: Callable[[], bool], otherwise: str, folder: Path) -> None:
    """Until a daemon is ready.

    Raises:
        RuntimeError: it is not within a minute; with the last lines of what the daemons said.
    """
    started = time.monotonic()
    while not ready():
        if time.monotonic() - started > _SECONDS_TO_START:
            logs = "".join(f"\n--- {path.name}\n{path.read_text()[-1500:]}" for path in sorted(folder.glob("*.out")))
            raise RuntimeError(f"{otherwise} after {_SECONDS_TO_START} s{logs}")
        time.sleep(0.2)


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
