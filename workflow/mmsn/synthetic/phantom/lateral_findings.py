"""How each finding shows in a lateral radiograph: fainter than in the frontal view, both lungs being superposed."""

from collections.abc import Callable
from typing import Final

import numpy as np

from mmsn.synthetic.phantom.canvas import band, chord, cloud, glow, ramp, strokes
from mmsn.synthetic.phantom.lateral import HILUM, Lateral
from mmsn.synthetic.phantom.look import Look

Painter = Callable[[Lateral, float, Look, np.random.Generator], None]


def atelectasis(scene: Lateral, severity: float, look: Look, rng: np.random.Generator) -> None:
    """A band above the posterior diaphragm (the raised diaphragm is geometry)."""
    height = scene.base - rng.uniform(0.0, 0.05)
    xs = np.linspace(0.02, 0.16, 6)
    scene.soft += np.float32(0.14 + 0.12 * severity) * strokes(scene.canvas, xs, height + 0.25 * xs, 0.014)
    scene.fill((0.15 + 0.25 * severity) * glow(scene.x, scene.y, (0.12, scene.base + 0.01), (0.08, 0.05)))


def cardiomegaly(scene: Lateral, severity: float, look: Look, rng: np.random.Generator) -> None:
    """Nothing beyond the deep heart, which is geometry, but fuller vessels."""
    scene.vessels *= np.float32(1 + 0.15 * severity)


def consolidation(scene: Lateral, severity: float, look: Look, rng: np.random.Generator) -> None:
    """One dense lobe: upper anterior, middle or lower posterior."""
    zone = rng.integers(3)
    centre = ((-0.08, 0.28), (-0.07, 0.56), (0.13, 0.62))[zone]
    size = 0.07 + 0.05 * severity
    body = glow(scene.x, scene.y, centre, (size, size * 0.9))
    scene.fill((0.45 + 0.30 * severity) * ramp(body + 0.17 * cloud(rng, scene.canvas, 9) - 0.45, 0.30))


def edema(scene: Lateral, severity: float, look: Look, rng: np.random.Generator) -> None:
    """Perihilar haze and thick fissures."""
    wings = glow(scene.x, scene.y, (HILUM[0], HILUM[1] + 0.05), (0.11, 0.13))
    scene.fill((0.12 + 0.36 * severity) * wings * (1 + 0.22 * cloud(rng, scene.canvas, 16)))
    along = np.linspace(0, 1, 6)
    xs, ys = 0.16 - 0.30 * along, 0.26 + 0.42 * along
    scene.soft += np.float32(0.05 + 0.10 * severity) * strokes(scene.canvas, xs, ys, 0.006) * scene.lung


def enlarged_cardiomediastinum(scene: Lateral, severity: float, look: Look, rng: np.random.Generator) -> None:
    """A filled retrosternal space (the wide upper mediastinum is geometry)."""
    scene.fill((0.15 + 0.30 * severity) * glow(scene.x, scene.y, (-0.13, 0.32), (0.05, 0.09)))


def fracture(scene: Lateral, severity: float, look: Look, rng: np.random.Generator) -> None:
    """A vertebra wedged to half its height, denser than its neighbours."""
    height = rng.uniform(0.46, 0.62)
    at = float(np.interp(height, scene.y[:, 0], scene.spine[:, 0]))
    scene.bone += np.float32(0.20 + 0.22 * severity) * chord(scene.x, scene.y, (at - 0.005, height), (0.044, 0.026))


def lung_lesion(scene: Lateral, severity: float, look: Look, rng: np.random.Generator) -> None:
    """Round nodules."""
    for _ in range(1 + int(rng.integers(3))):
        radius = (0.030 + 0.040 * severity) * rng.uniform(0.8, 1.2)
        centre = (rng.uniform(-0.12, 0.15), rng.uniform(0.28, 0.62))
        scene.soft += np.float32(0.18 + 0.14 * severity) * chord(scene.x, scene.y, centre, (radius, radius * 0.92))


def lung_opacity(scene: Lateral, severity: float, look: Look, rng: np.random.Generator) -> None:
    """A broad haze."""
    centre = (rng.uniform(-0.06, 0.12), rng.uniform(0.38, 0.60))
    haze = glow(scene.x, scene.y, centre, (0.085, 0.10)) * (1 + 0.25 * cloud(rng, scene.canvas, 14))
    scene.fill((0.22 + 0.30 * severity) * haze)


