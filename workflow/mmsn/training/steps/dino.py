"""A step of DINO."""

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from mmsn.images.views import PretrainViews
from mmsn.models.dino import Dino, DinoOptions
from mmsn.models.heads import EhrFusion
from mmsn.training.settings import DinoSettings
from mmsn.training.steps.base import Batch, PretrainingStep, Watched, watched


class DinoStep(PretrainingStep):
    """Target and random views are the global ones, focal views the local ones; nothing is masked."""

    def __init__(self, encoder: VisionTransformer, fusion: EhrFusion | None, settings: DinoSettings) -> None:
        super().__init__()
        options = DinoOptions(
            head_hidden=settings.head_hidden,
            head_bottleneck=settings.head_bottleneck,
            head_outputs=settings.head_outputs,
            head_init_std=settings.head_init_std,
            same_head_init=settings.same_head_init,
            student_temperature=settings.student_temperature,
            centering=settings.centering,
            centre_momentum=settings.centre_momentum,
            sinkhorn_iterations=settings.sinkhorn_iterations,
        )
        self.network = Dino(encoder, fusion, options)
        self.settings = settings
        self.views = PretrainViews(settings.views)

    @property
    def encoder(self) -> VisionTransformer:
        """The student."""
        return self.network.encoder

    @property
    def kept_encoder(self) -> VisionTransformer:
        """The teacher, or the student as released."""
        return self.network.target_encoder if self.settings.kept == "teacher" else self.network.encoder

    @property
    def answers(self) -> int:
        """Outputs of the head."""
        return self.settings.head_outputs

    def look(self, batch: Batch, draws: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Global and local views, `[V, B, 3, S, S]`."""
        views = self.views(batch.pixels, draws, batch.share)
        shape = (-1, len(batch.pixels))
        global_views = torch.cat([views.target, views.random]).unflatten(0, shape)
        return global_views, views.focal.unflatten(0, shape) if len(views.focal) else None

    def judge(self, batch: Batch, sight: tuple[Tensor, Tensor | None], epoch: int) -> Watched:
        """Loss of a batch."""
        return watched(self.network(*sight, batch.ehr, self.teacher_temperature(epoch)))

    def teacher_temperature(self, epoch: int) -> float:
        """Temperature of epoch `epoch` (from 0): linear from start to end over the warm-up, as lightly 1.4.21."""
        chosen = self.settings
        if epoch >= chosen.teacher_warmup_epochs:
            return chosen.teacher_temperature
        progress = epoch / max(1, chosen.teacher_warmup_epochs - 1)
        return chosen.teacher_temperature_start + progress * (
            chosen.teacher_temperature - chosen.teacher_temperature_start
        )

    def follow(self, momentum: float) -> None:
        """Move the teacher."""
        self.network.update_target(momentum)

    def after_backward(self, epoch: int) -> None:
        """Keep the head's last layer as it is in the first epochs."""
        if epoch < self.settings.frozen_last_layer_epochs:
            self.network.freeze_last_layer()


def create(encoder: VisionTransformer, fusion: EhrFusion | None, settings: DinoSettings) -> DinoStep:
    """The method of this module; see `create.create_step`."""
    return DinoStep(encoder, fusion, settings)
