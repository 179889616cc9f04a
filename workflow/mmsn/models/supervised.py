"""Supervised training of an encoder on the labels: what self-supervision is measured against."""

from dataclasses import dataclass

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from mmsn.models.gathering import whole_batch
from mmsn.models.vit import class_embedding


@dataclass(frozen=True)
class SupervisedLoss:
    """The loss: binary cross entropy over the labels that are known."""

    loss: Tensor


def masked_bce(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross entropy of `[B, L]` logits, mean over the targets that are not NaN."""
    known = ~targets.isnan()
    loss = F.binary_cross_entropy_with_logits(logits, targets.nan_to_num(), reduction="none")
    return (loss * known).sum() / known.sum().clamp_min(1)


class SupervisedNetwork(nn.Module):
    """A linear head on the class token, trained together with the encoder."""

    def __init__(self, encoder: VisionTransformer, labels: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.embed_dim, labels)

    def forward(self, images: Tensor, targets: Tensor) -> SupervisedLoss:
        """Loss of `images` `[B, 3, S, S]` and `targets` `[B, L]`, NaN where ignored."""
        logits = self.head(class_embedding(self.encoder, images))
        return SupervisedLoss(masked_bce(whole_batch(logits.float()), whole_batch(targets)))
