"""Random resized crops of a whole batch: boxes as torchvision draws them, pixels as Pillow resizes them.

Pixels come by one of two ways: `compiled_crops` on a CPU, `resized_crops` on a GPU. They differ by the rounding to
whole grey levels that Pillow does after either axis, by less than one level.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Levels(NamedTuple):
    """What grey levels 0..255 become in C channels: slope * level + black."""

    slopes: tuple[float, ...]
    blacks: tuple[float, ...]

    def arrays(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Both as float32 [C]."""
        return np.array(self.slopes, np.float32), np.array(self.blacks, np.float32)


UNCHANGED: Final = Levels((1.0,), (0.0,))
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
    top, left, height, width = boxes.to(images.device).unbind(-1)
    upright = torch.zeros_like(flips, device=images.device)
    by_row = _resize_weights(top, height, upright, H, size)
    by_column = _resize_weights(left, width, flips.to(images.device), W, size)
    with _full_float32(images.device):
        lines = torch.bmm(by_row.view(B, V * size, H), images.float().transpose(1, 2).reshape(B, H, C * W))
        lines = lines.view(B, V, size, C, W).transpose(2, 3).reshape(B * V, C * size, W)
        crops = torch.bmm(lines, by_column.view(B * V, size, W).transpose(1, 2))
    return crops.view(B, V, C, size, size)


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


def compiled_crops(images: Tensor, boxes: Tensor, flips: Tensor, size: int, levels: Levels) -> Tensor:
    """Cut V boxes out of each image, resize them to Pillow's grey levels, and turn those into C channels.

    Args:
        images: uint8 [B, H, W] on the CPU.
        boxes: int64 [B, V, 4]: top, left, height, width.
        flips: bool [B, V]: mirror left to right.
        size: side of the result in pixels.
        levels: what grey levels become.

    Returns:
        float32 [V, B, C, size, size].

    Raises:
        ValueError: the boxes do not fit the images.
    """
    from mmsn.images.crop_kernel import crop_views  # compiles
    from mmsn.images.machine_code import in_threads

    _check_boxes(boxes, *images.shape)
    B, V = boxes.shape[:2]
    views = empty_on_cpu(V, B, len(levels.slopes), size, size)
    inputs = images, boxes, flips.reshape(B, V)
    pixels, places, mirrored = (np.ascontiguousarray(tensor.cpu().numpy()) for tensor in inputs)
    slopes, blacks = levels.arrays()
    written = views.numpy()
    in_threads(B, lambda *span: crop_views(pixels, places, mirrored, slopes, blacks, written, *span))
    return views


def _check_boxes(boxes: Tensor, B: int, height: int, width: int) -> None:
    """Refuse what would make compiled code read beside the images."""
    first, size = boxes[..., :2], boxes[..., 2:]
    outside = (first < 0) | (size < 1) | (first + size > torch.tensor([height, width], device=boxes.device))
    if len(boxes) != B or outside.any():
        wrong = boxes[outside.any(-1)][:1].tolist()
        raise ValueError(f"boxes {list(boxes.shape)} do not fit {B} images of {height} x {width}: {wrong}")


def empty_on_cpu(*shape: int) -> Tensor:
    """Unwritten float32 memory; numpy asks for large pages, without which the system takes longer than the kernel."""
    return torch.from_numpy(np.empty(shape, np.float32))


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
