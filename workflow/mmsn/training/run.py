"""A pretraining run from its files to its files."""

import hashlib
import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
import yaml

from mmsn.console import logger, only_errors
from mmsn.devices import describe, pick_device
from mmsn.encoder_file import save_encoder
from mmsn.files import write_table, write_text
from mmsn.images.staging import open_store
from mmsn.lineage import Split
from mmsn.memory import keep_freed_memory
from mmsn.methods import Method, method_from_id
from mmsn.provenance import code_digest, content_digest
from mmsn.training.card import model_card
from mmsn.training.data import PretrainData, load_data
from mmsn.training.distributed import World, joined
from mmsn.training.journal import Journal
from mmsn.training.loop import CheckpointPolicy, Pretraining
from mmsn.training.precision import computed_precision
from mmsn.training.settings import SECTIONS, BackboneSettings, PretrainSettings, TrainingSettings, section_of
from mmsn.training.steps.base import PretrainingStep
from mmsn.training.steps.create import as_built, create_step

HISTORY_SCHEMA = pa.schema(
    [
        ("epoch", pa.int32()),
        ("step", pa.int32()),
        ("loss", pa.float64()),
        # null where a method has no such thing
        ("cross_entropy", pa.float64()),
        ("mean_entropy_loss", pa.float64()),
        ("target_entropy", pa.float64()),
        ("anchor_entropy", pa.float64()),
        ("entropy_bound", pa.float64()),  # log of the number of prototypes or outputs
        ("used_prototypes", pa.float64()),
        ("gradient_norm", pa.float64()),
        ("skipped_steps", pa.float64()),
        ("rankme", pa.float64()),
        ("feature_spread", pa.float64()),
        ("learning_rate", pa.float64()),
        ("images_per_second", pa.float64()),
        ("peak_memory_gb", pa.float64()),
    ]
)


@dataclass(frozen=True)
class PretrainFiles:
    """What a run reads and writes."""

    images: Path
    """The cohort's rows.parquet; its images.parquet for methods that need labels."""
    features: Path | None
    store: Path
    encoder: Path
    history: Path
    resolved: Path
    card: Path
    checkpoint: Path
    tensorboard: Path | None = None


@dataclass(frozen=True)
class PretrainRun:
    """Which model is trained, and how."""

    method: Method
    backbone: BackboneSettings
    settings: TrainingSettings
    seed: int

    @classmethod
    def read(cls, method_id: str, backbone_json: str, settings_json: str, seed: int) -> "PretrainRun":
        """From the texts of a command line."""
        method = method_from_id(method_id)
        settings = SECTIONS[section_of(method)].model_validate_json(settings_json)
        return cls(method, BackboneSettings.model_validate_json(backbone_json), settings, seed)

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"{self.backbone.title} {self.method.id}"

    @property
    def same_study(self) -> bool:
        """Whether target views are cut from other images of the study."""
        return isinstance(self.settings, PretrainSettings) and self.settings.positives == "same-study"


def run_pretraining(
    files: PretrainFiles, run: PretrainRun, checkpoint_seconds: float, threads: int, device: str
) -> None:
    """Pretrain and write encoder, history, model card and what the run was made of.

    Under torchrun every process calls this; the first of them writes.
    """
    torch.set_num_threads(threads)
    # What is not trained is only written: it needs no GPU beside a model that does.
    where = pick_device(device if run.method.is_trained else "cpu", int(os.environ.get("LOCAL_RANK", "0")))
    if where.type == "cpu":
        keep_freed_memory()
    with joined(where) as world:
        if not world.leads:
            only_errors()
        started = time.monotonic()
        data = _load(files, run, where)
        columns = 0 if data.ehr is None else data.ehr.shape[1]
        step = create_step(run.method, run.backbone, run.settings, columns, run.seed).to(where)
        history = _trained(files, run, step, data, checkpoint_seconds, world) if run.method.is_trained else []
        if world.leads:
            resolved = _resolved(files, run, data, time.monotonic() - started, where, world)
            _write(files, run, step, history, resolved)


