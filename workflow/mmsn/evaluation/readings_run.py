"""The readings of one encoder from their files to their files: all of them in one job, over the same forward passes."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mmsn.evaluation.job import EvaluationFiles, EvaluationJob, Loaded, conclude_readings, fingerprint, load
from mmsn.evaluation.linear import LinearEvaluation, LinearResult
from mmsn.evaluation.readings import CLASS, Reading
from mmsn.evaluation.records import load_records
from mmsn.evaluation.settings import LinearSettings
from mmsn.provenance import content_digest

BANK: Final = "bank"
"""Name of the protocol's own heads trained on cached augmentations, among the readings."""
_MODULE: Final = "evaluation.readings_run"


@dataclass(frozen=True)
class ReadingsJob:
    """Which heads, and where what they give is written."""

    readings: tuple[Reading, ...]
    features: Mapping[str, Path]
    """Feature set -> its table."""
    bank: int
    """Cached augmentations of a second training of the published heads; 0: none."""


def run_readings(files: EvaluationFiles, job: EvaluationJob, settings_json: str, wanted: ReadingsJob) -> None:
    """Train the heads of every reading; write their test predictions and the record of their runs."""
    exact = LinearSettings.model_validate_json(settings_json).model_copy(update={"bank": 0})
    loaded = load(files, job)
    results = _evaluate(files, job, exact, loaded, wanted.readings, wanted.features) if wanted.readings else {}
    outcomes = {reading.id: result for reading, result in results.items()}
    if wanted.bank:
        banked = exact.model_copy(update={"bank": wanted.bank})
        outcomes[BANK] = _evaluate(files, job, banked, loaded, (CLASS,), {})[CLASS]
    conclude_readings(files, loaded, outcomes)
    _checkpoint(files, banked=True).unlink(missing_ok=True)


def _evaluate(
    files: EvaluationFiles,
    job: EvaluationJob,
    settings: LinearSettings,
    loaded: Loaded,
    readings: Sequence[Reading],
    features: Mapping[str, Path],
) -> dict[Reading, LinearResult]:
    needed = [reading.feature_set for reading in readings if reading.feature_set]
    tables = {name: features[name] for name in dict.fromkeys(needed)}
    checkpoint = _checkpoint(files, banked=settings.bank > 0)
    return LinearEvaluation(
        *(loaded.encoder, loaded.store, loaded.splits, settings, job.seed, loaded.device, job.title),
        *(checkpoint, _identity(fingerprint(files, job, settings, _MODULE), readings, tables)),
        readings=readings,
        records=load_records(tables, files.images, loaded.splits),
    ).run_all()


def _checkpoint(files: EvaluationFiles, banked: bool) -> Path:
    """The two trainings of one job have one each, so that the first is not done again when the second is stopped."""
    return files.checkpoint.with_stem(f"{files.checkpoint.stem}-{BANK}") if banked else files.checkpoint


def _identity(of_job: str, readings: Sequence[Reading], tables: Mapping[str, Path]) -> str:
    names = " ".join(reading.id for reading in readings)
    return hashlib.sha256(f"{of_job} {names} {content_digest(tables.values())}".encode()).hexdigest()
