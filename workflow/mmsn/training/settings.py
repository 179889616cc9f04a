"""What a pretraining run depends on: every row of SPEC 3's table is one key."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator

from mmsn.images.settings import EvalViewSettings, ViewSettings
from mmsn.methods import Method
from mmsn.settings import Section

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
FromZero = Annotated[int, Field(ge=0)]
Precision = Literal["fp16", "bf16", "fp32"]


class ImagenetWeights(Section):
    """Where a backbone's ImageNet weights come from, for the methods `imagenet` and `supervised-imagenet`."""

    weights: str
    """`timm`: timm's `pretrained=True`, which downloads them once; or a local safetensors file in timm's names."""
    architecture: str | None = None
    """timm model name where it is another one than the backbone's, for example with a pretraining tag."""
    options: dict[str, int | float | bool] = Field(default_factory=dict)
    """Arguments of `timm.create_model` in place of the backbone's: timm's ViT-T has three heads, the paper's six, and
    weights trained with three mean nothing with six."""


class BackboneSettings(Section):
    """A timm vision transformer."""

    title: str
    """Name in tables and figures."""
    architecture: str
    """timm model name."""
    options: dict[str, int | float | bool] = Field(default_factory=dict)
    """Arguments that `timm.create_model` takes beside the name."""
    imagenet: ImagenetWeights | None = None
    """ImageNet weights, where a method asks for them; nothing is downloaded unless this says `timm`."""


class TrainingSettings(Section):
    """What every method's training depends on."""

    rows: Literal["train", "all"]
    """`train`: images of the training split. `all`: as released, validation and test images included."""
    initialisation: Literal["timm", "torchvision"]
    """How an encoder's first weights are drawn. `torchvision`: as released (lightly 1.4.21 builds on torchvision's
    ViT), with scales of fan-in and fan-out. `timm`: truncated normal of standard deviation .02."""
    ehr_width: Count
    """Width of v_ehr = Linear(n, width), concatenated to the class token before g = Linear(D + width, D)."""
    batch_size: Count
    """Images a step, over all processes."""
    accumulate: Count
    """Split a step's images into this many parts, one after the other, to save memory. BatchNorm, Sinkhorn and the
    mean-entropy term then see one part at a time."""
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
    early_stop_patience: FromZero
    """Stop after this many epochs without a lower mean training loss; 0 never stops early."""
    early_stop_min_delta: Annotated[float, Field(ge=0)]
    """What counts as lower."""
    precision: Precision
    """Autocast type of forward passes; the loss is always float32. A CPU follows `bf16` where it has matrix tiles for
    it (Intel's AMX), and computes in float32 otherwise."""
    compile: bool
    """Compile the transformer blocks with torch.compile: faster on a GPU after a minute or two; results differ in the
    last bits."""

    @model_validator(mode="after")
    def _parts_are_whole(self) -> "TrainingSettings":
        if self.batch_size % self.accumulate:
            raise ValueError(f"batch_size {self.batch_size} cannot be split into {self.accumulate} equal parts")
        return self


class FollowingSettings(TrainingSettings):
    """Methods with a target (teacher) that follows as a moving average."""

    ema_momentum: Share
    """Momentum of the target at the first step; the update comes before the forward pass."""
    ema_momentum_end: Share
    """Momentum at the end, reached on a cosine."""
    ema_period_epochs: FromZero
    """0: the cosine runs over the whole training, step by step. Otherwise it is taken epoch by epoch over this many
    epochs and swings back afterwards: the released DINO has 10 of 100."""


class PretrainSettings(FollowingSettings):
    """MSN, vanilla and multi-modal; the presets in `mmsn.presets` give each key a value."""

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
    positives: Literal["same-image", "same-study"]
    """What the target view is cut from: the anchor's own image, or where the study has several, another of them."""
    embedding: Literal["class", "class+mean"]
    """What g and h receive: the class token `[D]`, or class token and mean patch token side by side `[2D]`."""
    projection_width: Count
    """Hidden width of the projection head h, as a multiple of the encoder's width D."""
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
    sinkhorn_iterations: FromZero
    """Sinkhorn normalisation rounds of the targets; 0 leaves it out."""
    target_queue: FromZero
    """Targets of past batches that Sinkhorn sees beside the batch's own, so that there are at least as many targets as
    prototypes; 0 has none."""
    prior: Literal["uniform", "power-law"]
    """What the mean anchor prediction is drawn to: the uniform distribution (mean-entropy maximisation, MSN), or
    p_k ~ k^-power_law_exponent (PMSN, for classes of unequal size)."""
    power_law_exponent: Annotated[float, Field(ge=0)]
    """Exponent of the power-law prior."""
    mean_entropy_weight: Annotated[float, Field(ge=0)]
    """Weight lambda of the mean-entropy maximisation, or of the power-law prior."""


