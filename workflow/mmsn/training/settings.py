"""What a pretraining run depends on: every row of SPEC 3's table is one key."""

from typing import Annotated, Literal

from pydantic import Field

from mmsn.images.settings import ViewSettings
from mmsn.settings import Section

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class BackboneSettings(Section):
    """A timm vision transformer."""

    title: str
    """Name in tables and figures."""
    architecture: str
    """timm model name."""
    options: dict[str, int | float | bool] = Field(default_factory=dict)
    """Arguments that `timm.create_model` takes beside the name."""


class PretrainSettings(Section):
    """A pretraining run; the presets in `mmsn.presets` give each key a value."""

    rows: Literal["train", "all"]
    """`train`: images of the training split. `all`: as released, validation and test images included."""
    views: ViewSettings
    """Crops of an image: one target view, random views, focal views."""
    mask_ratio: Annotated[float, Field(ge=0, lt=1)]
    """Share of patches dropped from an anchor view."""
    mask_random: bool
    """Drop patches from the random views."""
    mask_focal: bool
    """Drop patches from the focal views."""
    class_token_aware: bool
    """True: the share is taken of the patches. False: as released, the class token is counted as one of N tokens
    and so the last patch is never kept (165 of 196 kept, 29 of 36)."""
    projection_width: Count
    """Hidden width of the projection head h, as a multiple of the encoder's width D."""
    ehr_width: Count
    """Width of v_ehr = Linear(n, width), concatenated to the class token before g = Linear(D + width, D)."""
    separate_projection: bool
    """Vanilla MSN only. True: as released, random and focal anchors pass through h apart, so its BatchNorm sees two
    groups. False: together, as MSN+EHR does."""
    prototypes: Count
    """Number of prototypes."""
    trainable_prototypes: bool
    """False: as released, where `.data` was handed to the loss and the prototypes never moved."""
    temperature: Positive
    """Softmax temperature tau of anchors and targets."""
    target_sharpening: Positive
    """Target probabilities are raised to 1/T and normalised; 1 leaves them alone."""
    sinkhorn_iterations: Annotated[int, Field(ge=0)]
    """Sinkhorn normalisation rounds of the targets; 0 leaves it out."""
    mean_entropy_weight: Annotated[float, Field(ge=0)]
    """Weight lambda of the mean-entropy maximisation."""
    ema_momentum: Share
    """Momentum of the target encoder at the first step; the update comes before the forward pass."""
    ema_momentum_end: Share
    """Momentum at the last step, reached on a cosine."""
    batch_size: Count
    """Images a step."""
    epochs: Count
    """Passes over the pretraining images."""
    learning_rate: Positive
    """AdamW's peak learning rate."""
    weight_decay: Annotated[float, Field(ge=0)]
    """AdamW's weight decay."""
    decay_exclusions: bool
    """True: biases, norms, positions, class token and prototypes do not decay."""
    schedule: Literal["cosine-per-epoch", "cosine-per-step"]
    """Learning rate to 0 on a cosine, stepped after each epoch (as released) or each optimiser step."""
    warmup_epochs: Annotated[float, Field(ge=0)]
    """Linear warm-up of a per-step schedule."""
    clip_gradient: Annotated[float, Field(ge=0)]
    """Largest gradient norm; 0 leaves gradients alone."""
    early_stop_patience: Annotated[int, Field(ge=0)]
    """Stop after this many epochs without a lower mean training loss; 0 never stops early."""
    early_stop_min_delta: Annotated[float, Field(ge=0)]
    """What counts as lower."""
    precision: Literal["fp16", "bf16", "fp32"]
    """Autocast type of forward passes on a GPU; the loss is always float32, and a CPU computes in float32."""
