"""Where a run stands, and where and how often it saves itself."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Standing:
    """Where a run stands; JSON, so that a checkpoint can hold it."""

    epoch: int = 0
    step: int = 0
    """Steps done in this epoch."""
    sums: dict[str, float] = field(default_factory=dict)
    """Sums over this epoch's steps of what the history averages."""
    seconds: float = 0.0
    """Training time of this epoch so far; of several runs in one process each has its equal part."""
    history: list[dict[str, float]] = field(default_factory=list)
    scaler: dict[str, Any] = field(default_factory=dict)
    together: int = 1
    """Most runs that one process trained at once, this one among them."""

    @property
    def place(self) -> tuple[int, int]:
        """Epoch and step."""
        return self.epoch, self.step


@dataclass(frozen=True)
class CheckpointPolicy:
    """Where and how often a run saves itself."""

    path: Path
    fingerprint: str
    seconds_between: float
