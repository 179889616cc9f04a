"""What evaluations depend on: linear, fine-tuned, and both on part of the training images (SPEC 4)."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, field_validator, model_validator

from mmsn.images.settings import EvalViewSettings
from mmsn.settings import Section

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
Unit = Literal["patient", "image"]
EvaluationProtocol = Literal["linear", "finetune"]
MethodChoice: TypeAlias = Literal["published", "all"] | tuple[str, ...]
Tokens = Literal["class", "class+mean", "attentive"]


class ProbeRun(Section):
    """One of a protocol's runs: a schedule and a learning rate."""

    schedule: Literal["cosine", "plateau"]
    """`cosine`: CosineAnnealingLR per epoch, stopped early on validation AUROC. `plateau`: ReduceLROnPlateau,
    never stopped early."""
    learning_rate: Annotated[float, Field(gt=0)]
    """Adam's learning rate."""

    @property
    def id(self) -> str:
        """For example `cosine-0.001`."""
        return f"{self.schedule}-{self.learning_rate:g}"


class ProtocolSettings(Section):
    """What the linear protocol and fine-tuning have in common; the best run on validation is tested."""

    runs: Annotated[tuple[ProbeRun, ...], Field(min_length=1)]
    """The runs. Of the linear protocol they share every augmented forward pass of the encoder."""
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
    """Augmentation while training; resize and centre crop while testing."""

    @model_validator(mode="after")
    def _runs_differ(self) -> "ProtocolSettings":
        if len({run.id for run in self.runs}) < len(self.runs):
            raise ValueError("two runs have the same schedule and learning rate")
        return self


class LinearSettings(ProtocolSettings):
    """Frozen encoder, class token, one linear layer to 14 sigmoids; the best run on validation is tested."""

    bank: Annotated[int, Field(ge=0)] = 0
    """Augmentations of each training image that are embedded once and drawn from in every epoch, in place of new ones;
    0 is exact. Other images are not seen less often, only less varied; `readings.bank` reports what that costs."""


class FinetuneSettings(ProtocolSettings):
    """The same with the encoder trained too. What is not said here is taken from `linear`: the paper's five runs."""

    methods: MethodChoice = "published"
    """Which of `runs.methods` are fine-tuned. `published`: those that the paper fine-tunes (MSN, MSN+EHR, DINO, MAE).
    `all`; or a list, written as in `runs.methods`; [] for none."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Each block's learning rate as a multiple of that of the block above it; the head has the whole. 1: the same for
    all, as published."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Autocast type of forward passes. A CPU follows `bf16` where it has matrix tiles for it."""


class Subset(Section):
    """Part of the training images: a share and the number of its draw."""

    share: Share
    """Of the labelled training images."""
    draw: Annotated[int, Field(ge=0)]
    """Which of the random subsets; it is also their seed, so every model is trained on the same ones."""
    by: Unit = "patient"
    """`patient`: whole patients are drawn until the share of images is reached. `image`: single images."""


class LowDataSettings(Section):
    """Evaluation with few training images: random subsets, each with the best setting of the whole training split."""

    protocols: tuple[EvaluationProtocol, ...] = ("finetune",)
    """`finetune` (the paper's), `linear`; [] for none. Only what is fine-tuned on all images is fine-tuned on few."""
    methods: MethodChoice = "published"
    """Which methods of each protocol, chosen as in `finetune.methods`."""
    shares: Annotated[tuple[Share, ...], Field(min_length=1)] = (0.01, 0.05, 0.1)
    """Shares of the training images. Of one draw, a smaller share lies inside every larger one."""
    draws: Count = 5
    """Random subsets of each share."""
    by: Unit = "patient"
    """`patient`: whole patients are drawn until the share of images is reached. `image`: single images, the paper's
    way, which leaves other images of a subset's patients out."""

    @field_validator("protocols", "shares")
    @classmethod
    def _once_each(cls, values: tuple[object, ...]) -> tuple[object, ...]:
        if len(set(values)) < len(values):
            raise ValueError(f"{list(values)} names one twice")
        return values


class ReadingsSettings(Section):
    """Linear heads that read more than the class token: reported beside its numbers, never instead."""

    methods: MethodChoice = "all"
    """Encoders that have them, chosen as in `finetune.methods`; [] for none."""
    tokens: tuple[Literal["class+mean", "attentive"], ...] = ("class+mean", "attentive")
    """`class+mean`: the class token beside the mean of the patches' tokens. `attentive`: a query, trained with the
    head, that gathers from all tokens."""
    bank: Annotated[int, Field(ge=0)] = 0
    """Train the protocol's own heads a second time on this many cached augmentations an image (`linear.bank`), to see
    what the cache costs in AUROC; 0: not."""


class EhrAtEvaluationSettings(Section):
    """The encoded EHR beside the image's embedding when labels are predicted, and alone as the floor.

    An encoder pretrained without a record is judged with every feature set, one pretrained with a set with that set.
    """

    feature_sets: Literal["all"] | tuple[str, ...] = "all"
    """Names from `feature_sets`; [] for none of this."""
    linear: Literal["msn"] | MethodChoice = "msn"
    """Encoders judged by linear heads; all sets of an encoder share every forward pass. `msn`: MSN with and without
    EHR, as far as the study has them; else chosen as in `finetune.methods`."""
    finetune: MethodChoice = ()
    """Encoders that are fine-tuned, once a feature set: thirteen full fine-tunings a backbone and encoder, so none by
    default."""
