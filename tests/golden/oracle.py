"""lightly 1.4.21, and the networks that the released code builds from it, at the sizes of the tests.

Networks are made in the released code's order of arguments; every weight is then drawn by its name.
"""

from typing import Final

import numpy as np

setattr(np, "float_", np.float64)  # noqa: B010  (lightly 1.4.21 imports a name that NumPy 2 dropped)

import torch  # noqa: E402
from lightly.loss import DINOLoss, MSNLoss, PMSNLoss  # noqa: E402
from lightly.loss.msn_loss import sharpen, sinkhorn  # noqa: E402
from lightly.models import utils  # noqa: E402
from lightly.models.modules.heads import DINOProjectionHead, MSNProjectionHead  # noqa: E402
from lightly.models.modules.masked_autoencoder import MAEBackbone, MAEDecoder  # noqa: E402
from lightly.utils.scheduler import cosine_schedule  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from tests.golden import drawn  # noqa: E402

__all__ = [
    "DINOLoss",
    "MSNLoss",
    "PMSNLoss",
    "backbone",
    "cosine_schedule",
    "decoder",
    "dino_head",
    "kept_and_masked",
    "msn_head",
    "sharpen",
    "sinkhorn",
    "utils",
    "with_drawn_weights",
]

VERSION: Final = "1.4.21"


def backbone() -> MAEBackbone:
    """An encoder without the classifier that torchvision puts on top and nothing calls."""
    encoder = MAEBackbone(
        image_size=drawn.LARGE,
        patch_size=drawn.PATCH,
        num_layers=drawn.DEPTH,
        num_heads=drawn.HEADS,
        hidden_dim=drawn.WIDTH,
        mlp_dim=drawn.WIDTH * 4,
    )
    encoder.heads = nn.Identity()
    return encoder


def msn_head() -> MSNProjectionHead:
    return MSNProjectionHead(drawn.WIDTH, drawn.WIDTH * 4, drawn.WIDTH)


def dino_head(**options: int) -> DINOProjectionHead:
    sizes = drawn.DINO_HEAD
    return DINOProjectionHead(drawn.WIDTH, sizes["hidden"], sizes["bottleneck"], sizes["outputs"], **options)


def decoder(sequence: int) -> MAEDecoder:
    return MAEDecoder(
        seq_length=sequence,
        num_layers=drawn.DECODER["depth"],
        num_heads=drawn.DECODER["heads"],
        embed_input_dim=drawn.WIDTH,
        hidden_dim=drawn.DECODER["width"],
        mlp_dim=drawn.DECODER["width"] * 4,
        out_dim=drawn.PATCH**2 * 3,
    )


@torch.no_grad()
def with_drawn_weights(module: nn.Module, prefix: str = "") -> nn.Module:
    """Every parameter drawn by its name, but for lengths of weight normalisation, which are 1 and frozen."""
    for name, parameter in module.named_parameters(prefix):
        if not name.endswith("weight_g"):
            parameter.copy_(torch.from_numpy(drawn.weight(name, tuple(parameter.shape))))
    return module


def kept_and_masked(step: int, images: int, tokens: int, ratio: float) -> tuple[Tensor, Tensor]:
    """lightly's token mask for noise that the tests can draw too."""
    real = torch.rand
    torch.rand = lambda *size, device: torch.from_numpy(drawn.noise(step, *size))
    try:
        return utils.random_token_mask((images, tokens), mask_ratio=ratio)
    finally:
        torch.rand = real
