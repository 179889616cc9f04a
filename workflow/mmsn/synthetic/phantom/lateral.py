"""The lateral radiograph (LATERAL or LL) of a chest without findings; anterior is the image's left until mirrored.

Sex: breasts in front of the chest; age: kyphosis, thin vertebrae, calcified aorta; death: wasted wall, haze;
recumbent: high diaphragm, no gastric level. LL is taken with a longer field and faces left, LATERAL faces right
and shows a heart magnified by the right-sided tube.
"""

from dataclasses import dataclass

import numpy as np

from mmsn.synthetic.phantom.anatomy import Anatomy
from mmsn.synthetic.phantom.canvas import Canvas, Map, band, chord, cloud, glow, ramp, strokes
from mmsn.synthetic.phantom.look import Look
from mmsn.synthetic.phantom.scene import Scene

HILUM = (0.02, 0.43)
"""Place of the hila."""


@dataclass
class Lateral(Scene):
    """A lateral scene with the landmarks that findings are placed by."""

    front: Map
    """Anterior border of the lungs, [H, 1]."""
    back: Map
    """Posterior border of the lungs, [H, 1]."""
    dome: Map
    """Height of the diaphragm, [1, W]."""
    spine: Map
    """Middle of the vertebral column, [H, 1]."""
    heart: tuple[float, float, float, float]
    """Centre and radii."""
    base: float
    apex: float


def draw_lateral(look: Look, anatomy: Anatomy, canvas: Canvas) -> Lateral:
    """Draw the chest with the findings that change sizes (heart, mediastinum, diaphragm), and no others."""
    scene = _cage(look, anatomy, canvas)
    _soft_tissue(scene, look, anatomy)
    _organs(scene, look, anatomy)
    _skeleton(scene, look, anatomy)
    _vessels(scene, look, anatomy)
    rng = np.random.default_rng(anatomy.vessel_seed + 1)
    scene.air *= 1 + 0.045 * cloud(rng, canvas, 4) - (0.14 if look.died else 0.0) + 0.03 * look.years
    return scene


def _cage(look: Look, anatomy: Anatomy, canvas: Canvas) -> Lateral:
    x, y = canvas.x, canvas.y
    depth = 0.255 * anatomy.depth * (1 + 0.03 * look.male)
    kyphosis = 0.012 + 0.050 * look.years
    along = np.clip((y - anatomy.apex) / 0.6, 0, 1.4)
    rise = 1 - np.clip(1 - along * 1.15, 0, 1) ** 2.4
    hump = np.sin(np.float32(np.pi) * np.clip((y - 0.1) / 0.8, 0, 1))
    front = -depth * rise * (0.93 + 0.10 * along)
    back = depth * 0.98 * (0.33 + 0.67 * rise) + kyphosis * hump
    lift = 0.045 * look.recumbent + 0.05 * look.severity("Atelectasis") - 0.03 * look.severity("Emphysema")
    base = anatomy.dome - 0.005 - lift
    dome = base + 1.0 * np.clip(np.abs(x + 0.07) - 0.03, 0, None) ** 2 + 0.28 * np.clip(x, 0, None)
    inside = ramp(x - front, 0.012) * ramp(back - x, 0.012) * ramp(dome - y, 0.012) * ramp(y - anatomy.apex, 0.03)
    thick = np.clip(np.minimum(x - front, back - x) / 0.10, 0, 1) ** 0.5
    size = anatomy.heart * (1.06 if look.view == "LATERAL" else 1.0)
    cardiomegaly = look.severity("Cardiomegaly")
    size *= 1 + (0.08 + 0.24 * cardiomegaly) * (cardiomegaly > 0)
    blank = np.zeros(canvas.shape, np.float32)
    return Lateral(
        canvas=canvas, x=x, y=y, soft=blank.copy(), bone=blank.copy(), metal=blank.copy(), lung=inside * thick,
        air=np.full(canvas.shape, 0.95, np.float32), vessels=blank, front=front, back=back, dome=dome,
        spine=back - 0.042, heart=(-0.085 + 0.10 * (size - 1), base - 0.10 * size, 0.165 * size, 0.115 * size),
        base=base, apex=anatomy.apex,
    )  # fmt: skip


def _soft_tissue(scene: Lateral, look: Look, anatomy: Anatomy) -> None:
    x, y = scene.x, scene.y
    wall = 0.040 * anatomy.fat * (0.5 if look.died else 1.0) + 0.01
    neck = 0.10 + 0.09 * np.clip((y - 0.02) / 0.22, 0, 1) ** 1.6
    middle = (scene.front + scene.back) / 2 + 0.02
    half = np.maximum((scene.back - scene.front) / 2 + wall + 0.045, neck)
    across = np.clip(np.abs(x - middle) / half, 0, 1)
    scene.soft += (0.74 + 1.3 * wall) * np.sqrt(1 - across**4)
    # Raised arms and shoulders cover the top; the abdomen is dense.
    raised = ramp(0.10 - np.abs(y - 0.02 + 0.35 * x), 0.08) * ramp(0.22 - y, 0.20)
    scene.soft += 0.10 * raised + 0.12 * ramp(0.16 - y, 0.24) * ramp(0.16 - np.abs(x - 0.05), 0.20)
    below = ramp(y - scene.dome, 0.012) * ramp(x - scene.front, 0.03) * ramp(scene.back - x, 0.03)
    scene.soft += 0.14 * below
    if not look.male:
        size = 0.085 * min(1.4, anatomy.breast * (0.8 if look.died else 1.0))
        at = (float(scene.front.min()) - 0.030, 0.56 + 0.05 * look.years)
        scene.soft += 0.30 * min(1.2, anatomy.breast) * chord(x, y, at, (size * 0.90, size * 1.25)) ** 1.3
    if not look.recumbent:
        bubble = chord(x, y, (-0.01, scene.base + 0.055), (0.06, 0.035)) * ramp(scene.base + 0.06 - y, 0.01)
        scene.soft -= 0.24 * bubble


