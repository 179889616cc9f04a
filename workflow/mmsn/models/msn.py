"""Masked Siamese network, vanilla and multi-modal: an anchor that learns, a target that follows."""

import copy
from dataclasses import dataclass

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from mmsn.models.heads import EhrFusion, projection_head
from mmsn.models.msn_loss import MsnLoss, msn_loss
from mmsn.models.vit import class_embedding


@dataclass(frozen=True)
class AnchorViews:
    """Views of one size that the anchor sees: `images` `[V * B, 3, S, S]`, view-major; `keep` `[V * B, K]` or None."""

    images: Tensor
    keep: Tensor | None


class MaskedSiameseNetwork(nn.Module):
    """MSN (Assran et al. 2022) with the EHR fusion of Shurrab et al. 2024 in the anchor branch.

    Args:
        encoder: a timm ViT; the anchor trains it, the target keeps an exponential moving average of it.
        prototypes: their number K.
        trainable_prototypes: False reproduces the released code, whose prototypes never move.
        projection_width: hidden width of the projection head as a multiple of D.
        fusion: None for vanilla MSN, else g (with or without EHR); it exists in the anchor only.
        separate_projection: pass each group of anchor views through the projection head on its own.
    """

    def __init__(
        self,
        encoder: VisionTransformer,
        prototypes: int,
        trainable_prototypes: bool,
        projection_width: int,
        fusion: EhrFusion | None,
        separate_projection: bool,
    ) -> None:
        super().__init__()
        width = encoder.embed_dim
        self.encoder = encoder
        self.projection = projection_head(width, projection_width * width)
        self.fusion = fusion
        self.separate_projection = separate_projection
        # nn.Linear's initialisation, as the released code and lightly's example draw prototypes
        weight = nn.Linear(width, prototypes, bias=False).weight.detach()
        self.prototypes = nn.Parameter(weight, requires_grad=trainable_prototypes)
        self.target_encoder = copy.deepcopy(encoder).requires_grad_(False)
        self.target_projection = copy.deepcopy(self.projection).requires_grad_(False)

    def forward(
        self,
        target: Tensor,
        anchors: list[AnchorViews],
        ehr: Tensor | None,
        temperature: float = 0.1,
        target_sharpening: float = 0.25,
        sinkhorn_iterations: int = 3,
        mean_entropy_weight: float = 1.0,
    ) -> MsnLoss:
        """Loss of one batch: `target` `[B, 3, S, S]`, anchor views of the same B images, `ehr` `[B, n]` or None."""
        projected_anchors = self.project_anchors(anchors, ehr)
        with torch.no_grad():
            projected_targets = self.target_projection(class_embedding(self.target_encoder, target))
        with torch.autocast(target.device.type, enabled=False):
            return msn_loss(
                projected_anchors,
                projected_targets,
                self.prototypes,
                temperature,
                target_sharpening,
                sinkhorn_iterations,
                mean_entropy_weight,
            )

    def project_anchors(self, anchors: list[AnchorViews], ehr: Tensor | None) -> Tensor:
        """Class token -> fusion -> projection head, all views: `[V * B, D]`, view-major."""
        groups = [class_embedding(self.encoder, views.images, views.keep) for views in anchors]
        if self.separate_projection:
            return torch.cat([self.projection(self._fused(group, ehr)) for group in groups])
        return self.projection(self._fused(torch.cat(groups), ehr))

    def _fused(self, embedding: Tensor, ehr: Tensor | None) -> Tensor:
        return embedding if self.fusion is None else self.fusion(embedding, ehr)

    @torch.no_grad()
    def update_target(self, momentum: float) -> None:
        """Move the target towards the anchor: target <- m * target + (1 - m) * anchor. Buffers stay its own."""
        for target, anchor in (
            (self.target_encoder, self.encoder),
            (self.target_projection, self.projection),
        ):
            torch._foreach_lerp_(list(target.parameters()), list(anchor.parameters()), 1.0 - momentum)
