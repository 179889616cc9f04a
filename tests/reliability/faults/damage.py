"""Ways to spoil files and disks, each of which can be healed."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FILLER = "filler"
_PAGE = 4096


def truncated(path: Path) -> None:
    """Cut the second half off, as a copy that broke does; the date stays."""
    _rewritten(path, path.read_bytes()[: path.stat().st_size // 2])


def flipped(path: Path, share: float = 0.5) -> None:
    """Flip the bits of one byte at this share of the file, as an ageing disk does; size and date stay."""
    data = bytearray(path.read_bytes())
    data[int(len(data) * share)] ^= 0xFF
    _rewritten(path, bytes(data))


def _rewritten(path: Path, data: bytes) -> None:
    there = path.stat()
    with path.open("r+b") as opened:  # the same file: its second name, a hard link, is spoilt with it
        opened.write(data)
        opened.truncate(len(data))
    os.utime(path, ns=(there.st_atime_ns, there.st_mtime_ns))


@contextmanager
def small_disk(folder: Path, free: int) -> Iterator[None]:
    """A disk of its own for `folder`, with what it holds, that has so many bytes free (needs root).

    Unless it is full already a file named `filler` takes the rest; removing it is what a user does who frees space.
    """
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder.with_name(f"{folder.name}.aside")
    folder.rename(aside)
    folder.mkdir()
    used = sum(-(-path.stat().st_size // _PAGE) * _PAGE for path in aside.rglob("*"))
    size = used + (32 << 20)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        subprocess.run(["cp", "--archive", f"{aside}/.", str(folder)], check=True)
        _fill(folder / FILLER, free)
        yield
    finally:
        (folder / FILLER).unlink(missing_ok=True)
        subprocess.run(["rm", "-rf", str(aside)], check=True)
        subprocess.run(["cp", "--archive", str(folder), str(aside)], check=True)
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()
        aside.rename(folder)


def _fill(filler: Path, free: int) -> None:
    there = os.statvfs(filler.parent)
    filler.write_bytes(bytes(max(0, there.f_bavail * there.f_frsize - free)))


def read_only(folder: Path, *, yes: bool) -> None:
    """Mount a `small_disk` for reading only, or for writing again; this binds root too."""
    subprocess.run(["mount", "-o", "remount,ro" if yes else "remount,rw", str(folder)], check=True)
