"""Faults of disks and rights: full, read-only, not ours."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from tests.reliability.faults.damage import FILLER, read_only, small_disk
from tests.reliability.faults.study import Study
from tests.reliability.faults.trial import Fault, Skipped, Spoilt
from tests.workflow.project import bound_by_rights

Targets = tuple[str, ...]
Spoil = Callable[[Study, Targets], AbstractContextManager[Spoilt]]
_SECONDS_TO_START = 120.0


def full_disk(folder: str, free: int = 0) -> Spoil:
    """The disk of a folder of results has so many bytes left; healed by removing a file."""

    @contextmanager
    def spoil(study: Study, _: Targets) -> Iterator[Spoilt]:
        _needs_root()
        place = study.folder / folder
        with small_disk(place, free):
            yield Spoilt(folder, (place / FILLER).unlink)

    return spoil


@contextmanager
def disk_that_fills(study: Study, _: Targets) -> Iterator[Spoilt]:
    """The whole disk of results, logs and benchmarks too, is filled by someone else once pretraining has started."""
    _needs_root()
    with small_disk(study.results, 31 << 20):
        filler = study.results / FILLER
        thread = threading.Thread(target=_fill_when, args=(study, filler), daemon=True)
        thread.start()
        yield Spoilt("results", filler.unlink)
        thread.join()


def _fill_when(study: Study, filler: Path) -> None:
    until = time.monotonic() + _SECONDS_TO_START
    said = study.folder / "said.txt"
    while time.monotonic() < until:
        if said.is_file() and "Pretraining" in said.read_text(errors="replace"):
            there = os.statvfs(filler.parent)
            with filler.open("ab") as opened:
                opened.write(bytes(there.f_bavail * there.f_frsize))
            return
        time.sleep(0.05)


def read_only_disk(folder: str) -> Spoil:
    """The disk of a folder may only be read; healed by mounting it for writing."""

    @contextmanager
    def spoil(study: Study, _: Targets) -> Iterator[Spoilt]:
        _needs_root()
        place = study.folder / folder
        with small_disk(place, 31 << 20):
            read_only(place, yes=True)
            heal = partial(read_only, place, yes=False)
            try:
                yield Spoilt(folder, heal)
            finally:
                heal()

    return spoil


def no_right(folder: str) -> Spoil:
    """Nobody has the right to write in a folder, and root is bound by that too; healed by chmod."""

    @contextmanager
    def spoil(study: Study, _: Targets) -> Iterator[Spoilt]:
        bound = bound_by_rights()
        if bound is None:
            raise Skipped("root passes over rights, and setpriv, which ends that, is not here")
        place = study.folder / folder
        place.chmod(0o500)
        try:
            yield Spoilt(folder, partial(_give_right, place), before=bound)
        finally:
            _give_right(place)

    return spoil


def _give_right(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)  # Snakemake removes an empty one after a failure
    folder.chmod(0o700)


def _needs_root() -> None:
    if os.geteuid() != 0:
        raise Skipped("mounting a small disk needs root")


SEED = "vit-ci/msn/seed0"
FAULTS = (
    Fault("disk full", "pixel store", full_disk("results/images/mimic-cxr"), ("images/mimic-cxr/p11.[np]*",)),
    Fault(
        "disk full",
        "pretraining checkpoint",
        full_disk(f"results/pretrain/{SEED}", 64 << 10),
        (f"pretrain/{SEED}/*.*",),
    ),
    Fault(
        "disk full",
        "linear evaluation",
        full_disk(f"results/evaluate/linear/mimic-cxr/{SEED}"),
        (f"evaluate/linear/mimic-cxr/{SEED}/*.*",),
    ),
    Fault(
        "disk full",
        "writing embeddings",
        full_disk("results/embeddings/mimic-cxr/vit-ci/msn"),
        (f"embeddings/mimic-cxr/{SEED}.parquet",),
    ),
    Fault("disk full", "writing tables", full_disk("results/tables"), ("tables/linear_*",)),
    Fault("disk full", "at the start", full_disk("results", 1 << 20), ("tables/linear_*",)),
    Fault("disk of everything fills", "pretraining", disk_that_fills, (f"pretrain/{SEED}/*.*",)),
    Fault("disk read-only", "pretraining", read_only_disk(f"results/pretrain/{SEED}"), (f"pretrain/{SEED}/*.*",)),
    Fault("disk read-only", "at the start", read_only_disk("results"), ("tables/linear_*",)),
    Fault(
        "permission revoked",
        "writing embeddings",
        no_right("results/embeddings/mimic-cxr/vit-ci/msn"),
        (f"embeddings/mimic-cxr/{SEED}.parquet",),
    ),
    Fault("permission revoked", "at the start", no_right("results"), ("tables/linear_*",)),
)
