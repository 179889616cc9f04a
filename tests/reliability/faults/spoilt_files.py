"""Faults of files: tables, pixels, weights, images, the configuration; damaged or gone."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq

from tests.reliability.faults.damage import flipped, truncated
from tests.reliability.faults.disks import SEED, Spoil, Targets
from tests.reliability.faults.processes import kill, living
from tests.reliability.faults.study import LONGEST, OVERLAY, Study
from tests.reliability.faults.trial import ROWS, Fault, Spoilt

NO_YAML = "Config file is not valid JSON or YAML"
Damage = Callable[[Path], None]
SHARD = "p12"
_CHECKPOINT = f"results/pretrain/{SEED}/unfinished.safetensors"


def damaged(name: str, damage: Damage, remedies: tuple[str, ...] = ()) -> Spoil:
    """A result is damaged; healed by deleting the files that the line tells to delete."""

    @contextmanager
    def spoil(study: Study, _: Targets) -> Iterator[Spoilt]:
        damage(study.folder / name)

        def heal() -> None:
            for remedy in remedies or (name,):
                (study.folder / remedy).unlink()

        yield Spoilt(name, heal, (name,))

    return spoil


def damaged_checkpoint(damage: Damage) -> Spoil:
    """Pretraining is killed after its first epoch, and what it saved is damaged."""

    @contextmanager
    def spoil(study: Study, targets: Targets) -> Iterator[Spoilt]:
        checkpoint = study.folder / _CHECKPOINT
        _kill_when(study, targets, checkpoint)
        damage(checkpoint)
        yield Spoilt(_CHECKPOINT, checkpoint.unlink)

    return spoil


@contextmanager
def whole_checkpoint(study: Study, targets: Targets) -> Iterator[Spoilt]:
    """Pretraining is killed after its first epoch, and goes on by itself."""
    _kill_when(study, targets, study.folder / _CHECKPOINT)
    yield Spoilt("", lambda: None)


def _kill_when(study: Study, targets: Targets, there: Path) -> None:
    """Kill all processes of a run as soon as a file is there, and unlock."""
    process = study.start(*targets, said=study.folder / "said.txt")
    until = time.monotonic() + LONGEST
    while not there.is_file() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    for one in living(process.pid):
        kill(one)
    process.wait()
    study.run("--unlock")
    if not there.is_file():
        raise RuntimeError(f"{there} was gone before the run could be killed")


@contextmanager
def spoilt_image(study: Study, _: Targets) -> Iterator[Spoilt]:
    """A radiograph is cut short and its shard packed again; healed by another copy of the file."""
    path = next(name for name in pq.read_table(study.folder / ROWS)["path"].to_pylist() if f"{SHARD}/" in name)
    image = study.folder / "data/mimic-cxr-jpg" / path
    whole = image.read_bytes()
    truncated(image)

    def heal() -> None:
        image.write_bytes(whole)
        (study.results / f"images/mimic-cxr/{SHARD}.parquet").unlink()

    made_again = [f"results/images/mimic-cxr/{SHARD}.{kind}" for kind in ("npy", "parquet")]
    indexed = [f"results/images/mimic-cxr/{name}.parquet" for name in ("index", "quarantine")]
    yield Spoilt("quarantine.rejected.parquet", heal, (*made_again, *indexed))


def edited(file: str, old: str, new: str, named: str, snakemake_says: str = "") -> Spoil:
    """A file of the project is edited; healed by undoing that."""

    @contextmanager
    def spoil(study: Study, _: Targets) -> Iterator[Spoilt]:
        path = study.folder / file
        text = path.read_text()
        if old not in text:
            raise RuntimeError(f"{file} does not hold {old!r}")
        path.write_text(text.replace(old, new))
        yield Spoilt(named, partial(path.write_text, text), snakemake_says=snakemake_says)

    return spoil


def gone_input(name: str) -> Spoil:
    """A raw table is gone; healed by putting it back."""

    @contextmanager
    def spoil(study: Study, _: Targets) -> Iterator[Spoilt]:
        path, aside = study.folder / name, study.folder / "aside"
        shutil.move(path, aside)
        yield Spoilt(Path(name).name.removesuffix(".gz"), partial(shutil.move, aside, path))

    return spoil


def gone(name: str) -> Spoil:
    """A result is gone; the run makes it again by itself."""

    @contextmanager
    def spoil(study: Study, _: Targets) -> Iterator[Spoilt]:
        (study.folder / name).unlink()
        yield Spoilt("", lambda: None, (name,))

    return spoil


IMAGES = "results/cohort/mimic-cxr/images.parquet"
FEATURES = "results/features/sex.parquet"
PREDICTIONS = f"results/evaluate/linear/mimic-cxr/{SEED}/predictions.parquet"
ENCODER = f"results/pretrain/{SEED}/encoder.safetensors"
ARRAY = f"results/images/mimic-cxr/{SHARD}.npy"
PACKED = (ARRAY.replace("npy", "parquet"), "results/images/mimic-cxr/index.parquet")
_INDEXED = ("images/mimic-cxr/index.parquet", "images/mimic-cxr/quarantine.parquet")
_PRETRAINED = (f"pretrain/{SEED}/*.*",)
_EVALUATED = (f"evaluate/linear/mimic-cxr/{SEED}/*.*",)
FAULTS = (
    Fault("killed after an epoch", "pretraining", whole_checkpoint, _PRETRAINED),
    Fault("checkpoint cut short", "pretraining", damaged_checkpoint(truncated), _PRETRAINED),
    Fault("checkpoint: a byte flipped", "pretraining", damaged_checkpoint(partial(flipped, share=0.9)), _PRETRAINED),
    Fault("encoder cut short", "linear evaluation", damaged(ENCODER, truncated), _EVALUATED),
    Fault("encoder: a byte flipped", "linear evaluation", damaged(ENCODER, partial(flipped, share=0.9)), _EVALUATED),
    Fault("pixels cut short", "pretraining", damaged(ARRAY, truncated, PACKED), _PRETRAINED),
    Fault("pixels: a byte flipped", "pretraining", damaged(ARRAY, flipped, PACKED), _PRETRAINED),
    Fault("image cut short", "pixel store", spoilt_image, (f"images/mimic-cxr/{SHARD}.[np]*", *_INDEXED)),
    Fault("images.parquet cut short", "linear evaluation", damaged(IMAGES, truncated), _EVALUATED),
    Fault(
        "images.parquet: a byte flipped", "linear evaluation", damaged(IMAGES, partial(flipped, share=0.1)), _EVALUATED
    ),
    Fault(
        "features cut short",
        "pretraining with EHR",
        damaged(FEATURES, truncated),
        ("pretrain/vit-ci/msn+ehr.sex/seed0/*.*",),
    ),
    Fault(
        "predictions: a byte flipped",
        "statistics",
        damaged(PREDICTIONS, partial(flipped, share=0.1)),
        ("statistics/linear/**/*.parquet",),
    ),
    Fault(
        "predictions cut short",
        "statistics",
        damaged(PREDICTIONS, truncated),
        ("statistics/linear/**/*.parquet",),
    ),
    Fault("config: no YAML", "at the start", edited(OVERLAY, "pretrain: {", "pretrain: {{", OVERLAY, NO_YAML)),
    Fault("config: unknown key", "at the start", edited(OVERLAY, "epochs:", "epoch:", "epochs")),
    Fault("raw table gone", "at the start", gone_input("data/mimic-iv/hosp/admissions.csv.gz")),
    Fault("features gone", "before pretraining", gone(FEATURES), ("pretrain/vit-ci/msn+ehr.sex/seed0/*.*",)),
)
