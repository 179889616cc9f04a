"""What was run: versions, hardware and hours, from the files that every job leaves."""

import csv
import os
import platform
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import yaml

from mmsn.training.recorded import recorded_seconds

_SHOWN: Final = (
    *("mmsn", "snakemake", "torch", "torchvision", "timm", "numpy", "pandas"),
    *("pyarrow", "duckdb", "scikit-learn", "scipy", "numba"),
)
_SECONDS_AN_HOUR: Final = 3600
_PRETRAIN: Final = "pretrain"


@dataclass(frozen=True)
class Record:
    """Of a whole study."""

    versions: Mapping[str, str]
    """Package -> version, of the process that writes the tables."""
    machine: str
    """That process's."""
    devices: Mapping[str, int]
    """Device -> how many models were pretrained on it."""
    torch: tuple[str, ...]
    """Versions that models were pretrained with."""
    code: tuple[str, ...]
    """Digests of the code that models were pretrained with."""
    hours: Mapping[str, float]
    """Stage -> hours that its last finished jobs took, one after the other; of a training that was stopped, and went
    on, the hours before too."""


def read_record(pretrained: Path, runs: Iterable[str], benchmarks: Path) -> Record:
    """Read what the jobs left.

    Args:
        pretrained: folder of the pretrained models.
        runs: of the study, each a folder below `pretrained` with `resolved.yaml` and `history.parquet`; those that are
            not there are passed over.
        benchmarks: folder of the benchmark files, one subfolder a stage, that of pretraining laid out as `pretrained`.
    """
    resolved = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in _resolved(pretrained, runs)]
    return Record(
        versions={"Python": platform.python_version(), **_versions()},
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
        devices=Counter(_of(resolved, "device")),
        torch=tuple(dict.fromkeys(_of(resolved, "torch"))),
        code=tuple(dict.fromkeys(_of(resolved, "code_digest"))),
        hours=_hours(benchmarks, pretrained),
    )


def _resolved(pretrained: Path, runs: Iterable[str]) -> list[Path]:
    files = (pretrained / run / "resolved.yaml" for run in runs)
    return [path for path in files if path.exists()]


def _of(runs: Iterable[Mapping[str, Any]], key: str) -> list[str]:
    return [str(run[key]) for run in runs if key in run]


def _versions() -> dict[str, str]:
    found = {}
    for name in _SHOWN:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # what only another stage needs may not be installed here
            continue
    return found


def _hours(benchmarks: Path, pretrained: Path) -> dict[str, float]:
    total: dict[str, float] = {}
    for path in sorted(benchmarks.rglob("*.tsv")):
        stage, *below = path.relative_to(benchmarks).with_suffix("").parts
        with path.open(encoding="utf-8", newline="") as file:
            seconds = sum(float(row["s"]) for row in csv.DictReader(file, delimiter="\t"))
        if stage == _PRETRAIN:  # a benchmark counts since the last start, and a run may have been stopped and gone on
            seconds = max(seconds, recorded_seconds(pretrained.joinpath(*below)))
        total[stage] = total.get(stage, 0.0) + seconds / _SECONDS_AN_HOUR
    return dict(sorted(total.items(), key=lambda item: -item[1]))
