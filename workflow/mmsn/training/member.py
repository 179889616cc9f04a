"""A run, its files, and what it takes to train it: alone, or beside others in one process."""

import hashlib
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch

from mmsn.images.store import PixelStore
from mmsn.methods import Method, method_from_id
from mmsn.provenance import code_digest, content_digest
from mmsn.training.data import PretrainData, load_data
from mmsn.training.distributed import World
from mmsn.training.journal import Journal
from mmsn.training.loop import Pretraining
from mmsn.training.settings import SECTIONS, BackboneSettings, PretrainSettings, TrainingSettings, section_of
from mmsn.training.standing import CheckpointPolicy
from mmsn.training.steps.base import PretrainingStep
from mmsn.training.steps.create import as_built, create_step

RUN_DIGEST: Final = "run_digest"
"""Key of `resolved.yaml` that holds `run_digest`."""


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

    def beside(self, method: Method) -> "PretrainRun":
        """The same backbone, settings and seed with another method."""
        return replace(self, method=method)


@dataclass(frozen=True)
class Place:
    """What runs of one process share."""

    device: torch.device
    world: World
    store: PixelStore
    checkpoint_seconds: float


@dataclass(frozen=True)
class Member:
    """A run, ready to be trained from where it stands."""

    data: PretrainData
    step: PretrainingStep
    training: Pretraining | None
    """None for what is not trained."""


def taken_up(files: PretrainFiles, run: PretrainRun, place: Place) -> Member:
    """A run as its checkpoint left it, or from its beginning.

    Raises:
        UserError: what `load_data` and `load_checkpoint` complain about.
    """
    settings = run.settings
    data = load_data(place.store, files.images, files.features, settings.rows, run.method, run.seed, run.same_study)
    columns = 0 if data.ehr is None else data.ehr.shape[1]
    step = create_step(run.method, run.backbone, settings, columns, run.seed).to(place.device)
    if not run.method.is_trained:
        return Member(data, step, None)
    if settings.compile:
        step.compile_blocks()
    # a GPU draws other random numbers than a CPU
    fingerprint = f"{run_digest(files, run)} {place.device.type}"
    policy = CheckpointPolicy(files.checkpoint, fingerprint, place.checkpoint_seconds)
    if place.world.leads and files.tensorboard and not files.checkpoint.exists():
        shutil.rmtree(files.tensorboard, ignore_errors=True)  # curves of a run that this one replaces
    journal = Journal(files.tensorboard if place.world.leads else None)
    training = Pretraining(step, data, settings, run.seed, policy, run.title, place.world, journal)
    return Member(data, step, training)


def run_digest(files: PretrainFiles, run: PretrainRun) -> str:
    """Identifies a run: settings, code and the tables it reads. Pixels count through the store's index.

    How many processes train it, and which runs beside it, is left out: it may go on with more or fewer.
    """
    tables = [files.images, files.store / "index.parquet", *([files.features] if files.features else [])]
    parts = [
        run.method.id,
        as_built(run.method, run.backbone).model_dump_json(exclude={"title"}),
        weights_digest(run),
        run.settings.model_dump_json(),
        str(run.seed),
        code_digest("training.command", run.method.step_module),
        content_digest(tables),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def weights_digest(run: PretrainRun) -> str:
    """What ImageNet weights a run starts from: a digest of the file, `timm`, or nothing. No path leaves the house."""
    source = run.backbone.imagenet
    if source is None or not run.method.starts_from_imagenet:
        return ""
    return source.weights if source.weights == "timm" else content_digest([Path(source.weights)])
