"""Random rotation, shift and zoom of a whole batch at once, as torchvision's RandomAffine for each image."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

Interpolation = Literal["nearest", "bilinear"]


class AffineParameters(NamedTuple):
    """One affine map for each image."""

    angle: Tensor
    """float64 [B], degrees, clockwise."""
    shift: Tensor
    """float64 [B, 2], whole pixels to the right and down."""
    scale: Tensor
    """float64 [B], zoom."""


def random_affine(
    images: Tensor,
    degrees: float,
    translate: float,
    scale: tuple[float, float],
    generator: torch.Generator,
    interpolation: Interpolation = "nearest",
) -> Tensor:
    """Rotate, shift and zoom each image about its centre; what comes from outside the image is black (0).

    Args:
        images: uint8 or float [B, H, W] or [B, C, H, W].
        degrees: largest rotation to either side.
        translate: largest shift as a share of the width and of the height, rounded to whole pixels.
        scale: smallest and largest zoom.
        generator: drawn from on its own device.
        interpolation: how a pixel between pixels is read.

    Returns:
        float32, shaped as `images`.
    """
    height, width = images.shape[-2:]
    parameters = sample_affine(images.shape[0], height, width, degrees, translate, scale, generator)
    return affine(images, parameters, interpolation)


def sample_affine(
    batch: int,
    height: int,
    width: int,
    degrees: float,
    translate: float,
    scale: tuple[float, float],
    generator: torch.Generator,
) -> AffineParameters:
    """Draw parameters as torchvision's `RandomAffine.get_params` does, on the generator's device."""
    unit = torch.rand(4, batch, generator=generator, device=generator.device, dtype=torch.float64)
    both_ways = 2 * unit - 1
    shift = torch.stack([both_ways[1] * translate * width, both_ways[2] * translate * height], dim=1).round()
    return AffineParameters(both_ways[0] * degrees, shift, scale[0] + (scale[1] - scale[0]) * unit[3])


def affine(images: Tensor, parameters: AffineParameters, interpolation: Interpolation = "nearest") -> Tensor:
    """Apply one affine map to each image, as torchvision's functional `affine(..., fill=0)` does on a tensor.

    Args:
        images: uint8 or float [B, H, W] or [B, C, H, W].
        parameters: the maps.
        interpolation: how a pixel between pixels is read.

    Returns:
        float32, shaped as `images`.
    """
    if images.ndim == 3:
        return affine(images[:, None], parameters, interpolation)[:, 0]
    pixels = images.float()
    grid = _grid(AffineParameters(*(p.to(images.device) for p in parameters)), *images.shape[-2:])
    moved = grid_sample(pixels, grid, mode=interpolation, padding_mode="zeros", align_corners=False)
    if interpolation == "nearest":
        return moved
    inside = grid_sample(torch.ones_like(pixels[:, :1]), grid, mode=interpolation, align_corners=False)
    # torchvision darkens the edge twice: by the zeros outside, then by blending with the fill
    return moved * inside


def _grid(parameters: AffineParameters, height: int, width: int) -> Tensor:
    """Where each output pixel is read, float32 [B, H, W, 2] in the -1..1 of `grid_sample` (x, y)."""
    turn = torch.deg2rad(parameters.angle)
    cos, sin = torch.cos(turn) / parameters.scale, torch.sin(turn) / parameters.scale
    inverse = torch.stack([cos, sin, -sin, cos], dim=1).view(-1, 2, 2)  # of (x, y)
    offset = -(inverse @ parameters.shift[..., None])
    half = torch.tensor([[width / 2], [height / 2]], dtype=torch.float64, device=turn.device)
    x = torch.arange(width, dtype=torch.float32, device=turn.device) - (width - 1) / 2
    y = torch.arange(height, dtype=torch.float32, device=turn.device) - (height - 1) / 2
    across, down = (inverse / half).float().unbind(2)  # [B, 2] each
    start = (offset / half).float()[..., 0]
    return (
        x[None, None, :, None] * across[:, None, None]
        + y[None, :, None, None] * down[:, None, None]
        + start[:, None, None]
    )
