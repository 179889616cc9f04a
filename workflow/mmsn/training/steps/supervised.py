"""A step of supervised training."""

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from mmsn.images.views import TrainTransform
from mmsn.labels import LABELS
from mmsn.models.heads import EhrFusion
from mmsn.models.supervised import SupervisedNetwork
from mmsn.training.settings import SupervisedSettings
from mmsn.training.steps.base import Batch, PretrainingStep, Watched, watched


class SupervisedStep(PretrainingStep):
    """The evaluation's training views, binary cross entropy on the labels."""

    def __init__(self, encoder: VisionTransformer, settings: SupervisedSettings) -> None:
        super().__init__()
        self.network = SupervisedNetwork(encoder, len(LABELS))
        self.view = TrainTransform(settings.views)

    @property
    def encoder(self) -> VisionTransformer:
        """The only encoder."""
        return self.network.encoder

    def look(self, batch: Batch, draws: torch.Generator) -> Tensor:
        """One view an image."""
        return self.view(batch.pixels, draws, batch.share)

    def judge(self, batch: Batch, sight: Tensor, epoch: int) -> Watched:
        """Loss of a batch.

        Raises:
            ValueError: when the batch comes without labels.
        """
        if batch.targets is None:
            raise ValueError("supervised training needs labels")
        return watched(self.network(sight, batch.targets))


def create(encoder: VisionTransformer, _fusion: EhrFusion | None, settings: SupervisedSettings) -> SupervisedStep:
    """The method of this module; see `create.create_step`."""
    return SupervisedStep(encoder, settings)
