"""The frontal radiograph (AP or PA) of a chest without findings.

Patient right is image left, as displayed. Sex, age, projection, position, ICU and death are seen here:
sex: breasts, broader shoulders; age: unfolded and calcified aorta, thin bone, small stature below 18;
AP: large heart and mediastinum, high clavicles, scapulae over the lungs, shallow inspiration;
recumbent: high diaphragm, full upper vessels, no gastric air level; death: wasted chest wall, hazy lungs.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmsn.synthetic.phantom.anatomy import Anatomy
from mmsn.synthetic.phantom.canvas import Canvas, Map, band, chord, cloud, glow, ramp, strokes
from mmsn.synthetic.phantom.look import Look
from mmsn.synthetic.phantom.scene import Scene

WIDEST = 0.60
"""Height at which the lungs are widest."""
HILUM = (0.095, 0.44)
"""Distance of the hila from the midline, and their height."""


@dataclass
class Frontal(Scene):
    """A frontal scene with the landmarks that findings are placed by."""

    side: Map
    """[1, W]: -1 on the image's left (patient's right lung), +1 on its right."""
    lateral: Map
    """Distance of the chest wall from the midline, [H, W]."""
    depth_in: Map
    """Distance inside the chest wall, positive in the chest, [H, W]."""
    dome: Map
    """Height of the diaphragm, [1, W]."""
    heart: tuple[float, float, float, float, float]
    """Centre x, y, radii and angle."""
    apex: float
    base: tuple[float, float]
    """Top of the right and left dome."""
    width: float

    def half(self, side: int) -> Map:
        """1 on one side of the midline, 0 on the other, [1, W]."""
        return ramp(self.x * side, 0.01)


@dataclass(frozen=True)
class Geometry:
    """Lengths that the EHR and the volume-changing findings act on, in image heights."""

    width: float
    apex: float
    domes: tuple[float, float]
    shift: float
    """Shift of the mediastinum, positive to the image's right."""
    heart: float
    mediastinum: float
    knob: float
    curve: float
    """Steepness of the diaphragm: flat in emphysema."""


def geometry(look: Look, anatomy: Anatomy, collapsed_side: int, pneumothorax_side: int) -> Geometry:
    """Lengths for this patient, position and findings.

    `collapsed_side` (-1 or 1) is where an atelectasis would pull, `pneumothorax_side` where free air would push.
    """
    ap, lying, small = look.view == "AP", look.recumbent, max(0.0, (18 - look.age) / 10)
    lift = 0.020 * ap + 0.045 * lying + 0.02 * small - 0.035 * look.severity("Emphysema")
    collapse = look.severity("Atelectasis")
    pull = (0.025 + 0.05 * collapse) * (collapse > 0)
    right = anatomy.dome - lift - pull * (collapsed_side < 0)
    left = anatomy.dome + anatomy.left_drop - lift - pull * (collapsed_side > 0)
    # A large pneumothorax pushes the mediastinum away from its side.
    pushed = -pneumothorax_side * 0.030 * max(0.0, look.severity("Pneumothorax") - 0.4)
    cardiomegaly = look.severity("Cardiomegaly")
    wide = look.severity("Enlarged Cardiomediastinum")
    return Geometry(
        width=anatomy.width * (1 - 0.10 * small) * (1.0 + 0.025 * look.male),
        apex=anatomy.apex + 0.012 * lying + 0.02 * look.years * 0.5,
        domes=(right, left),
        shift=collapsed_side * (0.010 + 0.020 * collapse) * (collapse > 0) + pushed,
        heart=anatomy.heart * (1 + 0.11 * ap) * (1 + (0.08 + 0.24 * cardiomegaly) * (cardiomegaly > 0)),
        mediastinum=anatomy.mediastinum * (1 + 0.12 * ap + 0.10 * lying) * (1 + (0.12 + 0.42 * wide) * (wide > 0)),
        knob=0.030 + 0.022 * look.years + 0.012 * wide,
        curve=1.0 - 0.6 * look.severity("Emphysema"),
    )


def draw_frontal(look: Look, anatomy: Anatomy, canvas: Canvas, collapsed_side: int, pneumothorax_side: int) -> Frontal:
    """Draw the chest with its volume-changing findings (heart size, mediastinal width, collapse) but no others."""
    lengths = geometry(look, anatomy, collapsed_side, pneumothorax_side)
    scene = _cage(look, anatomy, lengths, canvas)
    middle = _midline(scene, anatomy, lengths)
    _soft_tissue(scene, look, anatomy)
    _mediastinum(scene, look, lengths, middle)
    _spine(scene, look, anatomy, middle)
    _girdle(scene, look, anatomy)
    _vessels(scene, look, anatomy)
    _haze(scene, look, anatomy)
    return scene