def pleural_effusion(scene: Lateral, severity: float, look: Look, rng: np.random.Generator) -> None:
    """Erect: a meniscus in the posterior angle. Lying: a layer along the back."""
    if look.recumbent:
        layer = ramp(scene.x - scene.back + 0.04 + 0.10 * severity, 0.05)
        scene.fill((0.45 + 0.4 * severity) * layer)
        return
    rise = np.clip(scene.x / np.maximum(scene.back, 0.05), -1, 1)
    level = scene.base + 0.105 - 0.22 * severity - 0.06 * np.abs(rise) ** 3
    scene.fill((0.32 + 0.30 * severity) * ramp(scene.y - level, 0.022))


def pleural_other(scene: Lateral, severity: float, look: Look, rng: np.random.Generator) -> None:
    """A thick rind along the back of the chest."""
    run = ramp(scene.y - 0.34, 0.06) * ramp(0.70 - scene.y, 0.08)
    rind = ramp(scene.x - scene.back + 0.055 + 0.035 * severity, 0.012) * ramp(scene.back - 0.028 - scene.x, 0.01)
    scene.fill(0.7 * rind * run)
    scene.bone += np.float32(0.10 + 0.10 * severity) * rind * run * (cloud(rng, scene.canvas, 22) > 0.4)


def pneumonia(scene: Lateral, severity: float, look: Look, rng: np.random.Generator) -> None:
    """Patches in the lower or middle lobe."""
    zone = (rng.choice([-0.09, 0.12]), rng.uniform(0.52, 0.64))
    for _ in range(4):
        centre = (zone[0] + 0.04 * rng.standard_normal(), zone[1] + 0.04 * rng.standard_normal())
        size = rng.uniform(0.024, 0.045)
        spot = glow(scene.x, scene.y, centre, (size, size)) * (1 + 0.4 * cloud(rng, scene.canvas, 14))
        scene.fill((0.30 + 0.36 * severity) * spot)


def pneumothorax(scene: Lateral, severity: float, look: Look, rng: np.random.Generator) -> None:
    """Free air at the apex (erect) or behind the sternum (lying), bounded by a pleural line."""
    if look.recumbent:
        edge = scene.x - scene.front - np.float32(0.04 + 0.07 * severity)
    else:
        edge = scene.y - np.float32(scene.apex + 0.07 + 0.12 * severity) + 0.25 * scene.x
    free = ramp(-edge, 0.008)
    scene.air *= 1 + 0.20 * free
    scene.vessels *= 1 - free
    scene.soft += np.float32(0.14) * band(edge, 0.007) * scene.lung


def emphysema(scene: Lateral, severity: float, look: Look, rng: np.random.Generator) -> None:
    """A dark, deep retrosternal space."""
    scene.air *= np.float32(1.04 + 0.08 * severity)


def fibrosis(scene: Lateral, severity: float, look: Look, rng: np.random.Generator) -> None:
    """A fine net at the bases."""
    net = np.abs(cloud(rng, scene.canvas, 34)) * np.abs(cloud(rng, scene.canvas, 40))
    where = ramp(scene.y - 0.5, 0.3) * scene.lung * scene.air
    scene.soft += np.float32(0.10 + 0.14 * severity) * np.clip(1 - 2.2 * net, 0, 1) * where


def hernia(scene: Lateral, severity: float, look: Look, rng: np.random.Generator) -> None:
    """A round wall around air behind the heart."""
    radius = 0.045 + 0.035 * severity
    sac = chord(scene.x, scene.y, (0.07, scene.base - 0.04), (radius, radius))
    scene.soft += np.float32(0.16) * (sac > 0) * (sac < 0.55) - np.float32(0.16) * sac


PAINTERS: Final[dict[str, Painter]] = {
    "Atelectasis": atelectasis,
    "Cardiomegaly": cardiomegaly,
    "Consolidation": consolidation,
    "Edema": edema,
    "Enlarged Cardiomediastinum": enlarged_cardiomediastinum,
    "Fracture": fracture,
    "Lung Lesion": lung_lesion,
    "Lung Opacity": lung_opacity,
    "Pleural Effusion": pleural_effusion,
    "Pleural Other": pleural_other,
    "Pneumonia": pneumonia,
    "Pneumothorax": pneumothorax,
    "Emphysema": emphysema,
    "Fibrosis": fibrosis,
    "Hernia": hernia,
}
"""Painters of the lateral view; support devices have their own module."""
