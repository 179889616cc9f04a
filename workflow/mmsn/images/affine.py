"""Random rotation, shift and zoom of a whole batch at once, as torchvision's RandomAffine for each image.

Pixels come by one of two ways: `compiled_affine` on a CPU, `affine` on a GPU.
"""

from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from mmsn.images.crops import Levels, empty_on_cpu

Interpolation = Literal["nearest", "bilinear"]


class AffineParameters(NamedTuple):
    """One affine map for each image."""

    angle: Tensor
    """float64 [B], degrees, clockwise."""
    shift: Tensor
    """float64 [B, 2], whole pixels to the right and down."""
    scale: Tensor
    """float64 [B], zoom."""


def sample_affine(
    batch: int,
    height: int,
    width: int,
    degrees: float,
    translate: float,
    scale: tuple[float, float],
    generator: torch.Generator,
) -> AffineParameters:
    """Draw parameters as torchvision's `RandomAffine.get_params` does, on the generator's device.

    Args:
        batch: B.
        height: of the images in pixels.
        width: of the images in pixels.
        degrees: largest rotation to either side.
        translate: largest shift as a share of the width and of the height, rounded to whole pixels.
        scale: smallest and largest zoom.
        generator: drawn from on its own device.
    """
    unit = torch.rand(4, batch, generator=generator, device=generator.device, dtype=torch.float64)
    both_ways = 2 * unit - 1
    shift = torch.stack([both_ways[1] * translate * width, both_ways[2] * translate * height], dim=1).round()
    return AffineParameters(both_ways[0] * degrees, shift, scale[0] + (scale[1] - scale[0]) * unit[3])


def affine(images: Tensor, parameters: AffineParameters, interpolation: Interpolation = "nearest") -> Tensor:
    """Apply one affine map to each image, as torchvision's functional `affine(..., fill=0)` does on a tensor.

    What comes from outside the image is black (0).

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


def compiled_affine(
    images: Tensor,
    flips: Tensor,
    parameters: AffineParameters,
    interpolation: Interpolation,
    size: int,
    levels: Levels,
) -> Tensor:
    """Mirror, move and centre-crop images on a CPU, and turn their grey levels into C channels.

    With `nearest` the pixels are those of torchvision on Pillow images (but for rounding ties of maps that do not turn
    at all); with `bilinear`, those of `affine`. What comes from outside the image is black.

    Args:
        images: float32 [B, H, W].
        flips: bool [B]: mirror left to right first.
        parameters: the maps.
        interpolation: how a pixel between pixels is read.
        size: side of the central crop, within the image.
        levels: what grey levels become.

    Returns:
        float32 [B, C, size, size].
    """
    from mmsn.images.affine_kernel import move_images  # compiles
    from mmsn.images.machine_code import in_threads

    B, H, W = images.shape
    views = empty_on_cpu(B, len(levels.slopes), size, size)
    inputs = images, _pillow_matrices(parameters, H, W).reshape(B, 6), flips.reshape(B)
    pixels, maps, mirrored = (np.ascontiguousarray(tensor.cpu().numpy()) for tensor in inputs)
    slopes, blacks = levels.arrays()
    nearest, written = interpolation == "nearest", views.numpy()
    in_threads(B, lambda *span: move_images(pixels, maps, mirrored, nearest, slopes, blacks, written, *span))
    return views


def _pillow_matrices(parameters: AffineParameters, height: int, width: int) -> Tensor:
    """Maps from output to input pixels, float64 [B, 6], as torchvision hands them to Pillow's `Image.transform`."""
    turn = torch.deg2rad(parameters.angle)
    cos, sin = torch.cos(turn) / parameters.scale, torch.sin(turn) / parameters.scale
    x, y = -width / 2 - parameters.shift[:, 0], -height / 2 - parameters.shift[:, 1]
    across, down = cos * x + sin * y + width / 2, cos * y - sin * x + height / 2
    return torch.stack([cos, sin, across, -sin, cos, down], dim=1)


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
