"""A radiograph being drawn: tissue maps that findings change, and how they add up to attenuation."""

from dataclasses import dataclass

import numpy as np

from mmsn.synthetic.phantom.canvas import Canvas, Map

LUNG_DEPTH = np.float32(0.70)
"""How much attenuation a fully aerated lung takes away."""


@dataclass
class Scene:
    """Tissue maps [H, W]; a painter changes them in place."""

    canvas: Canvas
    x: Map
    y: Map
    soft: Map
    """Attenuation of soft tissue, 0 outside the body."""
    bone: Map
    metal: Map
    """Tubes, wires and electrodes."""
    lung: Map
    """Thickness of lung along the beam, 0..1."""
    air: Map
    """Aeration: 1 is normal, 0 is solid, above 1 is trapped or free air."""
    vessels: Map
    """Vessel markings."""

    def attenuation(self) -> Map:
        """What the beam met, [H, W]."""
        out: Map = self.soft + self.bone + self.metal
        out -= LUNG_DEPTH * self.lung * self.air
        # Markings end where the lung is solid (silhouette sign) or gone (pneumothorax).
        out += self.vessels * self.lung * np.clip(self.air, 0, 1)
        return out

    def fill(self, share: Map) -> None:
        """Replace a `share` (0..1) of the air by fluid or cells."""
        self.air *= 1 - np.clip(share, 0, 1)
