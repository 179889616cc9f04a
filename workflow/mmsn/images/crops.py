"""Random resized crops of a whole batch: boxes as torchvision draws them, pixels as Pillow resizes them."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

_TRIES = 10  # torchvision's RandomResizedCrop gives up after as many boxes that do not fit


def sample_crops(
    batch: int,
    height: int,
    width: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    generator: torch.Generator,
) -> Tensor:
    """Draw boxes with the distribution of torchvision's `RandomResizedCrop.get_params`.

    The area is uniform in `scale` (shares of the image), the aspect ratio log-uniform in `ratio`; the first
    of ten tries that fits the image is placed uniformly; when none fits it is the largest central crop.

    Returns:
        int64 [batch, 4]: top, left, height, width in pixels, on the generator's device.
    """
    heights, widths = _sample_sizes(batch, height, width, scale, ratio, generator)
    fits = (heights > 0) & (heights <= height) & (widths > 0) & (widths <= width)
    first = fits.int().argmax(dim=1, keepdim=True)
    central = _central_size(height, width, ratio)
    found = fits.any(dim=1)
    h = torch.where(found, heights.gather(1, first)[:, 0], central[0])
    w = torch.where(found, widths.gather(1, first)[:, 0], central[1])
    place = _uniform((2, batch), 0, 1, generator)
    top = torch.where(found, (place[0] * (height - h + 1)).floor(), (height - h) // 2)
    left = torch.where(found, (place[1] * (width - w + 1)).floor(), (width - w) // 2)
    return torch.stack([top, left, h, w], dim=1).long()


def _sample_sizes(
    batch: int,
    height: int,
    width: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    area = height * width * _uniform((batch, _TRIES), *scale, generator)
    aspect = _uniform((batch, _TRIES), math.log(ratio[0]), math.log(ratio[1]), generator).exp()
    return (area / aspect).sqrt().round(), (area * aspect).sqrt().round()


def _central_size(height: int, width: int, ratio: tuple[float, float]) -> tuple[int, int]:
    if width / height < ratio[0]:
        return round(width / ratio[0]), width
    if width / height > ratio[1]:
        return height, round(height * ratio[1])
    return height, width


def _uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    unit = torch.rand(shape, generator=generator, device=generator.device, dtype=torch.float64)
    return low + (high - low) * unit


def resized_crop(images: Tensor, boxes: Tensor, flips: Tensor, size: int) -> Tensor:
    """Cut one box out of each image and resize it; see `resized_crops`.

    Args:
        images: uint8 or float [B, H, W] or [B, C, H, W].
        boxes: int64 [B, 4]: top, left, height, width.
        flips: bool [B]: mirror left to right.
        size: side of the result in pixels.

    Returns:
        float32 [B, size, size] or [B, C, size, size] in the grey levels of `images`.
    """
    return resized_crops(images, boxes[:, None], flips[:, None], size)[:, 0]


def resized_crops(images: Tensor, boxes: Tensor, flips: Tensor, size: int) -> Tensor:
    """Cut V boxes out of each image and resize them with an antialiased triangle filter.

    Each crop is Wy @ image @ Wx^T with rows of weights as Pillow computes them for crop-then-resize
    (`libImaging/Resample.c`, BILINEAR): pixels outside the box have none. In full float32 on every device.

    Args:
        images: uint8 or float [B, H, W] or [B, C, H, W].
        boxes: int64 [B, V, 4]: top, left, height, width.
        flips: bool [B, V]: mirror left to right.
        size: side of the result in pixels.

    Returns:
        float32 [B, V, size, size] or [B, V, C, size, size] in the grey levels of `images`.
    """
    if images.ndim == 3:
        return resized_crops(images[:, None], boxes, flips, size)[:, :, 0]
    B, C, H, W = images.shape
    V = boxes.shape[1]
    if V > 1 and (span := _largest(boxes)) and 2 * span[0] * span[1] <= H * W:
        windows, within = _windows(images, boxes, *span)
        return resized_crops(windows, within, flips.reshape(B * V, 1), size).view(B, V, C, size, size)
    top, left, height, width = boxes.to(images.device).unbind(-1)
    upright = torch.zeros_like(flips, device=images.device)
    by_row = _resize_weights(top, height, upright, H, size)
    by_column = _resize_weights(left, width, flips.to(images.device), W, size)
    with _full_float32(images.device):
        lines = torch.bmm(by_row.view(B, V * size, H), images.float().transpose(1, 2).reshape(B, H, C * W))
        lines = lines.view(B, V, size, C, W).transpose(2, 3).reshape(B * V, C * size, W)
        crops = torch.bmm(lines, by_column.view(B * V, size, W).transpose(1, 2))
    return crops.view(B, V, C, size, size)


def _largest(boxes: Tensor) -> tuple[int, int] | None:
    """Largest height and width among the boxes, if it can be had without waiting for a GPU."""
    if boxes.is_cuda or not boxes.numel():
        return None
    height, width = boxes[..., 2:].amax(dim=(0, 1)).tolist()
    return height, width


def _windows(images: Tensor, boxes: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Copy each box's surroundings, float32 [B * V, C, height, width], and find it in them, [B * V, 1, 4].

    Small crops then cost their own size and not the whole image's.
    """
    top = boxes[..., 0].clamp(max=images.shape[-2] - height)
    left = boxes[..., 1].clamp(max=images.shape[-1] - width)
    every = images.float().unfold(2, height, 1).unfold(3, width, 1).permute(0, 2, 3, 1, 4, 5)
    windows = every[torch.arange(len(images))[:, None], top, left].flatten(0, 1)
    corner = torch.stack([top, left, torch.zeros_like(top), torch.zeros_like(top)], dim=-1)
    return windows, (boxes - corner).view(-1, 1, 4)


def _resize_weights(start: Tensor, length: Tensor, flips: Tensor, source: int, size: int) -> Tensor:
    """Weights [..., size, source] that make pixels start..start+length of a line `size` pixels.

    A row is a triangle around its output pixel's centre, two output pixels wide (or two input pixels where
    those are wider), cut at the box's edges and scaled to sum 1. Only the pixels that it can reach are
    computed.
    """
    reach = min(math.ceil(2 * max(1.0, source / size)) + 1, source)
    start, length = start[..., None, None], length[..., None, None]
    output = torch.arange(size, device=start.device)[:, None]
    place = torch.where(flips[..., None, None], size - 1 - output, output)
    stride = length.float() / size
    support = stride.clamp(min=1)
    # positions count from the box's first pixel: small numbers keep float32 exact enough
    centre = (place + 0.5) * stride - 0.5
    first = ((centre - support).floor().long() + 1 + start).clamp(min=0, max=source - reach)
    pixels = first + torch.arange(reach, device=start.device)
    within = pixels - start
    weights = (1 - (within - centre).abs() / support).clamp(min=0)
    weights = weights.masked_fill((within < 0) | (within >= length), 0)
    weights = weights / weights.sum(dim=-1, keepdim=True)
    return weights.new_zeros(*weights.shape[:-1], source).scatter_(-1, pixels, weights)


@contextmanager
def _full_float32(device: torch.device) -> Iterator[None]:
    """No autocast and no TF32, whatever training has asked for: their short weights cost grey levels."""
    backends: tuple[Any, ...] = (torch.backends.cuda, torch.backends.mkldnn)
    asked_for = [backend.matmul.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.matmul.fp32_precision = "ieee"
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for backend, precision in zip(backends, asked_for, strict=True):
            backend.matmul.fp32_precision = precision
