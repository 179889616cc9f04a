"""Times and memory of finished jobs, from the benchmark files of a results folder."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, Final

import yaml

from mmsn.files import read_table
from mmsn.methods import Method, method_from_id
from mmsn.planning.assumptions import START_MINUTES
from mmsn.planning.jobs import SCORING, Job, kind_of, stage_of
from mmsn.planning.sizes import Sizes, sizes_elsewhere, sizes_of
from mmsn.planning.work import amount, files_of_full_size, section_name
from mmsn.reporting.schemas import Facts
from mmsn.training.recorded import recorded_seconds
from mmsn.training.settings import SECTIONS

_SPEED_KEYS: Final = (
    "views",
    "batch_size",
    "accumulate",
    "precision",
    "compile",
    "mask_ratio",
    "embedding",
    "target_queue",
)
"""Settings that change how long a step takes."""
_START_MODEL: Final = START_MINUTES / 60
_START: Final = 2 / 3600
"""Hours that starting takes, with and without torch; no part of a job's speed."""
_SHAPE_KEYS: Final = ("architecture", "options")
WITH_MODEL: Final = ("pretrain", "evaluate", "embeddings")
"""Stages whose time is a model's."""


@dataclass(frozen=True)
class Finished:
    """One finished job."""

    kind: str
    hours: float
    peak_gb: float
    backbone: Mapping[str, Any] | None
    method: Method | None
    settings: Mapping[str, Any]
    work: float
    """Images times passes, as `work.amount` counts them."""
    device: str
    """As the run recorded it; empty where it records none."""


@dataclass(frozen=True)
class Measurements:
    """What a results folder tells."""

    folder: Path
    jobs: tuple[Finished, ...]
    images: int

    def like(self, job: Job, backbone: Mapping[str, Any] | None) -> list[Finished]:
        """Finished jobs that took what this one would take, up to the number of images and passes."""
        kind = kind_of(job.benchmark) if job.benchmark else ""
        alike = [other for other in self.jobs if other.kind == kind and other.hours > 0]
        method = method_from_id(job.wildcards["method"]) if "method" in job.wildcards else None
        if backbone is not None and job.stage.startswith(WITH_MODEL):
            alike = [other for other in alike if other.backbone and _same(other.backbone, backbone, _SHAPE_KEYS)]
        if method is not None and job.stage == "pretrain":
            asked = job.settings()
            alike = [
                other
                for other in alike
                if other.method and other.method.family == method.family and _same(other.settings, asked, _SPEED_KEYS)
            ]
        return alike

    def hours(self, alike: list[Finished], work: float, a_file: float = 0.0) -> float:
        """Hours for `work`, at the mean speed of finished jobs, whose start is not scaled.

        Statistics may have been finished of a handful of small files, which say nothing of their speed: there the hours
        are the measured ones and `a_file` hours for each file of full size more.
        """
        if alike[0].kind == SCORING:
            return mean(max(_START, other.hours + (work - other.work) * a_file) for other in alike)
        start = _START_MODEL if alike[0].kind.startswith(WITH_MODEL) else _START
        speeds = (max(other.hours - start, 0.1 * other.hours) / other.work for other in alike)
        return start + work * mean(speeds)

    @property
    def devices(self) -> str:
        """What the models were trained on."""
        return ", ".join(sorted({job.device for job in self.jobs if job.device})) or "a device that was not recorded"


def read_measurements(folder: Path) -> Measurements | None:
    """Every finished job of a results folder; None where it has no benchmark or no resolved study."""
    study_file, benchmarks = folder / "study.yaml", folder / "benchmarks"
    if not study_file.is_file() or not benchmarks.is_dir():
        return None
    study = yaml.safe_load(study_file.read_text(encoding="utf-8"))
    sizes = sizes_of(folder)
    jobs = tuple(_finished(folder, study, sizes))
    return Measurements(folder, jobs, sizes.total) if jobs else None


