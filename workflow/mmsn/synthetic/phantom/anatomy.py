"""The patient's build: what varies between people whatever their EHR and findings, so that no finding is trivial."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Anatomy:
    """Body habitus and proportions, drawn once a patient."""

    width: float
    """Half-width of the lungs, in image heights."""
    apex: float
    """Height of the lung apex (y, 0 is the top)."""
    dome: float
    """Height of the right diaphragm."""
    left_drop: float
    """How much lower the left diaphragm stands."""
    fat: float
    """Thickness of the chest wall."""
    bone: float
    """Density of the skeleton."""
    heart: float
    """Size of the heart."""
    heart_angle: float
    """Tilt of its long axis, radians."""
    mediastinum: float
    """Half-width of the upper mediastinum."""
    rib_spacing: float
    rib_phase: float
    rib_slope: float
    scoliosis: float
    """Sideways bow of the spine."""
    breast: float
    """Size of the breasts of a woman of this build."""
    depth: float
    """Depth of the chest in the lateral view."""
    vessels: float
    """Prominence of the lung vessels."""
    vessel_seed: int


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """Draw a patient's build."""
    normal = rng.standard_normal(16)
    return Anatomy(
        width=0.335 + 0.014 * normal[0],
        apex=0.145 + 0.014 * normal[1],
        dome=0.735 + 0.020 * normal[2],
        left_drop=0.022 + 0.010 * normal[3],
        fat=float(np.exp(0.30 * normal[4])),
        bone=float(np.exp(0.20 * normal[5])),
        heart=float(np.exp(0.10 * normal[6])),
        heart_angle=0.62 + 0.12 * normal[7],
        mediastinum=0.056 * float(np.exp(0.16 * normal[8])),
        rib_spacing=0.0690 + 0.003 * normal[9],
        rib_phase=float(rng.uniform()),
        rib_slope=0.065 + 0.018 * normal[10],
        scoliosis=0.008 * normal[11],
        breast=float(np.exp(0.35 * normal[12])),
        depth=float(np.exp(0.06 * normal[13])),
        vessels=float(np.exp(0.20 * normal[14])),
        vessel_seed=int(rng.integers(2**31)),
    )