def _cage(look: Look, anatomy: Anatomy, lengths: Geometry, canvas: Canvas) -> Frontal:
    """Lung fields between chest wall, diaphragm and midline."""
    x, y = canvas.x, canvas.y
    side = np.where(x < 0, np.float32(-1), np.float32(1))
    up = np.clip((WIDEST - y) / (WIDEST - lengths.apex), 0, 1)
    down = np.clip((y - WIDEST) / (1 - WIDEST), 0, 1)
    top = np.float32(0.30 * lengths.width)
    lateral = (top + (lengths.width - top) * (1 - up**2.0) ** 0.62) * (1 - 0.10 * down**1.5)
    dome_top = np.where(x < 0, np.float32(lengths.domes[0]), np.float32(lengths.domes[1]))
    along = (np.abs(x) - 0.45 * lengths.width) / lengths.width
    dome = dome_top + np.float32(lengths.curve) * (0.30 * np.clip(along, 0, None) ** 2.2 + 0.10 * along**2)
    depth_in = lateral - np.abs(x)
    cupola = y - lengths.apex - 0.9 * np.clip(np.abs(x) - 0.09, 0, None) ** 1.5 - 5.0 * (np.abs(x) - 0.09) ** 2
    inside = ramp(depth_in, 0.012) * ramp(dome - y, 0.012) * ramp(cupola, 0.03)
    lung = inside * np.clip(depth_in / 0.11, 0, 1) ** 0.45 * (0.80 + 0.20 * np.clip((y - lengths.apex) / 0.3, 0, 1))
    blank = np.zeros(canvas.shape, np.float32)
    return Frontal(
        canvas=canvas, x=x, y=y, soft=blank.copy(), bone=blank.copy(), metal=blank.copy(), lung=lung,
        air=np.ones(canvas.shape, np.float32), vessels=blank, side=side, lateral=lateral, depth_in=depth_in,
        dome=dome, heart=_heart(look, anatomy, lengths), apex=lengths.apex, base=lengths.domes,
        width=lengths.width,
    )  # fmt: skip


def _heart(look: Look, anatomy: Anatomy, lengths: Geometry) -> tuple[float, float, float, float, float]:
    size = lengths.heart
    floor = lengths.domes[1] + 0.01
    lying = 0.12 * look.recumbent
    centre_x = 0.045 + lengths.shift + 0.055 * (size - 1)
    return centre_x, floor - 0.115 * size, 0.165 * size, 0.128 * size, anatomy.heart_angle * (1 - lying)


def _midline(scene: Frontal, anatomy: Anatomy, lengths: Geometry) -> Map:
    """Midline of spine and mediastinum [H, 1]."""
    return np.float32(anatomy.scoliosis) * np.sin(np.float32(np.pi) * scene.y) + np.float32(lengths.shift * 0.4)


def _soft_tissue(scene: Frontal, look: Look, anatomy: Anatomy) -> None:
    """Neck, shoulders and trunk; breasts of a woman; liver, stomach and its air below the diaphragm."""
    x, y = scene.x, scene.y
    wall = 0.035 * anatomy.fat * (0.55 if look.died else 1.0)
    shoulder = 0.40 + 0.035 * look.male + wall
    slope = np.clip((y - 0.035) / 0.16, 0, 1)
    outline = 0.085 + (shoulder - 0.085) * np.sin(np.float32(np.pi / 2) * slope) ** 0.8
    across = np.clip(np.abs(x) / outline, 0, 1)
    scene.soft += (0.72 + 1.6 * wall) * np.sqrt(1 - across**4) * (0.8 + 0.2 * slope)
    below = ramp(y - scene.dome, 0.012) * ramp(scene.depth_in + 0.02, 0.04)
    scene.soft += 0.14 * below * (1 + 0.6 * (x < 0) * np.clip(0.4 + x, 0, 1))
    _breasts(scene, look, anatomy)
    _stomach(scene, look, below)


def _breasts(scene: Frontal, look: Look, anatomy: Anatomy) -> None:
    if look.male:
        # Pectoral muscles: denser upper outer chest.
        scene.soft += 0.05 * glow(np.abs(scene.x), scene.y, (0.25, 0.33), (0.10, 0.09))
        return
    size = 0.105 * min(1.4, anatomy.breast * (0.80 if look.died else 1.0))
    droop = 0.655 + 0.045 * look.years - 0.02 * look.recumbent
    spread = 0.195 + (0.035 if look.recumbent else 0.0)
    body = chord(np.abs(scene.x), scene.y, (spread, droop), (size * 1.15, size))
    scene.soft += 0.24 * min(1.2, anatomy.breast) * body**0.8