def _finished(folder: Path, study: Mapping[str, Any], sizes: Sizes) -> Iterator[Finished]:
    for path in sorted((folder / "benchmarks").rglob("*.tsv")):
        row = _row(path)
        if row is None:
            continue
        below = path.relative_to(folder / "benchmarks").with_suffix("").parts
        stage, kind = stage_of(str(path)), kind_of(str(path))
        backbone, method = _model(below, study)
        resolved = _resolved(folder, below) if stage == "pretrain" else {}
        settings = resolved.get("settings") or _settings(study, kind, method)
        passes = resolved.get("passes") or settings.get("max_epochs", 1)
        data_set = kind.partition(" ")[2] if stage in ("evaluate/linear", "evaluate/finetune") else ""
        counted = sizes if data_set in ("", "mimic-cxr") else sizes_elsewhere(folder, data_set)
        yield Finished(
            kind,
            max(row["s"], resolved.get("seconds", 0.0)) / 3600,
            row["max_rss"] / 1000,
            backbone,
            method,
            settings,
            _scored(folder, below) if kind == SCORING else amount(stage, settings, counted, passes, _share(below)),
            resolved.get("device", ""),
        )


def _row(path: Path) -> dict[str, float] | None:
    """Seconds and peak memory (MB) of a benchmark file, the mean where it has several rows."""
    with path.open(encoding="utf-8") as opened:
        rows = list(csv.DictReader(opened, delimiter="\t"))
    read = {name: [float(row[name]) for row in rows if _is_number(row.get(name))] for name in ("s", "max_rss")}
    if not read["s"]:
        return None
    return {"s": mean(read["s"]), "max_rss": max(read["max_rss"], default=0.0)}


def _is_number(text: str | None) -> bool:
    return bool(text) and str(text).replace(".", "", 1).isdigit()


def _model(below: tuple[str, ...], study: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, Method | None]:
    """Backbone and method of a file `.../<backbone>/<method>/seed<k>`; of `.../<backbone>` the backbone."""
    backbones = study.get("backbones", {})
    place = next((index for index, part in enumerate(below) if part in backbones), None)
    if place is None:
        return None, None
    named = below[place + 1 :]
    return backbones[below[place]], method_from_id(named[0]) if len(named) == 2 else None


def _resolved(folder: Path, below: tuple[str, ...]) -> dict[str, Any]:
    """Settings, epochs really trained and device of a pretraining run."""
    run = folder.joinpath(*below)
    file, history = run / "resolved.yaml", run / "history.parquet"
    if not file.is_file():
        return {}
    resolved = yaml.safe_load(file.read_text(encoding="utf-8"))
    settings: dict[str, Any] = next((resolved[name] for name in SECTIONS if name in resolved), {})
    epochs = read_table(history, ["images_per_second"]).to_pylist() if history.is_file() else []
    # a benchmark counts the time since the last start alone, and a run may have been stopped and gone on
    seconds = recorded_seconds(run)
    device = str(resolved.get("device", ""))
    return {"settings": settings, "passes": len(epochs), "seconds": seconds, "device": device}


def _settings(study: Mapping[str, Any], kind: str, method: Method | None) -> Mapping[str, Any]:
    settings: Mapping[str, Any] = study.get(section_name(kind, method), {}) or {}
    return settings


def _scored(folder: Path, below: tuple[str, ...]) -> float:
    """Models whose predictions finished statistics were made of, as files of full size; 0 where they are gone."""
    place = folder.joinpath(*below)
    variants, labels = place.with_suffix(".parquet"), place / "labels.parquet"
    if variants.is_file():
        table = read_table(variants)
        models = table.to_pandas().drop_duplicates("key")["seeds"].sum()
    elif labels.is_file():
        table = read_table(labels)
        models = len(table) // Facts.of(table, str(labels)).labels
    else:
        return 0.0
    return files_of_full_size(int(models), Facts.of(table, str(place)).images)


def _share(below: tuple[str, ...]) -> float | None:
    percent = next((part.removesuffix("pct") for part in below if part.endswith("pct")), None)
    return float(percent) / 100 if percent else None


def _same(old: Mapping[str, Any], new: Mapping[str, Any], keys: tuple[str, ...]) -> bool:
    """Whether two settings agree on the keys that both have."""
    return all(old[key] == new[key] for key in keys if key in old and key in new)
