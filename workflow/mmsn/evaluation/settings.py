"""What a linear evaluation depends on (SPEC 4)."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mmsn.images.settings import EvalViewSettings
from mmsn.settings import Section

Count = Annotated[int, Field(ge=1)]


class ProbeRun(Section):
    """One of the linear protocol's runs: a schedule and a learning rate."""

    schedule: Literal["cosine", "plateau"]
    """`cosine`: CosineAnnealingLR per epoch, stopped early on validation AUROC. `plateau`: ReduceLROnPlateau,
    never stopped early."""
    learning_rate: Annotated[float, Field(gt=0)]
    """Adam's learning rate."""

    @property
    def id(self) -> str:
        """For example `cosine-0.001`."""
        return f"{self.schedule}-{self.learning_rate:g}"


class LinearSettings(Section):
    """Frozen encoder, class token, one linear layer to 14 sigmoids; the best run on validation is tested."""

    runs: Annotated[tuple[ProbeRun, ...], Field(min_length=1)]
    """The runs; they share every augmented forward pass of the encoder."""
    max_epochs: Count = 50
    """Epochs at most."""
    batch_size: Count = 64
    """Images a step."""
    patience: Count = 5
    """Cosine runs stop after this many epochs without a better validation AUROC."""
    min_delta: Annotated[float, Field(ge=0)] = 1e-4
    """What counts as better."""
    plateau_factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """ReduceLROnPlateau: the learning rate is multiplied by this."""
    plateau_patience: Annotated[int, Field(ge=0)] = 3
    """ReduceLROnPlateau: epochs without improvement before it does."""
    views: EvalViewSettings = EvalViewSettings()
    """Augmentation while training the head; resize and centre crop while testing."""

    @model_validator(mode="after")
    def _runs_differ(self) -> "LinearSettings":
        if len({run.id for run in self.runs}) < len(self.runs):
            raise ValueError("two runs have the same schedule and learning rate")
        return self