def _stomach(scene: Frontal, look: Look, below: Map) -> None:
    """Gastric air: a bubble with a level when erect, a faint central pool when lying."""
    top = scene.base[1]
    if look.recumbent:
        scene.soft -= 0.10 * glow(scene.x, scene.y, (0.10, top + 0.13), (0.07, 0.035)) * below
        return
    bubble = chord(scene.x, scene.y, (0.15, top + 0.055), (0.060, 0.035)) * ramp(top + 0.062 - scene.y, 0.01)
    scene.soft -= 0.26 * bubble


def _mediastinum(scene: Frontal, look: Look, lengths: Geometry, middle: Map) -> None:
    """Vessels, aortic knob with the calcium of age, trachea with its bifurcation, and the heart."""
    x, y = scene.x - middle - np.float32(lengths.shift), scene.y
    taper = lengths.mediastinum * (0.80 + 0.35 * np.clip((y - 0.15) / 0.35, 0, 1))
    stripe = ramp(taper - np.abs(x), 0.014)
    knob_at = (lengths.mediastinum * 0.75, 0.335)
    knob = chord(x, y, knob_at, (lengths.knob, lengths.knob * 1.15))
    tortuous = 0.02 * look.years
    aorta = ramp(0.030 + tortuous - np.abs(x - 0.03 - tortuous), 0.02) * ramp(y - 0.33, 0.03)
    heart = chord(x + middle + np.float32(lengths.shift), y, *_as_ellipse(scene))
    outflow = chord(x, y, (0.052, scene.heart[1] - 0.10), (0.058 * lengths.heart, 0.105))
    heart = np.maximum(heart, 0.8 * outflow)
    solid = np.maximum(np.maximum(stripe, knob**0.6), np.maximum(aorta * 0.6, heart**0.45))
    scene.air *= 1 - 0.90 * np.clip(solid, 0, 1)
    scene.soft += 0.16 * stripe + 0.16 * knob + 0.24 * heart + 0.05 * aorta
    if look.years > 0.25:
        ring = np.hypot(x - knob_at[0], (y - knob_at[1]) / 1.15) - lengths.knob * 0.85
        scene.bone += 0.34 * (look.years - 0.25) * band(ring, 0.009) * (x > knob_at[0] - 0.01)
    trachea = band(x, 0.021) * ramp(0.385 - y, 0.02) + _bronchi(x, y)
    scene.soft -= 0.17 * np.clip(trachea, 0, 1)


def _as_ellipse(scene: Frontal) -> tuple[tuple[float, float], tuple[float, float], float]:
    x, y, a, b, angle = scene.heart
    return (x, y), (a, b), angle


def _bronchi(x: Map, y: Map) -> Map:
    """Main bronchi: two dark limbs below the carina."""
    limb = band(y - 0.375 - 0.75 * np.abs(x), 0.020)
    out: Map = 0.7 * limb * ramp(0.09 - np.abs(x), 0.03)
    return out


def _spine(scene: Frontal, look: Look, anatomy: Anatomy, middle: Map) -> None:
    x, y = scene.x - middle, scene.y
    density = anatomy.bone * (1.10 - 0.45 * look.years)
    discs = 0.78 + 0.22 * np.cos(np.float32(2 * np.pi / 0.058) * y)
    scene.bone += 0.13 * density * ramp(0.036 - np.abs(x), 0.012) * discs
    scene.bone += 0.05 * density * band(np.abs(x) - 0.022, 0.009) * discs


def _girdle(scene: Frontal, look: Look, anatomy: Anatomy) -> None:
    """Clavicles, and scapulae that only PA turns out of the lungs."""
    x, y, ap = np.abs(scene.x), scene.y, look.view == "AP"
    density = anatomy.bone * (1.10 - 0.40 * look.years)
    lift = 0.045 if ap else 0.0
    path = 0.235 - lift - (0.03 if ap else 0.11) * np.clip(x / 0.34, 0, 1) ** 0.8 - 0.015 * np.sin(x * 14)
    clavicle = band(y - path, 0.016) * ramp(x - 0.035, 0.02) * ramp(0.40 - x, 0.05)
    scene.bone += 0.24 * density * np.minimum(clavicle * 1.6, 1)
    inner = (0.245 if ap else 0.345) + 0.10 * (y - 0.18)
    blade = ramp(x - inner, 0.014) * ramp(inner + 0.12 - x, 0.08) * ramp(y - 0.16, 0.06)
    scene.bone += 0.115 * density * blade * ramp(0.47 - y, 0.10)
    scene.bone += 0.20 * density * chord(x, y, (0.425, 0.205), (0.050, 0.050))


