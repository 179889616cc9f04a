"""From a method's name and settings to a model, and from a batch to its loss."""

import torch
from torch import Tensor

from mmsn.images.masks import keep_indices
from mmsn.images.views import PretrainViews, Views
from mmsn.methods import Method
from mmsn.models.heads import EhrFusion
from mmsn.models.msn import AnchorViews, MaskedSiameseNetwork
from mmsn.models.msn_loss import MsnLoss
from mmsn.models.vit import create_encoder
from mmsn.randomness import derived_seed
from mmsn.training.settings import BackboneSettings, PretrainSettings


def create_model(
    method: Method, backbone: BackboneSettings, settings: PretrainSettings, ehr_columns: int, seed: int
) -> MaskedSiameseNetwork:
    """A freshly initialised network; with the same seed every method starts from the same encoder."""
    torch.manual_seed(derived_seed(seed, "weights"))
    encoder = create_encoder(backbone.architecture, backbone.options)
    width = encoder.embed_dim
    fusion = None
    if method.kind in ("msn+g", "msn+ehr"):
        torch.manual_seed(derived_seed(seed, "fusion"))
        fusion = EhrFusion(width, ehr_columns, settings.ehr_width)
    torch.manual_seed(derived_seed(seed, "heads"))
    return MaskedSiameseNetwork(
        encoder,
        settings.prototypes,
        settings.trainable_prototypes,
        settings.projection_width,
        fusion,
        separate_projection=settings.separate_projection and fusion is None,
    )


class MsnStep:
    """One batch's views, masks and loss under the settings of a run."""

    def __init__(self, model: MaskedSiameseNetwork, settings: PretrainSettings) -> None:
        self.model = model
        self.settings = settings
        self.views = PretrainViews(settings.views)
        self.patch = model.encoder.patch_embed.patch_size[0]

    def loss(self, pixels: Tensor, ehr: Tensor | None, generator: torch.Generator) -> MsnLoss:
        """Loss of `pixels` `[B, S, S]` uint8 and `ehr` `[B, n]`; all randomness comes from `generator`."""
        settings = self.settings
        views: Views = self.views(pixels, generator)
        anchors = [
            AnchorViews(images, self._keep(images, masked, generator))
            for images, masked in ((views.random, settings.mask_random), (views.focal, settings.mask_focal))
            if len(images)
        ]
        loss: MsnLoss = self.model(
            views.target,
            anchors,
            ehr,
            settings.temperature,
            settings.target_sharpening,
            settings.sinkhorn_iterations,
            settings.mean_entropy_weight,
        )
        return loss

    def _keep(self, images: Tensor, masked: bool, generator: torch.Generator) -> Tensor | None:
        if not masked or self.settings.mask_ratio == 0:
            return None
        patches = (images.shape[-1] // self.patch) * (images.shape[-2] // self.patch)
        return keep_indices(len(images), patches, self.settings.mask_ratio, self.settings.class_token_aware, generator)
