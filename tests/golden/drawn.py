"""What reference and tests have in common: sizes, cases, and numbers that both draw alike.

So the files beside this one hold the reference's answers and nothing else. NumPy promises that the raw stream of a bit
generator never changes, which it does not promise of its distributions.
"""

import math
import zlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

IMAGES: Final = 4
WIDTH: Final = 16
"""Of the encoder, with DEPTH blocks of HEADS heads."""
DEPTH: Final = 2
HEADS: Final = 2
PATCH: Final = 4
LARGE: Final = 56
"""Side of target and random views: 14 x 14 patches of 4 pixels, as 224 pixels have of 16."""
FOCAL: Final = 24
"""Side of focal views: 6 x 6 patches."""
FOCAL_VIEWS: Final = 10
EHR_COLUMNS: Final = 3
DINO_HEAD: Final = {"hidden": 24, "bottleneck": 12, "outputs": 40}
DECODER: Final = {"depth": 2, "width": 32, "heads": 4}
EPOCHS: Final = 2
STEPS_PER_EPOCH: Final = 5

MSN_CASES: Final[list[dict[str, Any]]] = [
    {"images": 4, "views": 3, "width": 8, "prototypes": 6, "sharpening": 0.25, "iterations": 3, "weight": 1.0},
    {"images": 8, "views": 11, "width": 16, "prototypes": 1024, "sharpening": 0.25, "iterations": 3, "weight": 1.0},
    {"images": 8, "views": 1, "width": 4, "prototypes": 5, "sharpening": 0.5, "iterations": 0, "weight": 0.0},
    {"images": 3, "views": 2, "width": 4, "prototypes": 7, "sharpening": 1.0, "iterations": 1, "weight": 2.5},
]
PRIOR_EXPONENTS: Final = [0.25, 1.0]
"""Of PMSN's prior, taken on the first two cases of MSN."""
DINO_CASE: Final = {"images": 3, "teacher_views": 2, "student_views": 5, "outputs": 20, "epochs": 8}
DINO_TEMPERATURES: Final = {"start": 0.04, "end": 0.07, "epochs": 5}
MASKS: Final = [(196, 0.15), (36, 0.15), (197, 0.6)]
"""Sequence lengths as the released code hands them over: MSN's without the class token, MAE's with it."""


def drawn(*address: int | str, shape: tuple[int, ...], spread: float = 1.0) -> Array:
    """Uniform numbers of [-spread, spread), a function of the address."""
    seed = [zlib.crc32(str(part).encode()) for part in address]
    raw = np.random.PCG64(seed).random_raw(math.prod(shape))
    return (((raw >> np.uint64(40)) / 2**23 - 1.0) * spread).astype(np.float32).reshape(shape)


def weight(name: str, shape: tuple[int, ...]) -> Array:
    """A parameter of that name: no two equal, none of them zero, scales of norms around 1."""
    if len(shape) == 1:
        return drawn(name, shape=shape, spread=0.2) + np.float32(name.endswith("weight"))
    if shape[0] == 1:  # tokens and positions
        return drawn(name, shape=shape, spread=0.5)
    return drawn(name, shape=shape, spread=math.sqrt(3 / math.prod(shape[1:])))


def noise(step: int, images: int, tokens: int) -> Array:
    """The uniform noise of [0, 1) whose order says which tokens are kept."""
    return (drawn("noise", step, shape=(images, tokens)) + 1) / 2


def msn_inputs(case: int) -> tuple[Array, Array, Array]:
    """Anchors, targets and prototypes of one of `MSN_CASES`."""
    chosen = MSN_CASES[case]
    rows = {"anchors": chosen["images"] * chosen["views"], "targets": chosen["images"]}
    rows["prototypes"] = chosen["prototypes"]
    anchors, targets, prototypes = (drawn(name, case, shape=(n, chosen["width"])) for name, n in rows.items())
    return anchors, targets, prototypes


def probabilities(case: int) -> Array:
    """What the targets of one of `MSN_CASES` might say before sharpening: rows sum to 1."""
    chosen = MSN_CASES[case]
    powers = np.exp(3 * drawn("probabilities", case, shape=(chosen["images"], chosen["prototypes"])))
    return powers / powers.sum(axis=1, keepdims=True)


def dino_inputs(epoch: int) -> tuple[Array, Array]:
    """Teacher and student outputs of an epoch: `[2, B, K]`, `[5, B, K]`."""
    images, outputs = DINO_CASE["images"], DINO_CASE["outputs"]
    teacher = drawn("teacher", epoch, shape=(DINO_CASE["teacher_views"], images, outputs))
    return teacher, drawn("student", epoch, shape=(DINO_CASE["student_views"], images, outputs))


def views(step: int) -> dict[str, Array]:
    """Target, random and focal views of a step, view-major, in the range of normalised images."""
    sizes = {"target": (IMAGES, LARGE), "random": (IMAGES, LARGE), "focal": (FOCAL_VIEWS * IMAGES, FOCAL)}
    return {name: drawn(name, step, shape=(n, 3, side, side), spread=2.0) for name, (n, side) in sizes.items()}


def ehr() -> Array:
    """EHR rows of an epoch's images in the order in which the steps take them."""
    return drawn("ehr", shape=(STEPS_PER_EPOCH * IMAGES, EHR_COLUMNS))
