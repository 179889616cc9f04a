"""Masked autoencoder: the pixels of masked patches from those that are left."""

from dataclasses import dataclass

import torch
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from mmsn.models.heads import EhrFusion
from mmsn.models.vit import encode_tokens


@dataclass(frozen=True)
class MaeOptions:
    """The numbers of the decoder and its targets; defaults as released."""

    decoder_depth: int = 8
    decoder_width: int = 512
    decoder_heads: int = 16
    normalise_targets: bool = False


@dataclass(frozen=True)
class MaeLoss:
    """The loss: mean squared error over the pixels of masked patches."""

    loss: Tensor


class MaskedAutoencoder(nn.Module):
    """MAE (He et al. 2022) with learned positions, as lightly 1.4.21's `MAEBackbone` and `MAEDecoder`.

    `mae+ehr`: the class token passes through g with the record before the decoder reads it, so the record helps to
    reconstruct what is masked. It enters after the encoder as in MSN+EHR, which stays one of images alone; the
    decoder, the only part that sees it, is thrown away.

    Args:
        encoder: a timm ViT.
        fusion: None, or g (with or without EHR).
        options: of decoder and targets.
    """

    def __init__(self, encoder: VisionTransformer, fusion: EhrFusion | None, options: MaeOptions) -> None:
        super().__init__()
        self.encoder, self.fusion, self.options = encoder, fusion, options
        width, patches = options.decoder_width, encoder.patch_embed.num_patches
        self.patch = encoder.patch_embed.patch_size[0]
        self.embed = nn.Linear(encoder.embed_dim, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.empty(1, patches + 1, width).normal_(std=0.02))
        self.blocks = nn.Sequential(
            *(Block(width, options.decoder_heads, qkv_bias=True) for _ in range(options.decoder_depth))
        )
        self.norm = nn.LayerNorm(width, eps=1e-6)  # as the blocks' own
        self.predict = nn.Linear(width, 3 * self.patch**2)

    def forward(self, images: Tensor, keep: Tensor, ehr: Tensor | None) -> MaeLoss:
        """Loss of `images` `[B, 3, S, S]`, of which the encoder sees the tokens `keep` `[B, K]` (class token first)."""
        masked = others(keep, self.positions.shape[1])
        predicted = self.reconstruct(images, keep, masked, ehr)
        targets = pixels_of_patches(images, self.patch)
        if self.options.normalise_targets:
            targets = _normalised(targets)
        wanted = targets.gather(1, (masked - 1)[..., None].expand(-1, -1, targets.shape[-1]))
        with torch.autocast(images.device.type, enabled=False):
            return MaeLoss(F.mse_loss(predicted.float(), wanted.float()))

    def reconstruct(self, images: Tensor, keep: Tensor, masked: Tensor, ehr: Tensor | None) -> Tensor:
        """Pixels of the masked patches, `[B, M, 3 * patch * patch]`."""
        tokens = encode_tokens(self.encoder, images, keep)
        if self.fusion is not None:
            tokens = torch.cat([self.fusion(tokens[:, 0], ehr)[:, None], tokens[:, 1:]], dim=1)
        embedded = self.embed(tokens)
        whole = self.mask_token.to(embedded.dtype).repeat(len(images), self.positions.shape[1], 1)
        whole = whole.scatter(1, keep[..., None].expand(-1, -1, whole.shape[-1]), embedded)
        decoded = self.norm(self.blocks(whole + self.positions))
        chosen = decoded.gather(1, masked[..., None].expand(-1, -1, decoded.shape[-1]))
        predicted: Tensor = self.predict(chosen)
        return predicted


def others(keep: Tensor, tokens: int) -> Tensor:
    """Tokens of 0..tokens-1 that are not kept, `[B, K]` -> `[B, tokens - K]`, ascending."""
    left = torch.ones(len(keep), tokens, dtype=torch.bool, device=keep.device).scatter(1, keep, value=False)
    # a stable sort puts the chosen ones first in their order; nonzero() would wait for the GPU
    return left.int().argsort(dim=1, descending=True, stable=True)[:, : tokens - keep.shape[1]]


def pixels_of_patches(images: Tensor, side: int) -> Tensor:
    """`[B, C, H, W]` -> `[B, N, side * side * C]`, patches row by row, each pixel's channels together (He et al.)."""
    B, C, H, W = images.shape
    grid = images.reshape(B, C, H // side, side, W // side, side)
    return grid.permute(0, 2, 4, 3, 5, 1).reshape(B, (H // side) * (W // side), side * side * C)


def _normalised(patches: Tensor) -> Tensor:
    variance, mean = torch.var_mean(patches, dim=-1, keepdim=True)
    return (patches - mean) / (variance + 1e-6).sqrt()
