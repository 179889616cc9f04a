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

_SHOWN: Final = (
    *("mmsn", "snakemake", "torch", "torchvision", "timm", "numpy", "pandas"),
    *("pyarrow", "duckdb", "scikit-learn", "scipy", "numba"),
)
_SECONDS_AN_HOUR: Final = 3600


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
    """Stage -> hours that its last finished jobs took, one after the other."""


def read_record(resolved: Iterable[Path], benchmarks: Path) -> Record:
    """Read what the jobs left.

    Args:
        resolved: `resolved.yaml` of the pretrained models; those that are not there are passed over.
        benchmarks: folder of the benchmark files, one subfolder a stage.
    """
    runs = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in resolved if path.exists()]
    return Record(
        versions={"Python": platform.python_version(), **_versions()},
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
        devices=Counter(_of(runs, "device")),
        torch=tuple(dict.fromkeys(_of(runs, "torch"))),
        code=tuple(dict.fromkeys(_of(runs, "code_digest"))),
        hours=_hours(benchmarks),
    )


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


def _hours(benchmarks: Path) -> dict[str, float]:
    total: dict[str, float] = {}
    for path in sorted(benchmarks.rglob("*.tsv")):
        stage = path.relative_to(benchmarks).with_suffix("").parts[0]
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        total[stage] = total.get(stage, 0.0) + sum(float(row["s"]) for row in rows) / _SECONDS_AN_HOUR
    return dict(sorted(total.items(), key=lambda item: -item[1]))