def _load(files: PretrainFiles, run: PretrainRun, where: torch.device) -> PretrainData:
    store = open_store(files.store)
    if where.type == "cuda":
        store.load(where)  # batches are then cut on the GPU, without a copy a step
    rows = run.settings.rows
    return load_data(store, files.images, files.features, rows, run.method, run.seed, run.same_study)


def _trained(
    files: PretrainFiles,
    run: PretrainRun,
    step: PretrainingStep,
    data: PretrainData,
    checkpoint_seconds: float,
    world: World,
) -> list[dict[str, float]]:
    if run.settings.compile:
        step.compile_blocks()
    policy = CheckpointPolicy(files.checkpoint, _fingerprint(files, run, step.device.type), checkpoint_seconds)
    if world.leads and files.tensorboard and not files.checkpoint.exists():
        shutil.rmtree(files.tensorboard, ignore_errors=True)  # curves of a run that this one replaces
    journal = Journal(files.tensorboard if world.leads else None)
    return Pretraining(step, data, run.settings, run.seed, policy, run.title, world, journal).run()


def _write(
    files: PretrainFiles,
    run: PretrainRun,
    step: PretrainingStep,
    history: list[dict[str, float]],
    resolved: dict[str, Any],
) -> None:
    backbone = as_built(run.method, run.backbone)
    save_encoder(files.encoder, step.kept_encoder, backbone, run.method.id, Split.of_file(files.images))
    write_table(files.history, pa.Table.from_pylist(history, schema=HISTORY_SCHEMA))
    write_text(files.resolved, yaml.safe_dump(resolved, sort_keys=False))
    write_text(files.card, model_card(resolved, history))
    files.checkpoint.unlink(missing_ok=True)
    logger.info("%s: encoder written", run.title)


def _fingerprint(files: PretrainFiles, run: PretrainRun, device: str) -> str:
    """Identifies a run: settings, code and the tables it reads. Pixels count through the store's index.

    How many processes train it is left out: a run may go on with more or fewer.
    """
    tables = [files.images, files.store / "index.parquet", *([files.features] if files.features else [])]
    parts = [
        run.method.id,
        as_built(run.method, run.backbone).model_dump_json(exclude={"title"}),
        _weights_digest(run),
        run.settings.model_dump_json(),
        str(run.seed),
        device,  # a GPU draws other random numbers than a CPU
        code_digest("training.command", run.method.step_module),
        content_digest(tables),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _weights_digest(run: PretrainRun) -> str:
    """What ImageNet weights a run starts from: a digest of the file, `timm`, or nothing. No path leaves the house."""
    source = run.backbone.imagenet
    if source is None or not run.method.starts_from_imagenet:
        return ""
    return source.weights if source.weights == "timm" else content_digest([Path(source.weights)])


def _resolved(
    files: PretrainFiles, run: PretrainRun, data: PretrainData, seconds: float, device: torch.device, world: World
) -> dict[str, Any]:
    return {
        "method": run.method.id,
        "seed": run.seed,
        "backbone": as_built(run.method, run.backbone).model_dump(mode="json"),
        section_of(run.method): run.settings.model_dump(mode="json"),
        "rows": run.settings.rows,
        **({"imagenet_weights": _weights_digest(run)} if run.method.starts_from_imagenet else {}),
        "images": len(data),
        "split_sha256": Split.of_file(files.images).sha256,
        "ehr_columns": 0 if data.ehr is None else data.ehr.shape[1],
        "cohort_digest": content_digest([files.images]),
        "code_digest": code_digest("training.command", run.method.step_module),
        "device": describe(device),
        "computed_in": computed_precision(run.settings.precision, device),
        "processes": world.size,
        "seconds_since_last_start": round(seconds, 1),
        "torch": str(torch.__version__),
    }
