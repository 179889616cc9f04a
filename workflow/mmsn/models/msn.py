"""Masked Siamese network, vanilla and multi-modal: an anchor that learns, a target that follows."""

import copy
from dataclasses import dataclass
from typing import Literal

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from mmsn.models.gathering import whole_batch, whole_views
from mmsn.models.heads import EhrFusion, projection_head
from mmsn.models.moving_average import move_towards
from mmsn.models.msn_loss import MsnLoss, msn_loss, power_law
from mmsn.models.vit import class_embedding, encode_tokens

Embedding = Literal["class", "class+mean"]


@dataclass(frozen=True)
class AnchorViews:
    """Views of one size that the anchor sees: `images` `[V * B, 3, S, S]`, view-major; `keep` `[V * B, K]` or None."""

    images: Tensor
    keep: Tensor | None


@dataclass(frozen=True)
class MsnOptions:
    """The numbers of the network and its loss; defaults as released, but for prototypes that train."""

    prototypes: int = 1024
    trainable_prototypes: bool = True
    """False reproduces the released code, whose prototypes never move."""
    projection_width: int = 4
    """Hidden width of the projection head as a multiple of D."""
    separate_projection: bool = False
    """Pass each group of anchor views through the projection head on its own."""
    embedding: Embedding = "class"
    temperature: float = 0.1
    target_sharpening: float = 0.25
    sinkhorn_iterations: int = 3
    target_queue: int = 0
    """Past targets that Sinkhorn sees beside the batch's own."""
    power_law_exponent: float | None = None
    """PMSN's prior; uniform when None."""
    mean_entropy_weight: float = 1.0


class MaskedSiameseNetwork(nn.Module):
    """MSN (Assran et al. 2022) with the EHR fusion of Shurrab et al. 2024 in the anchor branch.

    Args:
        encoder: a timm ViT; the anchor trains it, the target keeps an exponential moving average of it.
        fusion: None for vanilla MSN, else g (with or without EHR); it exists in the anchor only.
        options: of network and loss.
    """

    queue: Tensor
    queued: Tensor
    prior: Tensor | None

    def __init__(self, encoder: VisionTransformer, fusion: EhrFusion | None, options: MsnOptions) -> None:
        super().__init__()
        self.options = options
        width = encoder.embed_dim
        embedded = 2 * width if options.embedding == "class+mean" else width
        self.encoder = encoder
        self.projection = projection_head(embedded, options.projection_width * width, width)
        self.fusion = fusion
        # nn.Linear's initialisation, as the released code and lightly's example draw prototypes
        weight = nn.Linear(width, options.prototypes, bias=False).weight.detach()
        self.prototypes = nn.Parameter(weight, requires_grad=options.trainable_prototypes)
        self.target_encoder = copy.deepcopy(encoder).requires_grad_(False)
        self.target_projection = copy.deepcopy(self.projection).requires_grad_(False)
        self.register_buffer("queue", torch.zeros(options.target_queue, width))
        self.register_buffer("queued", torch.zeros((), dtype=torch.int64))
        exponent = options.power_law_exponent
        prior = None if exponent is None else power_law(options.prototypes, exponent)
        self.register_buffer("prior", prior, persistent=False)

    def forward(self, target: Tensor, anchors: list[AnchorViews], ehr: Tensor | None) -> MsnLoss:
        """Loss of one batch: `target` `[B, 3, S, S]`, anchor views of the same B images, `ehr` `[B, n]` or None.

        In a distributed run B is this process's share; the loss is that of the whole batch.
        """
        images = len(target)
        embedded = [whole_views(self.embed(self.encoder, v.images, v.keep), images) for v in anchors]
        projected_anchors = self._project(embedded, None if ehr is None else whole_batch(ehr))
        with torch.no_grad():
            embedded_targets = whole_batch(self.embed(self.target_encoder, target))
            projected_targets = self.target_projection(embedded_targets)
        with torch.autocast(target.device.type, enabled=False):
            options = self.options
            result = msn_loss(
                projected_anchors,
                projected_targets,
                self.prototypes,
                options.temperature,
                options.target_sharpening,
                options.sinkhorn_iterations,
                options.mean_entropy_weight,
                self.prior,
                self._past_targets(),
            )
        self._remember(projected_targets)
        return result

    def embed(self, encoder: VisionTransformer, images: Tensor, keep: Tensor | None = None) -> Tensor:
        """What g and h receive: `[B, D]`, or `[B, 2D]` with the mean patch token beside the class token."""
        if self.options.embedding == "class":
            return class_embedding(encoder, images, keep)
        tokens = encode_tokens(encoder, images, keep)
        return torch.cat([tokens[:, 0], tokens[:, 1:].mean(dim=1)], dim=1)

    def _project(self, embedded: list[Tensor], ehr: Tensor | None) -> Tensor:
        """Fusion and projection head of all anchor views: `[V * B, D]`, view-major."""
        if self.options.separate_projection:
            return torch.cat([self.projection(self._fused(group, ehr)) for group in embedded])
        projected: Tensor = self.projection(self._fused(torch.cat(embedded), ehr))
        return projected

    def _fused(self, embedding: Tensor, ehr: Tensor | None) -> Tensor:
        return embedding if self.fusion is None else self.fusion(embedding, ehr)

    def _past_targets(self) -> Tensor | None:
        """The queue once it is full; a part of it would hold zeros."""
        size = len(self.queue)
        return self.queue if size and int(self.queued) >= size else None

    @torch.no_grad()
    def _remember(self, targets: Tensor) -> None:
        size = len(self.queue)
        if size and self.training:
            self.queue.copy_(torch.cat([targets.to(self.queue), self.queue])[:size])
            self.queued += len(targets)

    def update_target(self, momentum: float) -> None:
        """Move the target towards the anchor."""
        move_towards(self.target_encoder, self.encoder, momentum)
        move_towards(self.target_projection, self.projection, momentum)
