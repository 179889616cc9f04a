"""The training loop of every method: restartable at any step, watched, stopped when it goes wrong."""

import math
import time
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler

from mmsn.checkpoint import (
    load_checkpoint,
    module_tensors,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
)
from mmsn.console import logger, progress
from mmsn.errors import StoppedBySignal, UserError
from mmsn.images.views import normalise, resize
from mmsn.models.msn import MaskedSiameseNetwork
from mmsn.models.msn_loss import MsnLoss
from mmsn.models.vit import class_embedding
from mmsn.randomness import generator
from mmsn.signals import StopRequest
from mmsn.training.data import PretrainData
from mmsn.training.method import MsnStep
from mmsn.training.monitor import collapse_warning, feature_spread, rankme
from mmsn.training.optimizer import create_optimizer
from mmsn.training.schedule import learning_rate, stops_early, target_momentum
from mmsn.training.settings import PretrainSettings

WATCHED = ("loss", "cross_entropy", "mean_entropy_loss", "target_entropy", "anchor_entropy", "used_prototypes")
_MONITORED_IMAGES = 256


@dataclass
class Standing:
    """Where a run stands; JSON, so that a checkpoint can hold it."""

    epoch: int = 0
    step: int = 0
    """Steps done in this epoch."""
    sums: dict[str, float] = field(default_factory=dict)
    """Sums over this epoch's steps of what the history averages."""
    seconds: float = 0.0
    """Training time of this epoch so far."""
    history: list[dict[str, float]] = field(default_factory=list)
    scaler: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckpointPolicy:
    """Where and how often a run saves itself."""

    path: Path
    fingerprint: str
    seconds_between: float


