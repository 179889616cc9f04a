"""One radiograph from a look and its seeds."""

import zlib

import numpy as np
from numpy.typing import NDArray

from mmsn.synthetic.phantom import devices, frontal_findings, lateral_findings
from mmsn.synthetic.phantom.anatomy import Anatomy, draw_anatomy
from mmsn.synthetic.phantom.canvas import Canvas, Map
from mmsn.synthetic.phantom.exposure import draw_exposure, expose
from mmsn.synthetic.phantom.frontal import draw_frontal, draw_ribs
from mmsn.synthetic.phantom.lateral import draw_lateral
from mmsn.synthetic.phantom.look import Look, Seeds
from mmsn.synthetic.phantom.scene import Scene


def render(look: Look, seeds: Seeds, height: int, width: int) -> NDArray[np.uint8]:
    """Draw one radiograph as grey levels [height, width].

    The same seeds give the same anatomy, exposure and noise whatever the look is, so two renderings that differ in
    one property show that property alone.
    """
    anatomy = draw_anatomy(np.random.default_rng(seeds.patient))
    exposure = draw_exposure(np.random.default_rng(seeds.image), look)
    canvas = Canvas(height, width)
    draw = _lateral if look.lateral else _frontal
    attenuation = draw(look, anatomy, canvas, seeds)
    facing = _facing(look, seeds)
    if facing > 0:
        attenuation = np.ascontiguousarray(attenuation[:, ::-1])
    return expose(attenuation, exposure, canvas, marker_side=-facing)


def _facing(look: Look, seeds: Seeds) -> int:
    """-1 as drawn; 1 mirrored: two thirds of the laterals that are no left laterals."""
    mirrored = np.random.default_rng((*seeds.study, 2)).uniform() < 2 / 3
    return 1 if look.view == "LATERAL" and mirrored else -1


def _generator(seeds: Seeds, finding: str) -> np.random.Generator:
    """Random numbers of one finding of one patient: its side and place persist over studies and views."""
    return np.random.default_rng((*seeds.patient, zlib.crc32(finding.encode())))


def _frontal(look: Look, anatomy: Anatomy, canvas: Canvas, seeds: Seeds) -> Map:
    collapsed, free = (frontal_findings.side_of(_generator(seeds, name)) for name in ("Atelectasis", "Pneumothorax"))
    scene = draw_frontal(look, anatomy, canvas, collapsed, free)
    broken = None
    if look.severity("Fracture"):
        rng = _generator(seeds, "Fracture")
        broken = frontal_findings.rib_break(scene, look.severity("Fracture"), rng)
    draw_ribs(scene, look, anatomy, broken)
    for name, paint in frontal_findings.PAINTERS.items():
        if severity := look.severity(name):
            paint(scene, severity, look, _generator(seeds, name))
    _devices(scene, look, seeds)
    return scene.attenuation()


def _lateral(look: Look, anatomy: Anatomy, canvas: Canvas, seeds: Seeds) -> Map:
    scene = draw_lateral(look, anatomy, canvas)
    for name, paint in lateral_findings.PAINTERS.items():
        if severity := look.severity(name):
            paint(scene, severity, look, _generator(seeds, name))
    _devices(scene, look, seeds)
    return scene.attenuation()


def _devices(scene: Scene, look: Look, seeds: Seeds) -> None:
    devices.draw_devices(scene, look, np.random.default_rng(seeds.study))
    devices.draw_electrodes(scene, look, np.random.default_rng((*seeds.study, 1)))
