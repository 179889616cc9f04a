"""Pillow's antialiased bilinear resize of many crops, and the encoder's normalisation, in one pass over the pixels.

Weights, their fixed point, the order of the two passes and the rounding between them are those of Pillow's
`libImaging/Resample.c` (`precompute_coeffs`, `ImagingResampleHorizontal_8bpc`, `ImagingResampleVertical_8bpc`), so
grey levels are equal bit for bit. Since version 13 Pillow itself takes the vertical pass first where a crop's height
shrinks much more than its width; here the horizontal one always comes first, as in every version before.

Four neighbouring pixels of a line travel as one word: picking pixels by index is the one step that processors do one
at a time, all others become vector instructions.
"""

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mmsn.images.machine_code import machine_code, part

Bytes: TypeAlias = NDArray[np.uint8]
Words: TypeAlias = NDArray[np.uint32]
Integers: TypeAlias = NDArray[np.int32]
Floats: TypeAlias = NDArray[np.float32]

_BITS = 22  # of a weight's fixed point
_HALF = 1 << (_BITS - 1)  # added before the bits are dropped: rounding
_SIGNATURE = (
    "void(uint8[:, :, ::1], int64[:, :, ::1], boolean[:, ::1], float32[::1], float32[::1], float32[:, :, :, :, ::1],"
    " int64, int64)"
)


@part
def _weigh(length: int, mirrored: bool, first: Words, weights: Integers) -> int:
    """Fill `first` [size] and `weights` [taps, size]: which of `length` pixels make each of `size`, in what shares.

    Returns:
        How many fours of taps any pixel needs; the weights of the others are 0.
    """
    size = first.size
    stride = length / size
    support = max(stride, 1.0)
    shrink = 1.0 / support
    most = 0
    weights[:] = 0
    for output in range(size):
        centre = (output + 0.5) * stride
        start = max(int(centre - support + 0.5), 0)
        stop = min(int(centre + support + 0.5), length)
        most = max(most, stop - start)
        total = 0.0
        for pixel in range(start, stop):
            total += max(1.0 - abs((pixel - centre + 0.5) * shrink), 0.0)
        place = size - 1 - output if mirrored else output
        first[place] = start
        for pixel in range(start, stop):
            share = max(1.0 - abs((pixel - centre + 0.5) * shrink), 0.0) / total
            weights[pixel - start, place] = int(0.5 + share * (1 << _BITS))
    return (most + 3) // 4


@part
def _pack(image: Bytes, words: Words) -> None:
    """Put each pixel of `image` [H, W] and its three neighbours to the right into one of `words` [H, >= W + 3]."""
    height, width = image.shape
    for y in range(height):
        pixels, word = image[y], words[y]
        for x in range(width):
            word[x] = pixels[x]
        for x in range(width):  # from left to right, so the right neighbour is still a single pixel
            word[x] |= (word[x + 1] << 8) | (word[x + 2] << 16) | (word[x + 3] << 24)


@part
def _across(
    words: Words, rows: int, fours: int, first: Words, weights: Integers, picked: Words, lines: Integers
) -> None:
    """Resize `rows` lines of packed pixels, which start with the crop's first row, into grey levels `lines`."""
    size = first.size
    for y in range(rows):
        line = lines[y]
        line[:] = _HALF
        for tap in range(0, 4 * fours, 4):
            here = words[y, tap:]
            for x in range(size):
                picked[x] = here[first[x]]
            a, b, c, d = weights[tap], weights[tap + 1], weights[tap + 2], weights[tap + 3]
            for x in range(size):
                word = picked[x]
                line[x] += (
                    a[x] * (word & 255) + b[x] * (word >> 8 & 255) + c[x] * (word >> 16 & 255) + d[x] * (word >> 24)
                )
        for x in range(size):
            line[x] >>= _BITS


@part
def _down(
    lines: Integers,
    fours: int,
    first: Words,
    weights: Integers,
    line: Integers,
    slopes: Floats,
    blacks: Floats,
    view: Floats,
) -> None:
    """Resize the columns of `lines` [rows, size] and write them, normalised, to `view` [C, size, size]."""
    size = first.size
    for y in range(size):
        line[:] = _HALF
        for tap in range(0, 4 * fours, 4):
            row = first[y] + tap
            a, b, c, d = weights[tap, y], weights[tap + 1, y], weights[tap + 2, y], weights[tap + 3, y]
            for x in range(size):
                line[x] += a * lines[row, x] + b * lines[row + 1, x] + c * lines[row + 2, x] + d * lines[row + 3, x]
        for channel in range(slopes.size):
            slope, black, written = slopes[channel], blacks[channel], view[channel, y]
            for x in range(size):
                written[x] = np.float32(line[x] >> _BITS) * slope + black


@machine_code(_SIGNATURE)
def crop_views(
    images: Bytes,
    boxes: NDArray[np.int64],
    flips: NDArray[np.bool_],
    slopes: Floats,
    blacks: Floats,
    views: Floats,
    start: int,
    stop: int,
) -> None:
    """Fill `views` [V, B, C, size, size] for images start..stop.

    Args:
        images: [B, H, W].
        boxes: [B, V, 4]: top, left, height, width.
        flips: [B, V]: mirror left to right.
        slopes: [C] what one grey level adds to a channel.
        blacks: [C] a channel's value for grey level 0.
        views: written.
        start: first image.
        stop: first image no more.
    """
    height, width = images.shape[1:]
    size = views.shape[-1]
    taps = 4 * math.ceil((2 * math.ceil(max(1.0, max(height, width) / size)) + 1) / 4)
    words = np.zeros((height, width + taps), np.uint32)  # no pixel lies beyond the edge, but words do
    lines = np.zeros((height + taps, size), np.int32)
    line = np.empty(size, np.int32)
    picked = np.empty(size, np.uint32)
    first_x, first_y = np.empty(size, np.uint32), np.empty(size, np.uint32)
    weights_x, weights_y = np.empty((taps, size), np.int32), np.empty((taps, size), np.int32)
    for image in range(start, stop):
        _pack(images[image], words)
        for view in range(boxes.shape[1]):
            top, left, rows, columns = boxes[image, view]
            fours_x = _weigh(columns, flips[image, view], first_x, weights_x)
            fours_y = _weigh(rows, False, first_y, weights_y)
            _across(words[top:, left:], rows, fours_x, first_x, weights_x, picked, lines)
            _down(lines, fours_y, first_y, weights_y, line, slopes, blacks, views[view, image])
