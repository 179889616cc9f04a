"""DINO: a student that learns to say what its own moving average says of another view."""

import copy
from dataclasses import dataclass

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from mmsn.models.dino_loss import Centering, DinoLoss, dino_loss, moved_centre
from mmsn.models.gathering import whole_batch, whole_views
from mmsn.models.heads import EhrFusion
from mmsn.models.moving_average import move_towards
from mmsn.models.vit import class_embedding


class DinoHead(nn.Module):
    """D-hidden-hidden-bottleneck, GELU between; L2-normalised; then weights of unit norm to K outputs.

    As lightly 1.4.21's `DINOProjectionHead` without batch norm and with `norm_last_layer`, whose `weight_v` is
    `last_layer.weight` here: its rows are normalised when used, so their length is never learnt.
    """

    def __init__(self, width: int, hidden: int, bottleneck: int, outputs: int, init_std: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Linear(hidden, bottleneck),
        )
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=init_std, a=-2.0, b=2.0)
                nn.init.zeros_(layer.bias)
        self.last_layer = nn.Linear(bottleneck, outputs, bias=False)

    def forward(self, embedding: Tensor) -> Tensor:
        """`[B, D]` -> `[B, K]`."""
        hidden = F.normalize(self.layers(embedding), dim=-1)
        return F.linear(hidden, F.normalize(self.last_layer.weight, dim=1))


@dataclass(frozen=True)
class DinoOptions:
    """The numbers of head and loss; defaults as released, but for heads that start equal."""

    head_hidden: int = 512
    head_bottleneck: int = 256
    head_outputs: int = 1024
    head_init_std: float = 0.2
    same_head_init: bool = True
    student_temperature: float = 0.1
    centering: Centering = "mean"
    centre_momentum: float = 0.9
    sinkhorn_iterations: int = 3


class Dino(nn.Module):
    """DINO (Caron et al. 2021), with the EHR fusion of MSN+EHR between the student's class token and its head.

    The EHR enters where it enters MSN+EHR: in the branch that learns, after its encoder. So the encoder stays one of
    images alone, and the teacher, which sets the targets, never sees a record.

    Args:
        encoder: a timm ViT; the student trains it, the teacher keeps an exponential moving average of it.
        fusion: None, or g (with or without EHR); it exists in the student only.
        options: of head and loss.
    """

    centre: Tensor

    def __init__(self, encoder: VisionTransformer, fusion: EhrFusion | None, options: DinoOptions) -> None:
        super().__init__()
        self.options, self.fusion, self.encoder = options, fusion, encoder
        self.head = self._new_head()
        self.target_encoder = copy.deepcopy(encoder).requires_grad_(False)
        target_head = copy.deepcopy(self.head) if options.same_head_init else self._new_head()
        self.target_head = target_head.requires_grad_(False)
        self.register_buffer("centre", torch.zeros(options.head_outputs))

    def _new_head(self) -> DinoHead:
        chosen = self.options
        return DinoHead(
            self.encoder.embed_dim,
            chosen.head_hidden,
            chosen.head_bottleneck,
            chosen.head_outputs,
            chosen.head_init_std,
        )

    def forward(
        self, global_views: Tensor, local_views: Tensor | None, ehr: Tensor | None, teacher_temperature: float
    ) -> DinoLoss:
        """Loss of one batch.

        Args:
            global_views: `[T, B, 3, S, S]`, seen by both.
            local_views: `[L, B, 3, s, s]`, seen by the student; None when there are none.
            ehr: `[B, n]` or None.
            teacher_temperature: of this epoch.
        """
        images = global_views.shape[1]
        groups = [global_views] if local_views is None else [global_views, local_views]
        embedded = torch.cat(
            [whole_views(class_embedding(self.encoder, views.flatten(0, 1)), images) for views in groups]
        )
        if self.fusion is not None:
            embedded = self.fusion(embedded, None if ehr is None else whole_batch(ehr))
        with torch.no_grad():
            seen = whole_views(class_embedding(self.target_encoder, global_views.flatten(0, 1)), images)
            teacher = self.target_head(seen).unflatten(0, (len(global_views), -1))
        student = self.head(embedded).unflatten(0, (-1, teacher.shape[1]))
        with torch.autocast(student.device.type, enabled=False):
            options = self.options
            result = dino_loss(
                student,
                teacher,
                self.centre,
                options.student_temperature,
                teacher_temperature,
                options.centering,
                options.sinkhorn_iterations,
            )
        if self.training and options.centering == "mean":
            self.centre.copy_(moved_centre(self.centre, teacher, options.centre_momentum))
        return result

    def update_target(self, momentum: float) -> None:
        """Move the teacher towards the student."""
        move_towards(self.target_encoder, self.encoder, momentum)
        move_towards(self.target_head, self.head, momentum)

    def freeze_last_layer(self) -> None:
        """Forget the gradient of the head's last layer."""
        self.head.last_layer.weight.grad = None
