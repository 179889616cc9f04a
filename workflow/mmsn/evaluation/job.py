"""What every evaluation of an encoder begins and ends with, from files to files."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import torch
from timm.models.vision_transformer import VisionTransformer

from mmsn.console import logger
from mmsn.devices import pick_device
from mmsn.encoder_file import load_encoder, split_of_encoder
from mmsn.errors import UserError
from mmsn.evaluation.data import LabelledImages, check_disjoint, load_split
from mmsn.evaluation.settings import ProbeRun, ProtocolSettings, Subset
from mmsn.evaluation.subsets import draw_subset, taught
from mmsn.evaluation.tables import Outcome, predictions_table, runs_table
from mmsn.evaluation.validation import warn_of_unjudged
from mmsn.files import read_table, write_table
from mmsn.images.staging import open_store
from mmsn.images.store import PixelStore
from mmsn.lineage import ENCODER_DIGEST, UNTRAINED_LABELS, Split, check_same_split
from mmsn.provenance import code_digest, content_digest

Settings = TypeVar("Settings", bound=ProtocolSettings)


@dataclass(frozen=True)
class EvaluationFiles:
    """What an evaluation reads and writes."""

    encoder: Path
    images: Path
    store: Path
    predictions: Path
    runs: Path
    checkpoint: Path
    setting_of: Path | None = None
    """`runs.parquet` of an evaluation whose chosen run is the only one tried."""
    head: Path | None = None
    """Where the chosen head is kept; nowhere when None."""
    finetuned: Path | None = None
    """Where the fine-tuned encoder that it belongs to is kept."""
    features: Path | None = None
    """Feature table whose encoded EHR the head of a fine-tuning reads too."""


@dataclass(frozen=True)
class EvaluationJob:
    """Which evaluation, and on what it computes."""

    seed: int
    title: str
    threads: int
    device: str
    subset: Subset | None = None
    """Train on part of the training images; on all of them when None."""


@dataclass(frozen=True)
class Loaded:
    """Everything that an evaluation computes with."""

    device: torch.device
    encoder: VisionTransformer
    store: PixelStore
    splits: dict[str, LabelledImages]
    untrained: dict[str, str]
    """Labels that the training images cannot teach, and why."""


def load(files: EvaluationFiles, job: EvaluationJob) -> Loaded:
    """Read encoder, pixels and the labelled images of the three splits.

    Raises:
        UserError: another split's encoder, an empty split, a patient in two splits.
    """
    torch.set_num_threads(job.threads)
    device = pick_device(job.device)
    encoder = load_encoder(files.encoder)
    check_same_split(files.images, files.encoder, split_of_encoder(files.encoder), "pretrain it again")
    store = open_store(files.store)
    if device.type == "cuda":
        store.load(device)
    splits = {name: load_split(files.images, store, name) for name in ("train", "validate", "test")}
    check_disjoint(splits, files.images)
    drawn = draw_subset(splits["train"], job.subset) if job.subset else taught(splits["train"])
    splits["train"] = drawn.images
    _report(drawn.images, drawn.untrained, job)
    warn_of_unjudged(splits["validate"].targets, splits["validate"].labels, job.title)
    return Loaded(device, encoder, store, splits, drawn.untrained)


def _report(images: LabelledImages, untrained: dict[str, str], job: EvaluationJob) -> None:
    patients = len(set(images.subject_ids.tolist()))
    if job.subset:
        logger.info("%s: training on %d images of %d patients", job.title, len(images), patients)
    if untrained:
        which = "this subset cannot" if job.subset else "the training images cannot"
        reasons = ", ".join(f"{label} ({reason})" for label, reason in untrained.items())
        logger.warning("warning: %s: labels that %s teach are left out: %s", job.title, which, reasons)
    if len(untrained) == images.targets.shape[1]:
        where = (
            "in the subset; raise low_data.shares" if job.subset else "among the training images: enlarge that split"
        )
        raise UserError(f"{job.title}: none of the labels has both classes {where}")


def with_chosen_run(settings: Settings, files: EvaluationFiles) -> Settings:
    """The settings with the run alone that `files.setting_of` says was chosen; as they are where it is None.

    Raises:
        UserError: when the table names no chosen run.
    """
    if files.setting_of is None:
        return settings
    chosen = [row for row in read_table(files.setting_of).to_pylist() if row["chosen"]]
    if not chosen:
        raise UserError(f"{files.setting_of}: column chosen: no run is chosen; delete it to evaluate again")
    run = ProbeRun(schedule=chosen[0]["schedule"], learning_rate=chosen[0]["learning_rate"])
    return settings.model_copy(update={"runs": (run,)})


def fingerprint(files: EvaluationFiles, job: EvaluationJob, settings: ProtocolSettings, module: str) -> str:
    """Identifies an evaluation: encoder, tables, settings, subset and the code behind `module`."""
    features = [files.features] if files.features else []
    inputs = content_digest([files.encoder, files.images, files.store / "index.parquet", *features])
    subset = job.subset.model_dump_json() if job.subset else ""
    parts = [inputs, settings.model_dump_json(), subset, str(job.seed), code_digest(module)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def conclude(files: EvaluationFiles, loaded: Loaded, outcome: Outcome) -> None:
    """Write test predictions and the record of every run; the checkpoint is no longer needed.

    Raises:
        UserError: scores that are not finite.
    """
    _write(files, loaded, *_tables(files, loaded, outcome))


def conclude_readings(files: EvaluationFiles, loaded: Loaded, outcomes: Mapping[str, Outcome]) -> None:
    """The same for several readings of one encoder; the first column, `reading`, names them.

    Raises:
        UserError: scores that are not finite.
    """
    tables = [_tables(files, loaded, outcome) for outcome in outcomes.values()]
    predictions, runs = (
        pa.concat_tables([_named(table, name) for name, table in zip(outcomes, kind, strict=True)])
        for kind in zip(*tables, strict=True)
    )
    _write(files, loaded, predictions, runs)


def _tables(files: EvaluationFiles, loaded: Loaded, outcome: Outcome) -> tuple[pa.Table, pa.Table]:
    """Predictions and runs."""
    wrong = int((~np.isfinite(outcome.test_scores)).sum())
    if wrong:
        raise UserError(
            f"{files.encoder}: {wrong:,} of {outcome.test_scores.size:,} scores of test images are not finite; "
            "look at its training curves"
        )
    return predictions_table(loaded.splits["test"], outcome.test_scores), runs_table(outcome)


def _named(table: pa.Table, reading: str) -> pa.Table:
    return table.add_column(0, pa.field("reading", pa.string(), nullable=False), pa.repeat(reading, len(table)))


def _write(files: EvaluationFiles, loaded: Loaded, predictions: pa.Table, runs: pa.Table) -> None:
    metadata = {ENCODER_DIGEST: content_digest([files.encoder])} | Split.of_file(files.images).metadata
    untrained = {UNTRAINED_LABELS: json.dumps(loaded.untrained)} if loaded.untrained else {}
    write_table(files.predictions, predictions, metadata | untrained)
    write_table(files.runs, runs, metadata)
    files.checkpoint.unlink(missing_ok=True)
