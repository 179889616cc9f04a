"""One run of a protocol: what is trained, with its own optimiser, schedule, early stop and best epoch."""

import math
from dataclasses import dataclass
from typing import Any, Final

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau

from mmsn.checkpoint import Checkpoint, Tensors, module_tensors, optimizer_tensors, restore_optimizer
from mmsn.evaluation.settings import ProbeRun, ProtocolSettings

_COUNTED: Final = ("best_auroc", "best_epoch", "epochs", "stopped", "reference", "waited")


@dataclass(frozen=True)
class RunRecord:
    """How a run went."""

    run: ProbeRun
    epochs: int
    best_epoch: int
    best_auroc: float
    """On validation; -inf when no epoch gave finite scores."""


class Trial:
    """A module in training; it stops by itself and remembers its best epoch.

    Args:
        run: schedule and learning rate.
        settings: of the protocol.
        module: what is trained.
        optimizer: of its parameters; the schedules scale the rate of each group alike.
    """

    def __init__(self, run: ProbeRun, settings: ProtocolSettings, module: nn.Module, optimizer: Optimizer) -> None:
        self.run, self.settings, self.module, self.optimizer = run, settings, module, optimizer
        self.best_auroc, self.best_epoch = -math.inf, 0
        self.epochs, self.stopped = 0, False
        # AUROC that the next epochs have to beat by min_delta; it moves only when one does
        self.reference, self.waited = -math.inf, 0
        self.best: dict[str, Tensor] = {}
        self.cosine = CosineAnnealingLR(optimizer, T_max=settings.max_epochs)
        self.plateau = ReduceLROnPlateau(
            optimizer, mode="max", factor=settings.plateau_factor, patience=settings.plateau_patience
        )

    @property
    def record(self) -> RunRecord:
        """How it has gone so far."""
        return RunRecord(self.run, self.epochs, self.best_epoch, self.best_auroc)

    def close_epoch(self, auroc: float) -> None:
        """Step the schedule, keep the weights if `auroc` on validation is the best, stop if it has not risen."""
        self.epochs += 1
        improved = auroc > self.reference + self.settings.min_delta
        if auroc > self.best_auroc:
            self.best_auroc, self.best_epoch = auroc, self.epochs
            self.best = {name: value.detach().clone() for name, value in self.module.state_dict().items()}
        self.reference, self.waited = (auroc, 0) if improved else (self.reference, self.waited + 1)
        if self.run.schedule == "plateau":
            self.plateau.step(auroc)
        else:
            self.cosine.step()
            self.stopped = self.waited >= self.settings.patience

    def tensors(self) -> Tensors:
        """Weights, best weights and optimiser state, for a checkpoint."""
        best = {f"best.{name}": value for name, value in self.best.items()}
        return module_tensors(self.module, "module.") | best | optimizer_tensors(self.optimizer, "optimizer.")

    def standing(self) -> dict[str, Any]:
        """Everything else of a checkpoint, as JSON."""
        schedules = {"cosine": self.cosine.state_dict(), "plateau": self.plateau.state_dict()}
        rates = [group["lr"] for group in self.optimizer.param_groups]
        return {**{name: getattr(self, name) for name in _COUNTED}, **schedules, "learning_rates": rates}

    def restore(self, saved: Checkpoint, standing: dict[str, Any]) -> None:
        """Go back to where a checkpoint was taken."""
        self.module.load_state_dict(saved.part("module."))
        self.best = saved.part("best.")
        restore_optimizer(self.optimizer, saved.part("optimizer."))
        for name in _COUNTED:
            setattr(self, name, standing[name])
        self.cosine.load_state_dict(standing["cosine"])
        self.plateau.load_state_dict(standing["plateau"])
        for group, rate in zip(self.optimizer.param_groups, standing["learning_rates"], strict=True):
            group["lr"] = rate

    def restore_best(self) -> None:
        """Go back to the weights of the best epoch."""
        self.module.load_state_dict(self.best)