def _organs(scene: Lateral, look: Look, anatomy: Anatomy) -> None:
    """Heart, aortic arch and descending aorta, trachea, upper mediastinum."""
    x, y = scene.x, scene.y
    cx, cy, a, b = scene.heart
    heart = chord(x, y, (cx, cy), (a, b), -0.75)
    outflow = chord(x, y, (cx + 0.03, cy - 0.11), (0.075, 0.13), 0.35)
    wide = look.severity("Enlarged Cardiomediastinum")
    upper = glow(x, y, (-0.05, 0.27), (0.055 + 0.03 * wide, 0.09)) * (0.45 + 0.35 * wide)
    radius = 0.085 + 0.03 * look.years + 0.02 * wide
    ring = np.hypot(x - 0.045, y - 0.36) - radius
    arch = band(ring, 0.030 + 0.02 * look.years) * ramp(0.42 - y, 0.1)
    descending = ramp(0.024 - np.abs(x - scene.spine + 0.055), 0.02) * ramp(y - 0.36, 0.05)
    solid = np.maximum(np.maximum(heart**0.7, 0.7 * outflow), np.maximum(upper, 0.45 * arch))
    scene.air *= 1 - 0.85 * np.clip(np.maximum(solid, 0.25 * descending * (0.4 + look.years)), 0, 1)
    scene.soft += 0.14 * heart + 0.05 * arch
    scene.bone += 0.22 * max(0.0, look.years - 0.25) * band(ring + 0.02, 0.008) * ramp(0.40 - y, 0.05)
    scene.soft -= 0.16 * band(x + 0.015 - 0.13 * y, 0.020) * ramp(0.40 - y, 0.03)
    scene.soft += 0.10 * glow(x, y, HILUM, (0.035, 0.045))


def _skeleton(scene: Lateral, look: Look, anatomy: Anatomy) -> None:
    """Vertebrae, sternum and both sides' ribs sloping forwards."""
    x, y = scene.x, scene.y
    density = anatomy.bone * (1.15 - 0.50 * look.years)
    column = ramp(0.030 - np.abs(x - scene.spine), 0.010)
    gaps = ramp(np.cos(np.float32(2 * np.pi / 0.062) * (y + 0.4 * (x - scene.spine))) + 0.80, 0.5)
    scene.bone += 0.17 * density * column * (0.50 + 0.50 * gaps)
    sternum = ramp(0.010 - np.abs(x - scene.front + 0.012), 0.008) * ramp(y - 0.24, 0.04) * ramp(0.66 - y, 0.08)
    scene.bone += 0.16 * density * sternum
    phase = rib_phase(scene, anatomy)
    distance = np.abs(phase - np.round(phase))
    cage = ramp(x - scene.front, 0.03) * ramp(scene.back - x + 0.01, 0.02) * ramp(y - 0.16, 0.05)
    scene.bone += 0.075 * density * ramp(0.18 - distance, 0.12) * cage * (0.4 + 0.6 * ramp(scene.dome - y, 0.08))


def rib_phase(scene: Lateral, anatomy: Anatomy) -> Map:
    """Where [H, W] lies between ribs, which slope down towards the front."""
    out: Map = (scene.y + 0.42 * scene.x - 0.5 * scene.x**2 - 0.17) / np.float32(anatomy.rib_spacing * 1.1)
    return out - np.float32(anatomy.rib_phase)


def _vessels(scene: Lateral, look: Look, anatomy: Anatomy) -> None:
    rng = np.random.default_rng(anatomy.vessel_seed)
    count = 26
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)[:, None] + rng.normal(0, 0.15, (count, 1))
    begin = rng.choice([0.0, 0.03, 0.07], (count, 1))
    reach = begin + rng.uniform(0.08, 0.17, (count, 1)) * np.linspace(0, 1, 6)[None, :]
    bend = angle + rng.normal(0, 0.4, (count, 1)) * np.linspace(0, 1, 6)[None, :]
    xs, ys = HILUM[0] + reach * np.cos(bend), HILUM[1] + 1.1 * reach * np.sin(bend)
    full = 1 + 0.35 * look.recumbent + 0.6 * look.severity("Edema") - 0.35 * look.severity("Emphysema")
    scene.vessels = np.float32(0.13 * anatomy.vessels * full) * strokes(scene.canvas, xs, ys, 0.007)