class DinoSettings(FollowingSettings):
    """DINO: student and teacher on two global and ten local views."""

    views: ViewSettings
    """The target and the random view are the two global ones, the focal views the local ones."""
    head_hidden: Count
    """Width of the head's two hidden layers."""
    head_bottleneck: Count
    """Width before the weight-normalised last layer."""
    head_outputs: Count
    """Outputs of the last layer."""
    head_init_std: Positive
    """Standard deviation of the head's truncated-normal weights: lightly 1.4.21 has .2, facebookresearch/dino .02."""
    same_head_init: bool
    """True: the teacher's head starts as a copy of the student's. False: as released, with weights of its own."""
    student_temperature: Positive
    """Softmax temperature of the student."""
    teacher_temperature: Positive
    """Softmax temperature of the teacher after the warm-up."""
    teacher_temperature_start: Positive
    """Softmax temperature of the teacher in the first epoch."""
    teacher_warmup_epochs: FromZero
    """Epochs over which the teacher's temperature moves linearly from start to end."""
    centering: Literal["mean", "sinkhorn"]
    """What keeps the teacher from saying the same of every image. `mean`: its moving mean output is subtracted (DINO,
    Caron et al. 2021). `sinkhorn`: Sinkhorn-Knopp gives all outputs equal shares of the batch's global views (DINOv2,
    Oquab et al. 2023); more outputs than views then flatten every target."""
    centre_momentum: Share
    """Momentum of the teacher's centre, under `centering: mean`."""
    sinkhorn_iterations: Count
    """Rounds of normalisation under `centering: sinkhorn`; DINOv2 has 3."""
    frozen_last_layer_epochs: FromZero
    """Epochs in which the head's last layer gets no gradient."""
    kept: Literal["teacher", "student"]
    """Which encoder is evaluated; the released code evaluates the student."""


class MaeSettings(TrainingSettings):
    """MAE: reconstruct the pixels of masked patches."""

    views: ViewSettings
    """One crop an image, the target view; random and focal views are not used."""
    mask_ratio: Annotated[float, Field(gt=0, lt=1)]
    """Share of tokens masked."""
    class_token_aware: bool
    """True: the share is taken of the patches (78 of 196 kept). False: as released, the class token is counted as one
    of N + 1 tokens (77 of 196 patches kept)."""
    decoder_depth: Count
    """Transformer blocks of the decoder."""
    decoder_width: Count
    """Width of the decoder."""
    decoder_heads: Count
    """Attention heads of the decoder."""
    normalise_targets: bool
    """Normalise each patch's pixels before the error is taken (He et al. 2022); the paper uses raw pixels."""


class SupervisedSettings(TrainingSettings):
    """Supervised training on the 14 labels, in the loop of the self-supervised methods."""

    views: EvalViewSettings
    """Training views of the evaluation; those of `linear` where nothing else is said."""


SECTIONS: Final[dict[str, type[TrainingSettings]]] = {
    "pretrain": PretrainSettings,
    "dino": DinoSettings,
    "mae": MaeSettings,
    "supervised": SupervisedSettings,
}
"""Sections of the configuration that hold a kind of training. All but the first take the keys of `TrainingSettings`
from it, where neither preset nor configuration says otherwise."""


def section_of(method: Method) -> str:
    """The section of the configuration that a method's training takes its settings from."""
    step = method.step_module.rpartition(".")[2]
    return "pretrain" if step == "msn" else step


def shared_keys(resolved: dict[str, Any]) -> dict[str, Any]:
    """The keys of `pretrain` that the other sections start from."""
    names = {*TrainingSettings.model_fields, "views"}
    return {key: value for key, value in resolved.items() if key in names}