class Pretraining:
    """One pretraining run.

    Args:
        model: on its device.
        data: images and EHR.
        settings: of the run.
        seed: every random draw is addressed by it.
        checkpoint: where the run saves itself, and takes itself up again.
        description: what the progress bar says.
    """

    def __init__(
        self,
        model: MaskedSiameseNetwork,
        data: PretrainData,
        settings: PretrainSettings,
        seed: int,
        checkpoint: CheckpointPolicy,
        description: str,
    ) -> None:
        if len(data) < settings.batch_size:
            raise UserError(
                f"pretrain.batch_size: {settings.batch_size} is more than the {len(data)} pretraining images; lower it"
            )
        self.model, self.data, self.settings, self.seed = model, data, settings, seed
        self.checkpoint, self.description = checkpoint, description
        self.device = model.prototypes.device
        self.step_of = MsnStep(model, settings)
        self.optimizer = create_optimizer(model, settings, self.device)
        on_gpu = self.device.type == "cuda"
        self.scaler = GradScaler(self.device.type, enabled=on_gpu and settings.precision == "fp16")
        self.steps_per_epoch = len(data) // settings.batch_size
        self.standing = self._taken_up()
        self._stop = StopRequest()
        self._saved_at = time.monotonic()

    def run(self) -> list[dict[str, float]]:
        """Train to the end (or the early stop) and return the history, one row an epoch.

        Raises:
            StoppedBySignal: after saving, when a signal asked to stop.
            UserError: when the loss is no longer finite.
        """
        with self._stop:
            while self.standing.epoch < self.settings.epochs and not self._converged():
                self._run_epoch()
        return self.standing.history

    def _run_epoch(self) -> None:
        standing, settings = self.standing, self.settings
        batches = self.data.batches(settings.batch_size, self.seed, standing.epoch, standing.step)
        label = f"{self.description}: epoch {standing.epoch + 1} of {settings.epochs}"
        self.model.train()
        start = time.monotonic()  # reading the batch counts too
        for pixels, ehr in progress(batches, label, self.steps_per_epoch - standing.step):
            self._optimise(pixels.to(self.device), None if ehr is None else ehr.to(self.device))
            standing.step += 1
            standing.seconds += time.monotonic() - start
            self._save_if_due()
            start = time.monotonic()
        self._close_epoch()

    def _optimise(self, pixels: Tensor, ehr: Tensor | None) -> None:
        epoch, step = self.standing.epoch, self.standing.step
        self.model.update_target(target_momentum(self.settings, epoch, step, self.steps_per_epoch))
        rate = learning_rate(self.settings, epoch, step, self.steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        draws = generator(self.device, self.seed, "views", epoch, step)
        with self._autocast():
            result = self.step_of.loss(pixels, ehr, draws)
        self._check_finite(result)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(result.loss).backward()
        norm = self._clipped_norm()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self._count(result, norm)

    def _clipped_norm(self) -> float:
        """Norm of the gradient before clipping."""
        self.scaler.unscale_(self.optimizer)
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if self.settings.clip_gradient > 0:
            torch.nn.utils.clip_grads_with_norm_(self.model.parameters(), self.settings.clip_gradient, norm)
        return float(norm)

    def _count(self, result: MsnLoss, gradient_norm: float) -> None:
        sums = self.standing.sums
        values = {name: float(getattr(result, name).detach()) for name in WATCHED}
        finite = math.isfinite(gradient_norm)  # under fp16 an overflow is skipped by the gradient scaler, and counted
        values |= {"gradient_norm": gradient_norm if finite else 0.0, "skipped_steps": float(not finite)}
        for name, value in values.items():
            sums[name] = sums.get(name, 0.0) + value

    def _check_finite(self, result: MsnLoss) -> None:
        if not torch.isfinite(result.loss):
            raise UserError(
                f"{self.description}: the loss is {float(result.loss.detach())} at epoch {self.standing.epoch + 1}, "
                f"step {self.standing.step + 1}; lower pretrain.learning_rate, or set pretrain.precision: fp32"
            )

    def _close_epoch(self) -> None:
        standing = self.standing
        means = {name: total / self.steps_per_epoch for name, total in standing.sums.items()}
        means["skipped_steps"] *= self.steps_per_epoch
        spread = self._monitored()
        row = {
            "epoch": standing.epoch + 1,
            "step": (standing.epoch + 1) * self.steps_per_epoch,
            **means,
            **spread,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "images_per_second": self.steps_per_epoch * self.settings.batch_size / max(standing.seconds, 1e-9),
        }
        standing.history.append(row)
        logger.info(
            "%s: epoch %d of %d, loss %.4f, target entropy %.3f, %.0f prototypes used, RankMe %.1f, %.0f images/s",
            *(self.description, standing.epoch + 1, self.settings.epochs, row["loss"], row["target_entropy"]),
            *(row["used_prototypes"], row["rankme"], row["images_per_second"]),
        )
        width = self.model.encoder.embed_dim
        if warning := collapse_warning(self.settings, row["used_prototypes"], row["rankme"], width):
            logger.warning("warning: %s", warning)
        standing.epoch, standing.step, standing.sums, standing.seconds = standing.epoch + 1, 0, {}, 0.0
        self._save()

    @torch.no_grad()
    def _monitored(self) -> dict[str, float]:
        """RankMe and feature spread of the target encoder on the first images of the data."""
        pixels = self.data.store.batch(self.data.positions[:_MONITORED_IMAGES]).to(self.device)
        views = normalise(resize(pixels, self.settings.views.random_size))
        features = class_embedding(self.model.target_encoder, views)
        return {"rankme": rankme(features), "feature_spread": feature_spread(features)}

    def _converged(self) -> bool:
        warmup = math.ceil(self.settings.warmup_epochs)  # patience starts after it
        losses = [row["loss"] for row in self.standing.history[warmup:]]
        stops = stops_early(losses, self.settings.early_stop_patience, self.settings.early_stop_min_delta)
        if stops:
            logger.info("%s: stopped early after epoch %d", self.description, self.standing.epoch)
        return stops

    def _autocast(self) -> AbstractContextManager[None]:
        reduced = self.device.type == "cuda" and self.settings.precision != "fp32"
        kind = torch.bfloat16 if self.settings.precision == "bf16" else torch.float16
        context: AbstractContextManager[None] = torch.autocast(self.device.type, kind, enabled=reduced)
        return context

    def _taken_up(self) -> Standing:
        """The saved standing, with model and optimiser as they were; a fresh one when nothing was saved."""
        saved = load_checkpoint(self.checkpoint.path, self.checkpoint.fingerprint)
        if saved is None:
            return Standing()
        self.model.load_state_dict(saved.part("model."))
        restore_optimizer(self.optimizer, saved.part("optimizer."))
        standing = Standing(**saved.state)
        if standing.scaler:
            self.scaler.load_state_dict(standing.scaler)
        logger.info("%s: goes on at epoch %d, step %d", self.description, standing.epoch + 1, standing.step + 1)
        return standing

    def _save_if_due(self) -> None:
        if self._stop.made:
            self._save()
            raise StoppedBySignal(self.description)
        if time.monotonic() - self._saved_at >= self.checkpoint.seconds_between:
            self._save()

    def _save(self) -> None:
        self.standing.scaler = dict(self.scaler.state_dict())
        tensors = module_tensors(self.model, "model.") | optimizer_tensors(self.optimizer, "optimizer.")
        save_checkpoint(self.checkpoint.path, self.checkpoint.fingerprint, tensors, asdict(self.standing))
        self._saved_at = time.monotonic()
