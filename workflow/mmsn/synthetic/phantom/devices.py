"""Support devices, and the electrodes and leads of a monitored (ICU) patient, in both views.

A finding 'Support Devices' draws one to three devices of the kind the patient's setting makes likely; an ICU stay
draws electrodes whatever the finding says.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mmsn.synthetic.phantom.canvas import chord, strokes
from mmsn.synthetic.phantom.look import Look
from mmsn.synthetic.phantom.scene import Scene

Curve = NDArray[np.float64]
_ICU_KINDS: Final = ("endotracheal tube", "central line", "feeding tube", "chest tube")
_WARD_KINDS: Final = ("pacemaker", "port", "sternal wires", "central line")


def draw_devices(scene: Scene, look: Look, rng: np.random.Generator) -> None:
    """Draw the devices of a study; `rng` is the study's, so all its images show the same ones."""
    severity = look.severity("Support Devices")
    order = rng.permutation(4)
    if severity:
        kinds = _ICU_KINDS if look.icu else _WARD_KINDS
        for kind in order[: 1 + round(1.6 * severity)]:
            _KINDS[kinds[kind]](scene, look.lateral, rng)


def draw_electrodes(scene: Scene, look: Look, rng: np.random.Generator) -> None:
    """Three to five electrodes with their wires, for a patient in intensive care."""
    if not look.icu:
        return
    count = int(rng.integers(3, 6))
    spread = 0.10 if look.lateral else 0.26
    spots = np.stack([rng.uniform(-spread, spread, count), rng.uniform(0.25, 0.75, count)], 1)
    leave = rng.uniform(0.9, 1.05)
    for x, y in spots:
        centre = (float(x), float(y))
        scene.metal += np.float32(0.30) * chord(scene.x, scene.y, centre, (0.016, 0.016))
        scene.metal += np.float32(0.35) * (chord(scene.x, scene.y, centre, (0.008, 0.008)) > 0.3)
    along = np.linspace(0, 1, 9)[None, :]
    ends_x, sag = rng.uniform(-0.35, 0.35, (count, 1)), rng.uniform(-0.10, 0.10, (count, 1))
    xs = spots[:, :1] * (1 - along) + ends_x * along + sag * np.sin(np.pi * along)
    ys = spots[:, 1:] * (1 - along) + leave * along
    _wire(scene, xs, ys, 0.006, 0.30)


def _wire(scene: Scene, xs: Curve, ys: Curve, width: float, density: float) -> None:
    scene.metal += np.float32(density) * strokes(scene.canvas, xs, ys, width)


def _endotracheal_tube(scene: Scene, lateral: bool, rng: np.random.Generator) -> None:
    ys = np.linspace(-0.05, rng.uniform(0.28, 0.36), 8)
    xs = (-0.03 + 0.14 * ys if lateral else 0.006 * np.sin(6 * ys)) + np.zeros(8)
    _wire(scene, np.stack([xs - 0.010, xs + 0.010]), np.stack([ys, ys]), 0.006, 0.26)


def _central_line(scene: Scene, lateral: bool, rng: np.random.Generator) -> None:
    along = np.linspace(0, 1, 14)
    subclavian = rng.uniform() < 0.5
    reach = 0.36 if subclavian else 0.10
    xs = -0.045 - reach * (1 - along) ** 2.2
    ys = (0.20 if subclavian else -0.02) + (0.46 - (0.20 if subclavian else -0.02)) * along**1.4
    if lateral:
        xs = -0.02 + 0.02 * np.sin(3 * along)
    _wire(scene, xs, ys, 0.007, 0.30)


def _feeding_tube(scene: Scene, lateral: bool, rng: np.random.Generator) -> None:
    ys = np.concatenate([np.linspace(-0.05, 0.76, 14), [0.80, 0.83, 0.84]])
    bend = np.concatenate([np.zeros(14), [0.03, 0.07, 0.12]])
    xs = 0.012 + 0.012 * np.sin(7 * ys) + bend
    if lateral:
        xs = 0.07 + 0.04 * np.sin(2.5 * ys) - bend
    _wire(scene, xs, ys, 0.007, 0.28)


def _chest_tube(scene: Scene, lateral: bool, rng: np.random.Generator) -> None:
    side = -1 if rng.uniform() < 0.5 else 1
    along = np.linspace(0, 1, 10)
    xs = side * (0.36 - 0.20 * along + 0.04 * np.sin(np.pi * along))
    ys = 0.68 - rng.uniform(0.30, 0.45) * along
    if lateral:
        xs = xs * 0.5
    _wire(scene, np.stack([xs - 0.007, xs + 0.007]), np.stack([ys, ys]), 0.006, 0.26)


def _pacemaker(scene: Scene, lateral: bool, rng: np.random.Generator) -> None:
    x, y = (-0.19, 0.27) if lateral else (0.25 + 0.02 * rng.standard_normal(), 0.24)
    scene.metal += np.float32(0.75) * (chord(scene.x, scene.y, (x, y), (0.042, 0.036)) > 0.25)
    along = np.linspace(0, 1, 14)
    target = np.array([(0.02, 0.66), (-0.05, 0.52)])
    xs = x + (target[:, :1] - x) * along + (-0.10 if not lateral else 0.08) * np.sin(np.pi * along)
    ys = y + (target[:, 1:] - y) * along - 0.06 * np.sin(np.pi * along)
    _wire(scene, xs, ys, 0.006, 0.32)


def _port(scene: Scene, lateral: bool, rng: np.random.Generator) -> None:
    x, y = (-0.20, 0.28) if lateral else (-0.22, 0.27 + 0.015 * rng.standard_normal())
    ring = chord(scene.x, scene.y, (x, y), (0.024, 0.024))
    scene.metal += np.float32(0.40) * (ring > 0.2) - np.float32(0.18) * (ring > 0.75)
    along = np.linspace(0, 1, 12)
    xs = x + (-0.04 - x) * along**0.7
    _wire(scene, xs, y - 0.07 * np.sin(np.pi * along) + 0.19 * along**2, 0.006, 0.28)


def _sternal_wires(scene: Scene, lateral: bool, rng: np.random.Generator) -> None:
    turn = np.linspace(0, 2 * np.pi, 12)[None, :]
    heights = np.linspace(0.33, 0.63, 6)[:, None]
    wide = 0.006 if lateral else 0.020
    middle = -0.22 - 0.10 * (heights - 0.33) if lateral else 0.004 * rng.standard_normal((6, 1))
    _wire(scene, middle + wide * np.cos(turn), heights + 0.012 * np.sin(turn), 0.005, 0.38)


_KINDS: Final[dict[str, Callable[[Scene, bool, np.random.Generator], None]]] = {
    "endotracheal tube": _endotracheal_tube,
    "central line": _central_line,
    "feeding tube": _feeding_tube,
    "chest tube": _chest_tube,
    "pacemaker": _pacemaker,
    "port": _port,
    "sternal wires": _sternal_wires,
}