def rib_phase(scene: Frontal, anatomy: Anatomy, anterior: bool) -> Map:
    """Where [H, W] lies between ribs: a whole number in the middle of each rib, counted from the top."""
    out = np.abs(scene.x) / np.float32(scene.width)
    spacing = np.float32(anatomy.rib_spacing * (1.25 if anterior else 1.0))
    slope = np.float32(anatomy.rib_slope)
    if anterior:
        curve = 0.16 * np.clip(1 - out, 0, 1) ** 1.2 + 0.02
    else:
        curve = slope * out**2.2 - 0.035 * np.sin(np.float32(2.6) * np.clip(out, 0, 1.2))
    phase: Map = (scene.y - curve - 0.155) / spacing - np.float32(anatomy.rib_phase * 0.6)
    return phase


def draw_ribs(scene: Frontal, look: Look, anatomy: Anatomy, broken: Map | None = None) -> None:
    """Posterior ribs with bright rims and fainter anterior ribs; `broken` [H, W] displaces them, in spacings."""
    density = anatomy.bone * (1.15 - 0.50 * look.years) * (1.12 if look.male else 0.95)
    cage = ramp(scene.depth_in + 0.012, 0.02) * (0.45 + 0.55 * ramp(scene.dome + 0.02 - scene.y, 0.1))
    phase = rib_phase(scene, anatomy, anterior=False)
    if broken is not None:
        phase = phase + broken
    scene.bone += 0.135 * density * cage * _rib(phase, 0.24) * (phase > -0.5)
    front = rib_phase(scene, anatomy, anterior=True)
    reach = ramp(np.abs(scene.x) / np.float32(scene.width) - 0.50, 0.2)
    scene.bone += 0.075 * density * cage * _rib(front, 0.20) * reach * (front > 0)


def _rib(phase: Map, half: float) -> Map:
    """Profile across a rib: a plateau with denser cortical rims."""
    distance = np.abs(phase - np.round(phase))
    out: Map = ramp(half - distance, 0.10) * (0.70 + 0.30 * band(distance - half + 0.05, 0.10) * 1.5)
    return out


def _vessels(scene: Frontal, look: Look, anatomy: Anatomy) -> None:
    """Branching markings out of the hila; oedema and lying fill the upper ones."""
    rng = np.random.default_rng(anatomy.vessel_seed)
    sides = [_tree(rng, side) for side in (-1, 1)]
    xs, ys = np.concatenate([s[0] for s in sides]), np.concatenate([s[1] for s in sides])
    thick, thin = slice(None, None, 2), slice(1, None, 2)
    full = 1 + 0.35 * look.recumbent + 0.6 * look.severity("Edema") - 0.35 * look.severity("Emphysema")
    tree = 0.16 * strokes(scene.canvas, xs[thick], ys[thick], 0.010)
    tree += 0.12 * strokes(scene.canvas, xs[thin], ys[thin], 0.005)
    scene.vessels = np.float32(anatomy.vessels * full) * tree
    hila = glow(np.abs(scene.x), scene.y, HILUM, (0.026, 0.050))
    scene.vessels += np.float32(0.22 * (0.6 + 0.4 * full)) * hila


def _tree(rng: np.random.Generator, side: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Branches [K, P] of one lung, from the hilum to about two thirds of the way to the chest wall."""
    branches, points = 34, 7
    angle = np.linspace(-1.45, 1.25, branches) + rng.normal(0, 0.10, branches)
    start = np.where(rng.uniform(size=branches) < 0.5, 0.01, rng.uniform(0.04, 0.10, branches))
    reach = rng.uniform(0.10, 0.24, branches)
    along = np.linspace(0, 1, points)[None, :]
    bend = angle[:, None] + rng.normal(0, 0.45, (branches, 1)) * along
    distance = start[:, None] + reach[:, None] * along
    xs = side * (HILUM[0] + distance * np.cos(bend))
    return xs, HILUM[1] + 1.25 * distance * np.sin(bend)


def _haze(scene: Frontal, look: Look, anatomy: Anatomy) -> None:
    """Uneven aeration of everyone; hazy lungs of those who die; emptier lungs with age."""
    rng = np.random.default_rng(anatomy.vessel_seed + 1)
    scene.air *= 1 + 0.045 * cloud(rng, scene.canvas, 4) - (0.14 if look.died else 0.0) + 0.03 * look.years
