"""What one job will take: from measured jobs of its kind, else from the stated assumptions."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mmsn.methods import Method, method_from_id
from mmsn.planning.assumptions import (
    IMAGES_PER_SECOND,
    LINEAR_EPOCHS,
    LINEAR_HOURS,
    PAPER_STEP,
    PREDICTION_BYTES,
    PRETRAIN_EPOCHS,
    PRETRAIN_HOURS,
    READ_SECONDS,
    RESAMPLE_SECONDS,
    STAGE_MINUTES,
    START_MINUTES,
    TRAIN_IMAGES,
    UNKNOWN_SHARE,
    VIT_SMALL,
    by_shape,
    scaled_to,
)
from mmsn.planning.compute import FORWARD_AND_BACKWARD, Shape, shape_of, training_step
from mmsn.planning.jobs import SCORING, TARGET, Job, results_folder
from mmsn.planning.measured import Measurements
from mmsn.planning.sizes import Sizes, sizes_elsewhere
from mmsn.planning.work import amount, files_of_full_size

MIMIC: Final = "mimic-cxr"
_LABELS: Final = 14
_START: Final = START_MINUTES / 60


@dataclass(frozen=True)
class Cost:
    """What one job takes."""

    hours: float
    memory_gb: float
    """Peak where it was measured, else what the rule reserves."""
    disk_gb: float
    """What it leaves on disk."""
    measured: bool


class Estimator:
    """Estimates the jobs of one study.

    Args:
        jobs: all jobs of the study, so that backbones of every run are known.
        sizes: its images.
        measurements: of a results folder, if there is one.
    """

    def __init__(self, jobs: Sequence[Job], sizes: Sizes, measurements: Measurements | None) -> None:
        self.measurements = measurements
        results = results_folder(jobs) or Path("results")
        others = sorted({job.data_set for job in jobs} - {MIMIC})
        self.sizes, self.elsewhere = sizes, {name: sizes_elsewhere(results, name) for name in others}
        self._sizes = {MIMIC: sizes, **self.elsewhere}
        pretraining = [job for job in jobs if job.rule == "pretrain"]
        self.backbones = {job.wildcards["backbone"]: job.settings("backbone") for job in pretraining}
        self.shards = max(1, sum(job.rule == "image_shard" for job in jobs))

    def cost(self, job: Job) -> Cost:
        """Hours, memory and disk of a job."""
        if job.stage == TARGET:
            return Cost(0.0, 0.0, 0.0, False)
        reserved = job.resources.get("mem_mb", 0) / 1000
        backbone = self.backbones.get(job.wildcards.get("backbone", ""))
        disk = self._disk_gb(job, shape_of(backbone) if backbone else VIT_SMALL)
        if self.measurements:
            alike = self.measurements.like(job, backbone)
            if alike:
                hours = self.measurements.hours(alike, self._amount(job), _scoring(job))
                return Cost(hours, max(other.peak_gb for other in alike), disk, True)
        return Cost(self._assumed_hours(job, backbone), reserved, disk, False)

    def _amount(self, job: Job) -> float:
        if job.stage == SCORING:
            return files_of_full_size(job.scored, self._sizes[job.data_set].test)
        settings = job.settings()
        passes = settings.get("epochs") or settings.get("max_epochs") or 1
        return amount(job.stage, settings, self._sizes[job.data_set], passes, _subset(job))

    def _assumed_hours(self, job: Job, backbone: Mapping[str, Any] | None) -> float:
        sizes = self.sizes
        if backbone is not None and job.stage == "pretrain":
            return _START + self._pretraining(job, shape_of(backbone))
        if backbone is not None and job.stage.startswith("evaluate/"):
            return _START + self._evaluation(job, shape_of(backbone))
        if backbone is not None and job.stage == "embeddings":
            return _START + self._one_pass(job, shape_of(backbone))
        if job.rule == "image_shard":
            return sizes.total / self.shards / IMAGES_PER_SECOND / 3600
        if job.stage in ("study", SCORING, "tables", "figures"):
            scored = job.scored if job.stage == SCORING else len(job.predictions)
            files = files_of_full_size(scored, self._sizes[job.data_set].test)
            return STAGE_MINUTES[job.stage] / 60 + files * _scoring(job)
        if job.stage in STAGE_MINUTES:
            return 0.1 / 60 + STAGE_MINUTES[job.stage] / 60 * scaled_to(sizes.total)
        if job.rule.endswith("_shard"):  # of another data set
            return self._sizes[job.data_set].total / IMAGES_PER_SECOND / 3600
        if job.stage == "images":
            return 1 / 60
        return UNKNOWN_SHARE * job.resources.get("runtime", 60) / 60

    def _pretraining(self, job: Job, shape: Shape) -> float:
        method, settings = method_from_id(job.wildcards["method"]), job.settings()
        if not method.is_trained:
            return 0.0
        images = self._amount(job) / settings["epochs"]
        whole = PRETRAIN_HOURS if _views_as_published(method, settings) else {VIT_SMALL: PRETRAIN_HOURS[VIT_SMALL]}
        relative = training_step(shape, method.family, settings) / PAPER_STEP
        return by_shape(whole, shape, relative) * scaled_to(int(images)) * settings["epochs"] / PRETRAIN_EPOCHS

    def _evaluation(self, job: Job, shape: Shape) -> float:
        settings, sizes = job.settings(), self._sizes[job.data_set]
        if " evaluate score " in job.command:
            return self._linear(shape, {}) / LINEAR_EPOCHS * scaled_to(sizes.test, TRAIN_IMAGES)
        passes, runs = settings.get("max_epochs", LINEAR_EPOCHS), len(settings.get("runs") or [1])
        whole = self._linear(shape, settings) * passes / LINEAR_EPOCHS * scaled_to(sizes.train, TRAIN_IMAGES)
        frozen = " evaluate linear " in job.command or " evaluate readings " in job.command
        trained = whole if frozen else FORWARD_AND_BACKWARD * whole
        if job.stage.startswith("evaluate/finetune"):
            return trained * runs
        return trained * (_subset(job) or 1.0)

    def _one_pass(self, job: Job, shape: Shape) -> float:
        most = int(job.options.get("train-images", self.sizes.train))
        images = min(most, self.sizes.train) + self.sizes.validate + self.sizes.test
        return self._linear(shape, {}) / LINEAR_EPOCHS * scaled_to(images, TRAIN_IMAGES)

    def _linear(self, shape: Shape, settings: Mapping[str, Any]) -> float:
        crop = (settings.get("views") or {}).get("crop", 224)
        relative = shape.forward(crop) / VIT_SMALL.forward(224)
        return by_shape(LINEAR_HOURS if crop == 224 else {VIT_SMALL: LINEAR_HOURS[VIT_SMALL]}, shape, relative)

    def _disk_gb(self, job: Job, shape: Shape) -> float:
        sizes = self._sizes[job.data_set]
        if job.rule.endswith("_shard"):
            return (
                sizes.total / (self.shards if job.data_set == MIMIC else 1) * job.settings().get("side", 256) ** 2 / 1e9
            )
        if job.stage == "pretrain":
            return 4 * shape.parameters / 1e9
        if job.stage.startswith("evaluate/"):
            kept = 4 * shape.parameters if job.stage.startswith("evaluate/finetune") else 0
            return (_LABELS * sizes.test * PREDICTION_BYTES + kept) / 1e9
        if job.stage == "embeddings":
            most = int(job.options.get("train-images", sizes.train))
            return 4 * shape.width * (min(most, sizes.train) + sizes.validate + sizes.test) / 1e9
        if job.stage in ("cohort", "imputation", "features"):
            return 0.01 * scaled_to(sizes.total)
        return 0.0


def _scoring(job: Job) -> float:
    """Hours for one file of predictions of the published test set, in statistics or a figure."""
    resamples = job.settings("statistics").get("resamples") or job.settings().get("resamples") or 0
    return (READ_SECONDS + RESAMPLE_SECONDS * resamples / 1000 / job.threads) / 3600


def _subset(job: Job) -> float | None:
    subset = json.loads(job.options.get("subset", "{}"))
    return float(subset["share"]) if "share" in subset else None


def _views_as_published(method: Method, settings: Mapping[str, Any]) -> bool:
    """Whether the paper's hours hold as they are: its views, whichever of its methods."""
    views = settings["views"]
    if method.family.startswith("supervised"):
        return False
    return (views["random_size"], views["focal_size"], views["focal_views"]) == (224, 96, 10)
