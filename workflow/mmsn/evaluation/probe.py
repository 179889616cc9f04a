"""One linear head with its own optimiser, schedule, early stop and best epoch."""

import math
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor, nn

from mmsn.checkpoint import Checkpoint, Tensors, module_tensors, optimizer_tensors, restore_optimizer
from mmsn.evaluation.settings import LinearSettings, ProbeRun
from mmsn.models.supervised import masked_bce
from mmsn.randomness import derived_seed

_COUNTED: Final = ("best_auroc", "best_epoch", "epochs", "stopped", "reference", "waited")


@dataclass
class Probe:
    """A linear head `[D] -> [L]` in training; it stops by itself and remembers its best epoch."""

    run: ProbeRun
    settings: LinearSettings
    width: int
    labels: int
    seed: int
    device: torch.device
    best_auroc: float = -math.inf
    best_epoch: int = 0
    epochs: int = 0
    stopped: bool = False
    reference: float = -math.inf
    """AUROC that the next epochs have to beat by min_delta; it moves only when one does."""
    waited: int = 0
    _best: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # the same first weights whether a run is trained alone or beside others
        torch.manual_seed(derived_seed(self.seed, "probe", self.run.id))
        self.head = nn.Linear(self.width, self.labels).to(self.device)
        self.optimizer = torch.optim.Adam(self.head.parameters(), lr=self.run.learning_rate, weight_decay=0.0)
        self.cosine = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, T_max=self.settings.max_epochs)
        self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self.optimizer,
            mode="max",
            factor=self.settings.plateau_factor,
            patience=self.settings.plateau_patience,
        )

    def learn(self, features: Tensor, targets: Tensor) -> None:
        """One Adam step on features `[B, D]` and targets `[B, L]`."""
        loss = masked_bce(self.head(features), targets)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    def close_epoch(self, auroc: float) -> None:
        """Step the schedule, keep the weights if `auroc` on validation is the best, stop if it has not risen."""
        self.epochs += 1
        improved = auroc > self.reference + self.settings.min_delta
        if auroc > self.best_auroc:
            self.best_auroc, self.best_epoch = auroc, self.epochs
            self._best = {name: value.detach().clone() for name, value in self.head.state_dict().items()}
        self.reference, self.waited = (auroc, 0) if improved else (self.reference, self.waited + 1)
        if self.run.schedule == "plateau":
            self.plateau.step(auroc)
        else:
            self.cosine.step()
            self.stopped = self.waited >= self.settings.patience

    @torch.no_grad()
    def scores(self, features: Tensor) -> Tensor:
        """Probabilities `[N, L]` for `[N, D]` with the weights as they are now."""
        return torch.sigmoid(self.head(features))

    def tensors(self) -> Tensors:
        """Weights, best weights and optimiser state, for a checkpoint."""
        best = {f"best.{name}": value for name, value in self._best.items()}
        return module_tensors(self.head, "head.") | best | optimizer_tensors(self.optimizer, "optimizer.")

    def standing(self) -> dict[str, Any]:
        """Everything else of a checkpoint, as JSON."""
        schedules = {"cosine": self.cosine.state_dict(), "plateau": self.plateau.state_dict()}
        rates = [group["lr"] for group in self.optimizer.param_groups]
        return {**{name: getattr(self, name) for name in _COUNTED}, **schedules, "learning_rates": rates}

    def restore(self, saved: Checkpoint, standing: dict[str, Any]) -> None:
        """Go back to a checkpoint's epoch."""
        self.head.load_state_dict(saved.part("head."))
        self._best = saved.part("best.")
        restore_optimizer(self.optimizer, saved.part("optimizer."))
        for name in _COUNTED:
            setattr(self, name, standing[name])
        self.cosine.load_state_dict(standing["cosine"])
        self.plateau.load_state_dict(standing["plateau"])
        for group, rate in zip(self.optimizer.param_groups, standing["learning_rates"], strict=True):
            group["lr"] = rate

    def restore_best(self) -> None:
        """Go back to the weights of the best epoch."""
        self.head.load_state_dict(self._best)
