"""timm vision transformers, run on views of any size and on a subset of their patches."""

import math
from collections.abc import Mapping
from typing import Any

import timm
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from mmsn.models.blocks import Blocks


def create_encoder(architecture: str, options: Mapping[str, Any], pretrained: bool = False) -> VisionTransformer:
    """A timm vision transformer without a classification head, weights drawn from torch's global generator.

    Args:
        architecture: timm model name, for example `vit_small_patch16_224`.
        options: further arguments of `timm.create_model`, for example `{"num_heads": 6}`.
        pretrained: let timm load its published weights, from its cache or the network.

    Raises:
        ValueError: when timm does not know the name, or the model is not a plain ViT with one class token.
    """
    try:
        known = timm.create_model(architecture, pretrained=False, num_classes=0, **options)
    except RuntimeError as error:
        raise ValueError(f"timm has no model {architecture!r}: {error}") from None
    encoder = timm.create_model(architecture, pretrained=True, num_classes=0, **options) if pretrained else known
    if not isinstance(encoder, VisionTransformer) or encoder.num_prefix_tokens != 1 or encoder.pos_embed is None:
        raise ValueError(f"{architecture} is not a plain vision transformer with one class token")
    encoder.blocks = Blocks(*encoder.blocks)
    return encoder


@torch.no_grad()
def initialise_as_torchvision(encoder: VisionTransformer) -> None:
    """Draw an encoder's weights as torchvision's VisionTransformer does, from torch's global generator.

    That is what the released code starts from (lightly 1.4.21, `MAEBackbone`): at D = 192 its weights are two and a
    half times as large as timm's.
    """
    convolution = encoder.patch_embed.proj
    assert isinstance(convolution, nn.Conv2d)
    nn.init.trunc_normal_(convolution.weight, std=math.sqrt(1 / convolution.weight[0].numel()))
    for name, layer in encoder.blocks.named_modules():
        if isinstance(layer, nn.Linear):
            _initialise_linear(layer, name)
    assert encoder.pos_embed is not None  # create_encoder made sure of both
    assert encoder.cls_token is not None
    nn.init.normal_(encoder.pos_embed, std=0.02)
    nn.init.zeros_(encoder.cls_token)
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)


def _initialise_linear(layer: nn.Linear, name: str) -> None:
    if name.endswith("attn.proj"):
        nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5))  # nn.Linear's own
    else:
        nn.init.xavier_uniform_(layer.weight)
    if "mlp" in name:
        nn.init.normal_(layer.bias, std=1e-6)
    else:
        nn.init.zeros_(layer.bias)


def encode_tokens(encoder: VisionTransformer, images: Tensor, keep: Tensor | None = None) -> Tensor:
    """Tokens after the final norm.

    Args:
        encoder: a model of `create_encoder`.
        images: `[B, 3, H, W]`, normalised; H and W multiples of the patch size.
        keep: `[B, K]` token indices, 0 the class token (always at place 0), patches 1..N row by row. All when None.

    Returns:
        `[B, K, D]`, or `[B, N + 1, D]` when all are kept.
    """
    return encoder.norm(encoder.blocks(embed_tokens(encoder, images, keep)))


def class_embedding(encoder: VisionTransformer, images: Tensor, keep: Tensor | None = None) -> Tensor:
    """The class token of `encode_tokens`, `[B, D]`, without what only the patches' tokens would need."""
    return encoder.norm(encoder.blocks(embed_tokens(encoder, images, keep), class_only=True))


def embed_tokens(encoder: VisionTransformer, images: Tensor, keep: Tensor | None = None) -> Tensor:
    """Tokens before the first block; arguments and shape as in `encode_tokens`.

    Patches that are not kept are dropped before the patch embedding, so they cost nothing.
    """
    side = encoder.patch_embed.patch_size[0]
    grid = (images.shape[-2] // side, images.shape[-1] // side)
    assert encoder.pos_embed is not None  # create_encoder made sure of both
    assert encoder.cls_token is not None
    positions = position_embedding(encoder.pos_embed, grid)
    patches = patchify(images, side)
    if keep is None:
        embedded = embed_patches(encoder, patches) + positions[:, 1:]
    else:
        index = keep[:, 1:, None] - 1
        kept = patches.gather(1, index.expand(-1, -1, patches.shape[-1]))
        # not positions[...][index]: several CPU threads sum its gradient in an order that changes from run to run
        embedded = embed_patches(encoder, kept) + F.embedding(index[..., 0], positions[0, 1:])
    class_token = (encoder.cls_token + positions[:, :1]).expand(len(images), -1, -1)
    tokens = torch.cat([class_token, embedded], dim=1)
    return encoder.norm_pre(encoder.pos_drop(tokens))


def patchify(images: Tensor, side: int) -> Tensor:
    """`[B, C, H, W]` -> `[B, N, C * side * side]`, patches row by row, as a convolution's weight is laid out."""
    B, C, H, W = images.shape
    if H % side or W % side:
        raise ValueError(f"views of {H} x {W} are not a multiple of the patch size {side}")
    grid = images.reshape(B, C, H // side, side, W // side, side)
    return grid.permute(0, 2, 4, 1, 3, 5).reshape(B, (H // side) * (W // side), C * side * side)


def embed_patches(encoder: VisionTransformer, patches: Tensor) -> Tensor:
    """The patch embedding's convolution as a matrix product on `[B, K, C * side * side]` -> `[B, K, D]`."""
    convolution = encoder.patch_embed.proj
    assert isinstance(convolution, nn.Conv2d)
    return encoder.patch_embed.norm(F.linear(patches, convolution.weight.flatten(1), convolution.bias))


def position_embedding(positions: Tensor, grid: tuple[int, int]) -> Tensor:
    """Learned positions `[1, N + 1, D]` for another grid of patches, bicubic, as facebookresearch/msn does."""
    count = positions.shape[1] - 1
    own = math.isqrt(count)
    if (own, own) == grid:
        return positions
    plane = positions[:, 1:].reshape(1, own, own, -1).permute(0, 3, 1, 2)
    resized = F.interpolate(plane, size=grid, mode="bicubic", align_corners=False)
    return torch.cat([positions[:, :1], resized.flatten(2).transpose(1, 2)], dim=1)
