"""How each finding shows in a frontal radiograph.

Every painter takes the scene, a severity in (0, 1] and the random numbers that fix side and place. These come from
the patient and the finding's name, so that a finding stays where it is from study to study.
Difficulty differs on purpose: a nodule or a broken rib is a few pixels, an effusion a third of a lung.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from mmsn.synthetic.phantom.canvas import Map, band, chord, cloud, glow, ramp, strokes
from mmsn.synthetic.phantom.frontal import HILUM, Frontal
from mmsn.synthetic.phantom.look import Look

Painter = Callable[[Frontal, float, Look, np.random.Generator], None]


def side_of(rng: np.random.Generator) -> int:
    """The side of a one-sided finding: the first number its generator gives (-1 is the image's left)."""
    return -1 if rng.uniform() < 0.5 else 1


def _sides(rng: np.random.Generator, both: float) -> list[int]:
    """One side, or both with probability `both`."""
    first = side_of(rng)
    return [first, -first] if rng.uniform() < both else [first]


def _patch(
    scene: Frontal, rng: np.random.Generator, centre: tuple[float, float], radii: tuple[float, float], rough: float
) -> Map:
    """An ill-defined density with a cloudy border, [H, W] in 0..1."""
    body = glow(scene.x, scene.y, centre, radii)
    out: Map = np.clip(body * (1 + rough * cloud(rng, scene.canvas, 14)), 0, 1)
    return out


def atelectasis(scene: Frontal, severity: float, look: Look, rng: np.random.Generator) -> None:
    """Plate-like bands above a raised hemidiaphragm, crowding at the base (the volume loss is geometry)."""
    side = side_of(rng)
    base = scene.base[0 if side < 0 else 1]
    for _ in range(1 + int(rng.uniform() < severity)):
        height, length = base - rng.uniform(0.03, 0.10), rng.uniform(0.09, 0.16)
        start = rng.uniform(0.09, 0.16)
        xs = side * np.linspace(start, start + length, 6)
        ys = height + rng.uniform(-0.03, 0.05) * np.linspace(0, 1, 6)
        scene.soft += np.float32(0.16 + 0.14 * severity) * strokes(scene.canvas, xs, ys, 0.013) * scene.lung
    scene.fill((0.20 + 0.40 * severity) * glow(scene.x, scene.y, (0.13 * side, base - 0.01), (0.09, 0.055)))


def cardiomegaly(scene: Frontal, severity: float, look: Look, rng: np.random.Generator) -> None:
    """Nothing beyond the wide heart, which is geometry, but a congested hilum."""
    scene.vessels *= np.float32(1 + 0.15 * severity)


def consolidation(scene: Frontal, severity: float, look: Look, rng: np.random.Generator) -> None:
    """One dense, sharply bordered lobar region with air bronchograms."""
    side, zone = side_of(rng), rng.integers(3)
    centre = (side * (0.20, 0.19, 0.21)[zone], (0.28, 0.47, 0.62)[zone])
    size = 0.085 + 0.060 * severity
    body = glow(scene.x, scene.y, centre, (size * 1.15, size * 0.9))
    solid = ramp(body + 0.17 * cloud(rng, scene.canvas, 9) - 0.45, 0.30) * scene.half(side)
    scene.fill((0.62 + 0.33 * severity) * solid)
    fan = np.linspace(-0.6, 0.6, 4)[:, None]
    along = np.linspace(0.02, 1.2 * size, 5)[None, :]
    xs, ys = centre[0] + side * (along * np.cos(fan) - 0.5 * size), centre[1] + along * np.sin(fan)
    scene.soft -= np.float32(0.12) * strokes(scene.canvas, xs, ys, 0.006) * solid


def edema(scene: Frontal, severity: float, look: Look, rng: np.random.Generator) -> None:
    """Bat-wing perihilar haze on both sides and short septal lines at the bases."""
    wings = glow(np.abs(scene.x), scene.y, (HILUM[0] + 0.05, HILUM[1] + 0.05), (0.085, 0.13))
    scene.fill((0.12 + 0.38 * severity) * wings * (1 + 0.22 * cloud(rng, scene.canvas, 16)))
    scene.fill((0.02 + 0.10 * severity) * ramp(scene.y - 0.40, 0.4))
    lines = 7
    for side in (-1, 1):
        heights = rng.uniform(0.56, 0.70, (lines, 1))
        outer = scene.width * 0.96
        xs = side * np.repeat(np.linspace(outer - 0.045, outer, 3)[None, :], lines, 0)
        lines_map = strokes(scene.canvas, xs, heights + np.zeros((1, 3)), 0.004)
        scene.soft += np.float32(0.13 * severity) * lines_map * scene.lung


def enlarged_cardiomediastinum(scene: Frontal, severity: float, look: Look, rng: np.random.Generator) -> None:
    """Nothing beyond the wide mediastinum and aortic knob, which are geometry, but a lobulated border."""
    side = side_of(rng)
    bulge = chord(scene.x, scene.y, (side * 0.075, 0.30), (0.030 + 0.022 * severity, 0.075))
    scene.fill(0.6 * bulge)
    scene.soft += np.float32(0.06) * bulge


def fracture(scene: Frontal, severity: float, look: Look, rng: np.random.Generator) -> None:
    """Callus and a small extrapleural swelling at the break; the step in the ribs is `rib_break`."""
    side, rib = side_of(rng), rng.uniform(0.38, 0.54)
    at = (side * scene.width * 0.86, rib)
    scene.soft += np.float32(0.20 + 0.26 * severity) * glow(scene.x, scene.y, at, (0.034, 0.060))
    for offset in (-0.035, 0.035):
        scene.bone += np.float32(0.16) * glow(scene.x, scene.y, (at[0], at[1] + offset), (0.010, 0.008))


def rib_break(scene: Frontal, severity: float, rng: np.random.Generator) -> Map:
    """Displacement [H, W] of the ribs, in rib spacings: lateral ends of two or three of them step down."""
    side, rib = side_of(rng), rng.uniform(0.38, 0.54)
    beyond = ramp(scene.x * side - np.float32(scene.width * 0.80), 0.006)
    near = glow(scene.x, scene.y, (side * scene.width * 0.9, rib), (0.08, 0.055))
    out: Map = -np.float32(0.20 + 0.25 * severity) * beyond * np.minimum(near * 1.6, 1)
    return out


def lung_lesion(scene: Frontal, severity: float, look: Look, rng: np.random.Generator) -> None:
    """One to three round nodules or a mass."""
    side = side_of(rng)
    for number in range(1 + int(rng.integers(3))):
        where = (side if number == 0 else -side) * rng.uniform(0.15, 0.26)
        radius = (0.030 + 0.042 * severity) * rng.uniform(0.8, 1.2)
        nodule = chord(scene.x, scene.y, (where, rng.uniform(0.30, 0.58)), (radius, radius * 0.92))
        scene.soft += np.float32(0.24 + 0.20 * severity) * nodule * ramp(scene.depth_in, 0.02)


def lung_opacity(scene: Frontal, severity: float, look: Look, rng: np.random.Generator) -> None:
    """Broad hazy density without borders, on one side or both."""
    for side in _sides(rng, 0.35):
        centre = (side * rng.uniform(0.14, 0.22), rng.uniform(0.38, 0.62))
        patch = _patch(scene, rng, centre, (0.085, 0.11), 0.25)
        scene.fill((0.26 + 0.34 * severity) * patch)


def pleural_effusion(scene: Frontal, severity: float, look: Look, rng: np.random.Generator) -> None:
    """Erect: a meniscus above the diaphragm. Lying: a veil over the whole lung, denser towards the base."""
    for side in _sides(rng, 0.45):
        base = scene.base[0 if side < 0 else 1]
        half = scene.half(side)
        if look.recumbent:
            veil = ramp(scene.y - (base - 0.20), 0.65) * half
            scene.fill((0.32 + 0.45 * severity) * veil)
            scene.soft += np.float32(0.05) * veil * (scene.lung > 0.02)
            continue
        out = np.clip(np.abs(scene.x) / scene.width, 0, 1)
        level = base + 0.075 - 0.25 * severity - (0.05 + 0.05 * severity) * out**3
        fluid = ramp(scene.y - level, 0.020) * half
        scene.fill(0.92 * fluid)
        scene.soft += np.float32(0.06) * fluid * (scene.lung > 0.02)


def pleural_other(scene: Frontal, severity: float, look: Look, rng: np.random.Generator) -> None:
    """Thickened pleura along the chest wall with calcified plaques."""
    for side in _sides(rng, 0.3):
        top = rng.uniform(0.30, 0.38)
        run = ramp(scene.y - top, 0.05) * ramp(top + 0.24 + 0.12 * severity - scene.y, 0.08) * scene.half(side)
        thick = 0.030 + 0.040 * severity
        rind = ramp(thick * (1 + 0.3 * cloud(rng, scene.canvas, 12)) - scene.depth_in, 0.010)
        rind *= ramp(scene.depth_in, 0.008) * run
        scene.fill(0.8 * rind)
        scene.bone += np.float32(0.10 + 0.12 * severity) * rind * (cloud(rng, scene.canvas, 22) > 0.5)


def pneumonia(scene: Frontal, severity: float, look: Look, rng: np.random.Generator) -> None:
    """Several confluent patches in one zone, sometimes a second focus opposite."""
    for number, side in enumerate(_sides(rng, 0.35)):
        zone = (side * rng.uniform(0.17, 0.24), rng.uniform(0.50, 0.66))
        for _ in range(4 if number == 0 else 2):
            centre = (zone[0] + 0.045 * rng.standard_normal(), zone[1] + 0.045 * rng.standard_normal())
            size = rng.uniform(0.022, 0.045)
            patch = _patch(scene, rng, centre, (size * 1.2, size), 0.45)
            scene.fill((0.34 + 0.40 * severity) * patch)


def pneumothorax(scene: Frontal, severity: float, look: Look, rng: np.random.Generator) -> None:
    """Erect: a dark rim without markings over the apex and flank. Lying: a deep, dark sulcus at the base."""
    side = side_of(rng)
    half = scene.half(side)
    if look.recumbent:
        rise = ramp(scene.y - (0.60 - 0.10 * severity), 0.10)
    else:
        rise = 1 - 0.75 * ramp(scene.y - (0.42 + 0.15 * severity), 0.45)
    inner = (0.036 + 0.105 * severity) * rise
    apical = 0.0 if look.recumbent else (0.03 + 0.09 * severity)
    edge = np.minimum(scene.depth_in - inner, scene.y - np.float32(scene.apex + 0.02 + apical))
    free = ramp(-edge, 0.008) * ramp(scene.depth_in, 0.008) * half
    collapsed = ramp(edge, 0.008) * half
    scene.air *= 1 + 0.22 * free
    scene.vessels *= 1 - free
    scene.fill((0.10 + 0.20 * severity) * collapsed)
    scene.soft += np.float32(0.15) * band(edge, 0.007) * half * scene.lung


def emphysema(scene: Frontal, severity: float, look: Look, rng: np.random.Generator) -> None:
    """Dark, overinflated lungs with thinned markings (the flat diaphragm is geometry)."""
    scene.air *= np.float32(1.04 + 0.08 * severity)


def fibrosis(scene: Frontal, severity: float, look: Look, rng: np.random.Generator) -> None:
    """A fine net at the bases and the periphery."""
    net = np.abs(cloud(rng, scene.canvas, 34)) * np.abs(cloud(rng, scene.canvas, 40))
    where = ramp(scene.y - 0.45, 0.3) * (0.4 + 0.6 * ramp(0.12 - scene.depth_in, 0.10))
    scene.soft += np.float32(0.10 + 0.16 * severity) * np.clip(1 - 2.2 * net, 0, 1) * where * scene.lung * scene.air


def hernia(scene: Frontal, severity: float, look: Look, rng: np.random.Generator) -> None:
    """A stomach behind the heart: a round wall around air."""
    centre, radius = (0.03, scene.base[1] - 0.05), 0.045 + 0.035 * severity
    sac = chord(scene.x, scene.y, centre, (radius * 1.2, radius))
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
"""Painters of the frontal view; support devices have their own module."""
