"""A step of MAE."""

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from mmsn.errors import UserError
from mmsn.images.masks import draw_tokens
from mmsn.images.views import PretrainViews
from mmsn.models.heads import EhrFusion
from mmsn.models.mae import MaeOptions, MaskedAutoencoder
from mmsn.training.settings import MaeSettings
from mmsn.training.steps.base import Batch, PretrainingStep, Watched, watched


class MaeStep(PretrainingStep):
    """One crop an image, most of its patches masked."""

    def __init__(self, encoder: VisionTransformer, fusion: EhrFusion | None, settings: MaeSettings) -> None:
        super().__init__()
        options = MaeOptions(
            settings.decoder_depth, settings.decoder_width, settings.decoder_heads, settings.normalise_targets
        )
        self.network = MaskedAutoencoder(encoder, fusion, options)
        self.settings = settings
        self.views = PretrainViews(settings.views.model_copy(update={"random_views": 0, "focal_views": 0}))
        self.patches = encoder.patch_embed.num_patches
        patch, side = encoder.patch_embed.patch_size[0], settings.views.random_size
        if (side // patch) ** 2 != self.patches:
            raise UserError(
                f"mae.views.random_size: {side} has {(side // patch) ** 2} patches of {patch} pixels, the backbone "
                f"{self.patches}; MAE's decoder needs them equal"
            )

    @property
    def encoder(self) -> VisionTransformer:
        """The only encoder."""
        return self.network.encoder

    def look(self, batch: Batch, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        """One crop an image, and the tokens of it that are kept."""
        images = self.views(batch.pixels, draws, batch.share).target
        keep = draw_tokens(batch.share.whole, self.patches, self.kept_patches, draws)[batch.share.rows]
        return images, keep.to(images.device)

    def judge(self, batch: Batch, sight: tuple[Tensor, Tensor], epoch: int) -> Watched:
        """Loss of a batch."""
        return watched(self.network(*sight, batch.ehr))

    @property
    def kept_patches(self) -> int:
        """Patches that the encoder sees beside the class token; every patch may be one of them."""
        shown = 1 - self.settings.mask_ratio
        if self.settings.class_token_aware:
            return int(self.patches * shown)
        return max(int((self.patches + 1) * shown) - 1, 0)


def create(encoder: VisionTransformer, fusion: EhrFusion | None, settings: MaeSettings) -> MaeStep:
    """The method of this module; see `create.create_step`."""
    return MaeStep(encoder, fusion, settings)
