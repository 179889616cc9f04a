"""Drawing primitives on float32 maps: coordinates, soft edges, chords, clouds and strokes.

Lengths are in image heights: y runs from 0 (top) to 1, x from -aspect/2 (image left) to +aspect/2. A soft edge costs
a few array operations, so a 128-pixel radiograph takes milliseconds.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Map = NDArray[np.floating[Any]]
"""A grey map [H, W] of float32, or one of its axes: [H, 1], [1, W]."""


@dataclass(frozen=True)
class Canvas:
    """The grid that everything is drawn on."""

    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        """`(H, W)` in pixels."""
        return self.height, self.width

    @property
    def x(self) -> Map:
        """Horizontal coordinate [1, W]."""
        return (((np.arange(self.width, dtype=np.float32) + 0.5) - self.width / 2) / self.height)[None, :]

    @property
    def y(self) -> Map:
        """Vertical coordinate [H, 1]."""
        return ((np.arange(self.height, dtype=np.float32) + 0.5) / self.height)[:, None]


def ramp(distance: Map, width: float) -> Map:
    """Soft step: 0 below `-width/2`, 1 above `width/2`."""
    out: Map = distance * np.float32(1 / width)
    out += np.float32(0.5)
    return clamp(out)


def band(distance: Map, half_width: float) -> Map:
    """Soft line: 1 at distance 0, falling to 0 at `half_width`."""
    out: Map = np.abs(distance)
    out *= np.float32(-1 / half_width)
    out += np.float32(1)
    return clamp(out)


def clamp(values: Map) -> Map:
    """Limit `values` to 0..1 in place (a good deal quicker than `np.clip` on small maps)."""
    np.maximum(values, np.float32(0), out=values)
    return np.minimum(values, np.float32(1), out=values)


def chord(x: Map, y: Map, centre: tuple[float, float], radii: tuple[float, float], angle: float = 0.0) -> Map:
    """Thickness of an ellipsoid along the beam, 1 in its middle and 0 outside; `angle` in radians."""
    out = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)
    reach = max(radii)
    columns = _window(x[0] if x.shape[0] == 1 else None, centre[0], reach)
    rows = _window(y[:, 0] if y.shape[1] == 1 else None, centre[1], reach)
    dx = (x[:, columns] if x.shape[0] == 1 else x[rows, columns]) - np.float32(centre[0])
    dy = (y[rows] if y.shape[1] == 1 else y[rows, columns]) - np.float32(centre[1])
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    u = (dx * cos + dy * sin) * np.float32(1 / radii[0])
    v = (dy * cos - dx * sin) * np.float32(1 / radii[1])
    np.sqrt(np.maximum(1 - u * u - v * v, np.float32(0)), out=out[rows, columns])
    return out


def _window(axis: Map | None, centre: float, reach: float) -> slice:
    """The part of a rising or mirrored axis that an ellipse can touch; all of it where the axis is not 1-D."""
    if axis is None:
        return slice(None)
    touched = np.flatnonzero(np.abs(axis - centre) <= reach)
    return slice(int(touched[0]), int(touched[-1]) + 1) if len(touched) else slice(0, 0)


def glow(x: Map, y: Map, centre: tuple[float, float], radii: tuple[float, float]) -> Map:
    """Gaussian spot [H, W] with standard deviations `radii`."""
    across = np.exp(-0.5 * ((x - np.float32(centre[0])) * np.float32(1 / radii[0])) ** 2)
    down = np.exp(-0.5 * ((y - np.float32(centre[1])) * np.float32(1 / radii[1])) ** 2)
    out: Map = across * down
    return out


@lru_cache(maxsize=256)
def _spread(cells: int, pixels: int) -> Map:
    """Smoothing interpolation [pixels, cells] from a coarse grid, rows scaled to unit variance."""
    at = np.linspace(0.5, cells - 1.5, pixels)[:, None] - np.arange(cells)[None, :]
    weights = np.exp(-0.5 * (at / 0.6) ** 2)
    return (weights / np.sqrt((weights**2).sum(1, keepdims=True))).astype(np.float32)


def cloud(rng: np.random.Generator, canvas: Canvas, cells: int) -> Map:
    """Smooth noise [H, W] of mean 0 and variance 1 with about `cells` blobs along each axis."""
    coarse = rng.standard_normal((cells + 2, cells + 2), dtype=np.float32)
    out: Map = _spread(cells + 2, canvas.height) @ coarse @ _spread(cells + 2, canvas.width).T
    return out


def strokes(canvas: Canvas, xs: NDArray[np.float64], ys: NDArray[np.float64], width: float) -> Map:
    """Curves [K, P] of (x, y) points drawn as lines about `width` thick whose middle is about 1.

    The points are splatted bilinearly and blurred, which is antialiased and takes one pass for all curves.
    """
    scale = canvas.height
    px = np.atleast_2d(xs) * scale + canvas.width / 2 - 0.5
    py = np.atleast_2d(ys) * scale - 0.5
    px, py = _refine(px, py)
    step = np.hypot(px[:, 1:] - px[:, :-1], py[:, 1:] - py[:, :-1])
    px, py = (px[:, 1:] + px[:, :-1]) / 2, (py[:, 1:] + py[:, :-1]) / 2
    sigma = max(0.45, width * scale / 2.5)
    # Below a pixel a line gets fainter instead of thinner.
    strength = np.sqrt(2 * np.pi) * sigma * min(1.0, width * scale / 2.5 / sigma) ** 0.5
    out = np.zeros(canvas.shape, np.float32)
    rows, columns = _box(py, sigma, canvas.height), _box(px, sigma, canvas.width)
    size = (rows.stop - rows.start, columns.stop - columns.start)
    if min(size) > 1:
        layer = _splat(size, (px - columns.start).ravel(), (py - rows.start).ravel(), (step * strength).ravel())
        ndimage.gaussian_filter(layer, sigma, output=out[rows, columns], truncate=3.0, mode="constant")
        np.minimum(out, np.float32(1.6), out=out)
    return out


def _refine(px: NDArray[np.float64], py: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Resample [K, P] curves (pixels) so finely that no gap shows between their points."""
    longest = max(float(np.abs(np.diff(px)).max(initial=0.5)), float(np.abs(np.diff(py)).max(initial=0.5)))
    parts, count = int(np.ceil(longest / 0.7)), px.shape[1]
    at = np.arange((count - 1) * parts + 1) / parts
    low = np.minimum(at.astype(np.int64), count - 2)
    share = at - low
    return px[:, low] * (1 - share) + px[:, low + 1] * share, py[:, low] * (1 - share) + py[:, low + 1] * share


def _box(at: NDArray[np.float64], sigma: float, size: int) -> slice:
    """The pixels that blurred points touch along one axis."""
    margin = 3 * sigma + 2
    return slice(min(size, max(0, int(at.min() - margin))), max(0, min(size, int(at.max() + margin) + 1)))


def _splat(size: tuple[int, int], px: NDArray[np.float64], py: NDArray[np.float64], mass: NDArray[np.float64]) -> Map:
    height, width = size
    column, row = np.floor(px).astype(np.int64), np.floor(py).astype(np.int64)
    inside = (column >= 0) & (column < width - 1) & (row >= 0) & (row < height - 1)
    column, row, mass = column[inside], row[inside], mass[inside]
    right, below = px[inside] - column, py[inside] - row
    corner = row * width + column
    at = np.concatenate([corner, corner + 1, corner + width, corner + width + 1])
    share = [(1 - right) * (1 - below), right * (1 - below), (1 - right) * below, right * below]
    total = np.bincount(at, np.concatenate(share) * np.tile(mass, 4), height * width)
    return total.astype(np.float32).reshape(size)
