"""The training loop of every method: restartable at any step, watched, stopped when it goes wrong."""

import math
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict

import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.nn.parallel import DistributedDataParallel

from mmsn.checkpoint import (
    load_checkpoint,
    module_tensors,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
)
from mmsn.console import logger, progress
from mmsn.errors import StoppedBySignal, UserError
from mmsn.randomness import derived_seed, generator
from mmsn.signals import StopRequest
from mmsn.training.data import PretrainData
from mmsn.training.distributed import World
from mmsn.training.health import FiniteCheck
from mmsn.training.journal import Journal
from mmsn.training.monitor import collapse_warning, epoch_line, monitored
from mmsn.training.optimizer import create_optimizer
from mmsn.training.precision import autocast, computed_precision, suit_attention
from mmsn.training.schedule import learning_rate, stops_early, target_momentum
from mmsn.training.settings import FollowingSettings, TrainingSettings
from mmsn.training.standing import CheckpointPolicy, Standing
from mmsn.training.steps.base import Batch, PretrainingStep, Sight, Watched


class Pretraining:
    """One pretraining run.

    Args:
        step: the method, on its device.
        data: images, EHR, labels.
        settings: of the run.
        seed: every random draw is addressed by it.
        checkpoint: where the run saves itself, and takes itself up again.
        description: what the progress bar says.
        world: the processes that train it together.
        journal: where TensorBoard finds the curves.
    """

    def __init__(
        self,
        step: PretrainingStep,
        data: PretrainData,
        settings: TrainingSettings,
        seed: int,
        checkpoint: CheckpointPolicy,
        description: str,
        world: World | None = None,
        journal: Journal | None = None,
    ) -> None:
        if len(data) < settings.batch_size:
            raise UserError(
                f"pretrain.batch_size: {settings.batch_size} is more than the {len(data)} pretraining images; lower it"
            )
        self.step, self.data, self.settings, self.seed = step, data, settings, seed
        self.checkpoint, self.description = checkpoint, description
        self.world, self.journal = world or World(), journal or Journal(None)
        self.device = step.device
        self.share = self.world.share(settings.batch_size)
        self.optimizer = create_optimizer(step, settings)
        self.precision = computed_precision(settings.precision, self.device)
        suit_attention(step, self.device, self.precision)
        self.scaler = GradScaler(self.device.type, enabled=self.precision == "fp16")
        self.steps_per_epoch = len(data) // settings.batch_size
        self.standing = self._taken_up()
        self.network = self._distributed()
        self.finite = FiniteCheck(data, settings, seed, checkpoint.path, description)
        self._sums: Watched = {}
        self._stop = StopRequest()
        self._saved_at = time.monotonic()

    def run(self) -> list[dict[str, float]]:
        """Train to the end (or the early stop) and return the history, one row an epoch.

        Raises:
            StoppedBySignal: after saving, when a signal asked to stop.
            UserError: when the loss is no longer finite.
        """
        with self._stop:
            while self.open:
                self._run_epoch()
        self.journal.close()
        return self.standing.history

    @property
    def open(self) -> bool:
        """Whether there is something left to train."""
        return self.standing.epoch < self.settings.epochs and not self._converged()

    def _run_epoch(self) -> None:
        standing, settings = self.standing, self.settings
        batches = self.data.batches(self.share, self.seed, standing.epoch, standing.step)
        label = f"{self.description}: epoch {standing.epoch + 1} of {settings.epochs}"
        self.begin()
        start = time.monotonic()  # reading the batch counts too
        for batch in progress(batches, label, self.steps_per_epoch - standing.step):
            self.optimise(batch.to(self.device))
            standing.step += 1
            standing.seconds += time.monotonic() - start
            self._save_if_due()
            start = time.monotonic()
        self.close_epoch()

    def begin(self) -> None:
        """Before the first step of an epoch, or of what is left of one."""
        self._sums = {name: self._scalar(value) for name, value in self.standing.sums.items()}
        self.step.train()

    def look(self, batch: Batch) -> list[Sight]:
        """Views and masks of each part of a step's batch."""
        parts = batch.split(self.settings.accumulate)
        with autocast(self.device, self.precision):
            return [
                self.step.look(part, generator(self.device, self.seed, "views", *self._address(number)))
                for number, part in enumerate(parts)
            ]

    def optimise(self, batch: Batch, sights: Sequence[Sight] | None = None) -> None:
        """One optimiser step. Nothing here waits for the GPU but `finite`, and that for the step before.

        Args:
            batch: its images.
            sights: what `look` made of it, where another run of the same seed and views has looked already.
        """
        epoch, step = self.standing.epoch, self.standing.step
        if isinstance(self.settings, FollowingSettings):
            self.step.follow(target_momentum(self.settings, epoch, step, self.steps_per_epoch))
        rate = learning_rate(self.settings, epoch, step, self.steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        parts = batch.split(self.settings.accumulate)
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            with self._synchronised(last):
                sight = None if sights is None else sights[number]
                self._count(self._backward(part, number, sight), 1 / len(parts))
        self.scaler.unscale_(self.optimizer)
        self.step.after_backward(epoch)
        self._count_gradient(self._clipped_norm())
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def _backward(self, batch: Batch, part: int, sight: Sight | None) -> Watched:
        epoch, step = self.standing.place
        address = self._address(part)
        torch.manual_seed(derived_seed(self.seed, "dropout", *address))  # what a backbone's own dropout draws from
        with autocast(self.device, self.precision):
            if sight is None:
                result: Watched = self.network(batch, generator(self.device, self.seed, "views", *address), epoch)
            else:
                result = self.step.judge(batch, sight, epoch)
        self.finite.watch(result["loss"], epoch, step)
        self.scaler.scale(result["loss"] / self.settings.accumulate).backward()
        return result

    def _address(self, part: int) -> tuple[int, ...]:
        """Of the random draws of a part of the step that is next."""
        return self.standing.place if self.settings.accumulate == 1 else (*self.standing.place, part)

    def _clipped_norm(self) -> Tensor:
        """Norm of the gradient before clipping."""
        gradients = [p.grad for p in self.step.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if self.settings.clip_gradient > 0:
            torch.nn.utils.clip_grads_with_norm_(self.step.parameters(), self.settings.clip_gradient, norm)
        return norm

    def _count_gradient(self, norm: Tensor) -> None:
        # under fp16 an overflow is skipped by the gradient scaler, and counted
        finite = norm.isfinite()
        self._count({"gradient_norm": norm.where(finite, 0.0), "skipped_steps": (~finite).float()}, 1.0)

    def _count(self, values: Watched, weight: float) -> None:
        """Add to the epoch's sums, which stay on the device until a checkpoint or the epoch's end needs them."""
        for name, value in values.items():
            before = self._sums.get(name)
            added = value.detach().double() * weight
            self._sums[name] = added if before is None else before + added

    def close_epoch(self) -> None:
        """After an epoch's last step: its row of the history, and a checkpoint."""
        standing = self.standing
        self.finite.settle()
        self._settle_sums()
        means = {name: total / self.steps_per_epoch for name, total in standing.sums.items()}
        means["skipped_steps"] *= self.steps_per_epoch
        row = {
            "epoch": standing.epoch + 1,
            "step": (standing.epoch + 1) * self.steps_per_epoch,
            **means,
            **({"entropy_bound": math.log(self.step.answers)} if self.step.answers else {}),
            **monitored(self.step.kept_encoder, self.data.store, self.data.positions, self.device),
            "learning_rate": learning_rate(
                self.settings, standing.epoch, self.steps_per_epoch - 1, self.steps_per_epoch
            ),
            "images_per_second": self.steps_per_epoch * self.settings.batch_size / max(standing.seconds, 1e-9),
        }
        standing.history.append(row)
        self.journal.epoch(row)
        self._report(row)
        standing.epoch, standing.step, standing.sums, standing.seconds = standing.epoch + 1, 0, {}, 0.0
        self._save()
        if self._converged():
            logger.info("%s: stopped early after epoch %d", self.description, standing.epoch)

    def _settle_sums(self) -> None:
        """Bring the epoch's sums home, the mean over the processes: one wait for all of them."""
        names = sorted(self._sums)
        values = self.world.mean(torch.stack([self._sums[name] for name in names])).tolist() if names else []
        self.standing.sums = dict(zip(names, values, strict=True))

    def _report(self, row: dict[str, float]) -> None:
        of_all = row["epoch"], self.settings.epochs, epoch_line(row)
        logger.info("%s: epoch %d of %d: %s", self.description, *of_all)
        width = self.step.kept_encoder.embed_dim
        if warning := collapse_warning(self.settings, row.get("used_prototypes"), row["rankme"], width):
            logger.warning("warning: %s", warning)

    def _converged(self) -> bool:
        warmup = math.ceil(self.settings.warmup_epochs)  # patience starts after it
        losses = [row["loss"] for row in self.standing.history[warmup:]]
        return stops_early(losses, self.settings.early_stop_patience, self.settings.early_stop_min_delta)

    def _distributed(self) -> torch.nn.Module:
        if self.world.size == 1:
            return self.step
        # Every process computes on the whole batch behind the encoder, so buffers are equal without being sent.
        return DistributedDataParallel(self.step, broadcast_buffers=False)

    def _synchronised(self, last: bool) -> AbstractContextManager[None]:
        """Gradients travel between processes with the last part of a step only."""
        if last or not isinstance(self.network, DistributedDataParallel):
            return nullcontext()
        waits: AbstractContextManager[None] = self.network.no_sync()
        return waits

    def _scalar(self, value: float) -> Tensor:
        return torch.tensor(value, dtype=torch.float64, device=self.device)

    def _taken_up(self) -> Standing:
        """The saved standing, with model and optimiser as they were; a fresh one when nothing was saved."""
        saved = load_checkpoint(self.checkpoint.path, self.checkpoint.fingerprint)
        if saved is None:
            return Standing()
        self.step.load_state_dict(saved.part("model."))
        restore_optimizer(self.optimizer, saved.part("optimizer."))
        standing = Standing(**saved.state)
        if standing.scaler:
            self.scaler.load_state_dict(standing.scaler)
        logger.info("%s: goes on at epoch %d, step %d", self.description, standing.epoch + 1, standing.step + 1)
        return standing

    def _save_if_due(self) -> None:
        due = time.monotonic() - self._saved_at >= self.checkpoint.seconds_between
        stop, due = self.world.any(self._stop.made, due, device=self.device)
        if stop or due:
            self.settle_and_save()
        if stop:
            raise StoppedBySignal(self.description)

    def settle(self) -> None:
        """Check the last loss and bring the sums home: where others train on while this run waits.

        Raises:
            UserError: when the loss is not finite.
        """
        self.finite.settle()
        self._settle_sums()

    def settle_and_save(self) -> None:
        """Save a checkpoint in the middle of an epoch; raises as `settle`."""
        self.settle()
        self._save()

    def _save(self) -> None:
        self._saved_at = time.monotonic()
        if not self.world.leads:
            return
        self.standing.scaler = dict(self.scaler.state_dict())
        tensors = module_tensors(self.step, "model.") | optimizer_tensors(self.optimizer, "optimizer.")
        save_checkpoint(self.checkpoint.path, self.checkpoint.fingerprint, tensors, asdict(self.standing))
