"""What a linear evaluation depends on (SPEC 4)."""

from typing import Literal

from mmsn.images.settings import EvalViewSettings
from mmsn.settings import Section


class ProbeRun(Section):
    """One of the linear protocol's runs: a schedule and a learning rate."""

    schedule: Literal["cosine", "plateau"]
    """`cosine`: CosineAnnealingLR per epoch, stopped early on validation AUROC. `plateau`: ReduceLROnPlateau,
    never stopped early."""
    learning_rate: float
    """Adam's learning rate."""

    @property
    def id(self) -> str:
        """For example `cosine-0.001`."""
        return f"{self.schedule}-{self.learning_rate:g}"


class LinearSettings(Section):
    """Frozen encoder, class token, one linear layer to 14 sigmoids; the best run on validation is tested."""

    runs: tuple[ProbeRun, ...]
    """The runs; they share every augmented forward pass of the encoder."""
    max_epochs: int = 50
    """Epochs at most."""
    batch_size: int = 64
    """Images a step."""
    patience: int = 5
    """Cosine runs stop after this many epochs without a better validation AUROC."""
    min_delta: float = 1e-4
    """What counts as better."""
    plateau_factor: float = 0.5
    """ReduceLROnPlateau: the learning rate is multiplied by this."""
    plateau_patience: int = 3
    """ReduceLROnPlateau: epochs without improvement before it does."""
    views: EvalViewSettings = EvalViewSettings()
    """Augmentation while training the head; resize and centre crop while testing."""
