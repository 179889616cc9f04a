"""From attenuation to an 8-bit radiograph: positioning, exposure, noise, collimation, side marker."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mmsn.synthetic.phantom.canvas import Canvas, Map
from mmsn.synthetic.phantom.look import Look


@dataclass(frozen=True)
class Exposure:
    """How one image was taken; drawn once an image, whatever it shows."""

    angle: float
    zoom: float
    shift: tuple[float, float]
    """Right and down, in image heights."""
    centre: float
    """Attenuation shown as middle grey."""
    latitude: float
    """Attenuation between dark and light grey."""
    noise: float
    collimation: tuple[float, float, float, float]
    """Black border left, top, right, bottom, as fractions."""
    marker: tuple[float, float] | None
    noise_seed: int


def draw_exposure(rng: np.random.Generator, look: Look) -> Exposure:
    """Draw the technique; a bedside (AP) image is noisier, flatter and less well centred."""
    rough = 1.5 if look.view == "AP" else 1.0
    normal, uniform = rng.standard_normal(8), rng.uniform(size=8)
    border = np.clip(0.05 * uniform[:4] - 0.02, 0, None) * (uniform[4] < 0.5)
    marker = (0.06 + 0.03 * uniform[5], 0.08 + 0.10 * uniform[6]) if uniform[7] < 0.75 else None
    return Exposure(
        angle=1.6 * rough * normal[0],
        # The longer field of a left lateral (LL) leaves more room around the chest than an unspecified lateral.
        zoom=float(np.exp(0.045 * normal[1])) * (0.93 if look.view == "LL" else 1.0),
        shift=(0.012 * rough * normal[2], 0.015 * rough * normal[3]),
        centre=0.60 + 0.065 * normal[4],
        latitude=0.185 * float(np.exp(0.16 * normal[5])) * (1.10 if look.view == "AP" else 1.0),
        noise=0.016 * float(np.exp(0.30 * normal[6])) * rough,
        collimation=(float(border[0]), float(border[1]), float(border[2]), float(border[3])),
        marker=marker,
        noise_seed=int(rng.integers(2**31)),
    )


def expose(attenuation: Map, exposure: Exposure, canvas: Canvas, marker_side: int) -> NDArray[np.uint8]:
    """Attenuation [H, W] -> grey levels [H, W], dense is white."""
    placed = _position(attenuation, exposure, canvas)
    grey = 1 / (1 + np.exp((np.float32(exposure.centre) - placed) / np.float32(exposure.latitude)))
    rng = np.random.default_rng(exposure.noise_seed)
    grain = rng.standard_normal(canvas.shape, dtype=np.float32)
    grey += np.float32(exposure.noise) * grain * (0.5 + 0.5 * grey) * (placed > 0.02)
    _stamp(grey, exposure, canvas, marker_side)
    _collimate(grey, exposure)
    return (np.clip(grey, 0, 1) * 255 + 0.5).astype(np.uint8)


def _position(attenuation: Map, exposure: Exposure, canvas: Canvas) -> Map:
    """Rotate, scale and shift the patient; what comes into view from outside is air."""
    turn = np.deg2rad(exposure.angle)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) / exposure.zoom
    centre = (np.array(canvas.shape) - 1) / 2
    moved = np.array([exposure.shift[1], exposure.shift[0]]) * canvas.height
    offset = centre - matrix @ (centre + moved)
    # The trunk goes on below the image: repeat the last row there, but show air at the other edges.
    out: Map = ndimage.affine_transform(attenuation, matrix, offset, order=1, mode="nearest")
    return out


def _stamp(grey: Map, exposure: Exposure, canvas: Canvas, side: int) -> None:
    """A lead side marker near an upper corner."""
    if exposure.marker is None:
        return
    size = max(2, round(0.022 * canvas.height))
    left, top = (round(share * canvas.height) for share in exposure.marker)
    column = canvas.width - left - size if side > 0 else left
    grey[top : top + size, column : column + max(1, size // 3)] = 0.97
    grey[top + size - max(1, size // 3) : top + size, column : column + size * 2 // 3 + 1] = 0.97


def _collimate(grey: Map, exposure: Exposure) -> None:
    height, width = grey.shape
    left, top, right, bottom = exposure.collimation
    grey[: int(top * height)] = 0
    grey[height - int(bottom * height) :] = 0
    grey[:, : int(left * width)] = 0
    grey[:, width - int(right * width) :] = 0
