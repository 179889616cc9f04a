"""Affine maps of whole grey images, the central crop and the encoder's normalisation in one pass over the pixels."""

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mmsn.images.machine_code import machine_code, part

Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]

_SIGNATURE = (
    "void(float32[:, :, ::1], float64[:, ::1], boolean[::1], boolean, float32[::1], float32[::1],"
    " float32[:, :, :, ::1], int64, int64)"
)


@part
def _fixed(pixels: float) -> int:
    return math.floor(pixels * 65536 + 0.5)


@part
def _nearest(image: Floats, matrix: Doubles, mirrored: bool, y: int, left: int, line: Floats) -> None:
    """Read one output line as Pillow's `affine_fixed` does (`libImaging/Geometry.c`), in 1/65536 pixels."""
    height, width = image.shape
    a, b, c = _fixed(matrix[0]), _fixed(matrix[1]), _fixed(matrix[2] + matrix[0] * 0.5 + matrix[1] * 0.5)
    d, e, f = _fixed(matrix[3]), _fixed(matrix[4]), _fixed(matrix[5] + matrix[3] * 0.5 + matrix[4] * 0.5)
    column, row = a * left + b * y + c, d * left + e * y + f
    for x in range(line.size):
        at_x, at_y = column >> 16, row >> 16
        line[x] = 0
        if 0 <= at_x < width and 0 <= at_y < height:
            line[x] = image[at_y, width - 1 - at_x if mirrored else at_x]
        column += a
        row += d


@part
def _neighbours(place: float, length: int) -> tuple[int, int, float, float]:
    """The two pixels around a place and their shares in it; a pixel outside has none, and the edge's stands for it."""
    first = math.floor(place)
    share = place - first
    share_0 = 1 - share if 0 <= first < length else 0.0
    share_1 = share if 0 <= first + 1 < length else 0.0
    return min(max(first, 0), length - 1), min(max(first + 1, 0), length - 1), share_0, share_1


@part
def _bilinear(image: Floats, matrix: Doubles, mirrored: bool, y: int, left: int, line: Floats) -> None:
    """Read one output line between pixels; past the edge it darkens as in torchvision on tensors."""
    height, width = image.shape
    for x in range(line.size):
        column = matrix[0] * (left + x + 0.5) + matrix[1] * (y + 0.5) + matrix[2] - 0.5
        row = matrix[3] * (left + x + 0.5) + matrix[4] * (y + 0.5) + matrix[5] - 0.5
        x0, x1, share_x0, share_x1 = _neighbours(column, width)
        y0, y1, share_y0, share_y1 = _neighbours(row, height)
        if mirrored:
            x0, x1 = width - 1 - x0, width - 1 - x1
        above = share_x0 * image[y0, x0] + share_x1 * image[y0, x1]
        below = share_x0 * image[y1, x0] + share_x1 * image[y1, x1]
        inside = (share_x0 + share_x1) * (share_y0 + share_y1)
        line[x] = (share_y0 * above + share_y1 * below) * inside


@machine_code(_SIGNATURE)
def move_images(
    images: Floats,
    matrices: Doubles,
    flips: NDArray[np.bool_],
    nearest: bool,
    slopes: Floats,
    blacks: Floats,
    views: Floats,
    start: int,
    stop: int,
) -> None:
    """Fill `views` [B, C, size, size], the centres of the moved images, for images start..stop.

    Args:
        images: [B, H, W] grey levels.
        matrices: [B, 6] from output to input pixels, as Pillow's `Image.transform(..., AFFINE)` takes them.
        flips: [B]: mirror left to right first.
        nearest: read the nearest pixel; else between pixels.
        slopes: [C] what one grey level adds to a channel.
        blacks: [C] a channel's value for grey level 0, which also comes from outside the image.
        views: written.
        start: first image.
        stop: first image no more.
    """
    size = views.shape[-1]
    top, left = round((images.shape[1] - size) / 2), round((images.shape[2] - size) / 2)
    line = np.empty(size, np.float32)
    for image in range(start, stop):
        for y in range(size):
            if nearest:
                _nearest(images[image], matrices[image], flips[image], top + y, left, line)
            else:
                _bilinear(images[image], matrices[image], flips[image], top + y, left, line)
            for channel in range(slopes.size):
                slope, black, written = slopes[channel], blacks[channel], views[image, channel, y]
                for x in range(size):
                    written[x] = line[x] * slope + black
