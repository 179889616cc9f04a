"""A step of MSN, vanilla and multi-modal."""

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from mmsn.images.masks import keep_indices
from mmsn.images.share import Share
from mmsn.images.views import PretrainViews
from mmsn.models.heads import EhrFusion
from mmsn.models.msn import AnchorViews, MaskedSiameseNetwork, MsnOptions
from mmsn.training.settings import PretrainSettings
from mmsn.training.steps.base import Batch, PretrainingStep, Watched, watched


def msn_options(settings: PretrainSettings, fused: bool) -> MsnOptions:
    """The network's numbers under a run's settings."""
    return MsnOptions(
        prototypes=settings.prototypes,
        trainable_prototypes=settings.trainable_prototypes,
        projection_width=settings.projection_width,
        separate_projection=settings.separate_projection and not fused,
        embedding=settings.embedding,
        temperature=settings.temperature,
        target_sharpening=settings.target_sharpening,
        sinkhorn_iterations=settings.sinkhorn_iterations,
        target_queue=settings.target_queue,
        power_law_exponent=settings.power_law_exponent if settings.prior == "power-law" else None,
        mean_entropy_weight=settings.mean_entropy_weight,
    )


class MsnStep(PretrainingStep):
    """One target view, random and focal anchor views, patches dropped from the anchors (SPEC 3)."""

    def __init__(self, encoder: VisionTransformer, fusion: EhrFusion | None, settings: PretrainSettings) -> None:
        super().__init__()
        self.network = MaskedSiameseNetwork(encoder, fusion, msn_options(settings, fusion is not None))
        self.settings = settings
        self.views = PretrainViews(settings.views)
        self.patch = encoder.patch_embed.patch_size[0]

    @property
    def encoder(self) -> VisionTransformer:
        """The anchor."""
        return self.network.encoder

    @property
    def kept_encoder(self) -> VisionTransformer:
        """The target, as in the paper."""
        return self.network.target_encoder

    @property
    def answers(self) -> int:
        """Prototypes."""
        return self.settings.prototypes

    def look(self, batch: Batch, draws: torch.Generator) -> tuple[Tensor, list[AnchorViews]]:
        """Target views, and the anchors' with their masks."""
        views = self.views(batch.pixels, draws, batch.share, batch.partners)
        settings = self.settings
        return views.target, [
            AnchorViews(images, self._keep(images, batch.share, masked, draws))
            for images, masked in ((views.random, settings.mask_random), (views.focal, settings.mask_focal))
            if len(images)
        ]

    def judge(self, batch: Batch, sight: tuple[Tensor, list[AnchorViews]], epoch: int) -> Watched:
        """Loss of a batch."""
        return watched(self.network(*sight, batch.ehr))

    def _keep(self, images: Tensor, share: Share, masked: bool, draws: torch.Generator) -> Tensor | None:
        if not masked or self.settings.mask_ratio == 0:
            return None
        patches = (images.shape[-1] // self.patch) * (images.shape[-2] // self.patch)
        views = len(images) // share.images
        keep = keep_indices(
            views * share.whole, patches, self.settings.mask_ratio, self.settings.class_token_aware, draws
        )
        return keep.unflatten(0, (views, share.whole))[:, share.rows].flatten(0, 1).to(images.device)

    def follow(self, momentum: float) -> None:
        """Move the target."""
        self.network.update_target(momentum)


def create(encoder: VisionTransformer, fusion: EhrFusion | None, settings: PretrainSettings) -> MsnStep:
    """The method of this module; see `create.create_step`."""
    return MsnStep(encoder, fusion, settings)
