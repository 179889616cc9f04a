"""Radiographs to be drawn, and drawing them in parallel."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmsn import console
from mmsn.synthetic.exact import Integers, Numbers
from mmsn.synthetic.model import StudyEhr
from mmsn.synthetic.phantom import Look, Seeds, render

JPEG_QUALITY = 92
_BATCH = 32


@dataclass(frozen=True)
class Plate:
    """One radiograph: where it goes, what it shows, how large it is."""

    path: str
    look: Look
    seeds: Seeds
    height: int
    width: int


@dataclass(frozen=True)
class Shown:
    """What the radiographs of one data set show, by study [S], and which of them each image [N] belongs to."""

    ehr: StudyEhr
    severity: Numbers
    """[S, F]."""
    names: tuple[str, ...]
    """Names of the F findings."""
    study: Integers
    view: NDArray[np.str_]
    """By image."""


def plates_of(
    shown: Shown, paths: Sequence[str], rows: Integers, columns: Integers, seed: tuple[int, int]
) -> list[Plate]:
    """One plate an image; `seed` differs between data sets, so that no two share a patient."""
    ehr = shown.ehr
    plates = []
    for image, study in enumerate(shown.study.tolist()):
        present = np.flatnonzero(shown.severity[study])
        look = Look(
            view=str(shown.view[image]),
            male=bool(ehr.male[study]),
            age=float(ehr.age[study]),
            recumbent=bool(ehr.recumbent[study]),
            icu=bool(ehr.icu[study]),
            died=bool(ehr.died[study]),
            findings={shown.names[number]: float(shown.severity[study, number]) for number in present},
        )
        seeds = Seeds((*seed, 0, int(ehr.patient[study])), (*seed, 1, study), (*seed, 2, image))
        plates.append(Plate(paths[image], look, seeds, int(rows[image]), int(columns[image])))
    return plates


def draw_plates(plates: Sequence[Plate], folder: Path, workers: int) -> None:
    """Draw and save all plates under `folder`; their bytes do not depend on `workers`."""
    for path in {(folder / plate.path).parent for plate in plates}:
        path.mkdir(parents=True, exist_ok=True)
    if workers <= 1:
        for plate in console.progress(plates, "drawing"):
            draw_plate(folder, plate)
        return
    batches = [plates[at : at + _BATCH] for at in range(0, len(plates), _BATCH)]
    # Spawned, not forked: a fork copies the locks of whatever threads the caller runs.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        done: Iterable[int] = pool.map(partial(_draw_batch, folder), batches)
        for _ in console.progress(done, f"drawing ({_BATCH} a step)", len(batches)):
            pass


def draw_plate(folder: Path, plate: Plate) -> None:
    """Draw and save one plate: JPEG or PNG by its suffix, 8-bit grey."""
    pixels = render(plate.look, plate.seeds, plate.height, plate.width)
    image = Image.fromarray(pixels)
    if plate.path.endswith(".png"):
        image.save(folder / plate.path, compress_level=4)
    else:
        image.save(folder / plate.path, quality=JPEG_QUALITY)


def _draw_batch(folder: Path, plates: Sequence[Plate]) -> int:
    for plate in plates:
        draw_plate(folder, plate)
    return len(plates)
