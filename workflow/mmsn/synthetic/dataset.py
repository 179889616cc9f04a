"""Writing a whole synthetic data set: complete or not at all."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mmsn import files
from mmsn.console import logger
from mmsn.errors import UserError
from mmsn.synthetic import mimic_cxr
from mmsn.synthetic.chexpert import write_chexpert
from mmsn.synthetic.labelling import second_opinion
from mmsn.synthetic.marker import MARKER
from mmsn.synthetic.measurements import write_measurements
from mmsn.synthetic.mimic_iv import write_mimic_iv
from mmsn.synthetic.model import FINDINGS
from mmsn.synthetic.nih import write_nih
from mmsn.synthetic.plates import Plate, Shown, draw_plates, plates_of
from mmsn.synthetic.settings import SynthSettings
from mmsn.synthetic.splits import SPLITS
from mmsn.synthetic.tables import write_csv
from mmsn.synthetic.truth import parameters, truth_json, truth_table
from mmsn.synthetic.world import World, draw_world

README = """This data set is synthetic. It has the files and columns of MIMIC-IV, MIMIC-CXR-JPG, CheXpert and NIH
ChestX-ray14, and about their published proportions, but no patient, no study and no radiograph in it is real: tables
and pixels were drawn at random by `mmsn synth`. It is not MIMIC and supports no clinical conclusion. What was drawn
for each image is in truth.parquet, and the model it was drawn from in truth.json.
"""


def write_dataset(settings: SynthSettings, output: Path, workers: int = 1) -> None:
    """Write the data set to the folder `output`, which appears only when it is complete.

    Args:
        settings: what the data set depends on; equal settings give equal bytes, whatever the number of workers.
        output: a folder that does not exist or is empty, or an equal data set, which is then left as it is.
        workers: processes that draw radiographs.

    Raises:
        UserError: `output` holds another data set or other files.
    """
    if _is_there(settings, output):
        logger.info("%s is complete and was made with the same parameters: left as it is", output)
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{output.name}-", dir=output.parent))
    try:
        _write(settings, temporary, workers)
        temporary.replace(output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    logger.info("wrote %s", output)


def _is_there(settings: SynthSettings, output: Path) -> bool:
    """Whether the same data set is there already."""
    if not output.exists():
        return False
    if not output.is_dir():
        raise UserError(f"{output} is a file, not a folder; choose another folder")
    if not any(output.iterdir()):
        return False
    step = "choose another folder or delete it"
    truth = output / MARKER
    if not truth.exists():
        raise UserError(f"{output} holds files but no synthetic data set (no {MARKER}); {step}")
    differing = _differences(files.read_json(truth).get("parameters", {}), parameters(settings))
    if differing:
        raise UserError(f"{output} holds a data set made with other parameters ({differing}); {step}")
    return True


def _differences(there: dict[str, Any], wanted: dict[str, Any]) -> str:
    names = [name for name in {**wanted, **there} if there.get(name) != wanted.get(name)]
    return ", ".join(f"{name} is {there.get(name)}, not {wanted.get(name)}" for name in names)


def _write(settings: SynthSettings, folder: Path, workers: int) -> None:
    world = draw_world(settings)
    _write_tables(settings, world, folder)
    if not settings.tables_only:
        plates = _within("mimic-cxr-jpg", _mimic_plates(settings, world))
        if settings.external:
            plates += _within("chexpert", write_chexpert(settings, folder / "chexpert"))
            plates += _within("nih-14", write_nih(settings, folder / "nih-14"))
        logger.info("drawing %d radiographs", len(plates))
        draw_plates(plates, folder, workers)
    files.write_table(folder / "truth.parquet", truth_table(world))
    files.write_text(folder / "README.txt", README)
    files.write_json(folder / MARKER, truth_json(settings, world))


def _write_tables(settings: SynthSettings, world: World, folder: Path) -> None:
    rng = np.random.default_rng((settings.seed, 10))
    write_mimic_iv(rng, world.hospital, settings.mimic_iv_version, folder / "mimic-iv")
    apart = np.random.default_rng((settings.seed, 11))  # so that the other tables stay what they are
    write_measurements(apart, world.hospital, settings.mimic_iv_version, folder / "mimic-iv")
    cxr = folder / "mimic-cxr-jpg"
    mimic_cxr.write_metadata(cxr, world)
    mimic_cxr.write_split(cxr, world)
    mimic_cxr.write_labels(cxr, world, "chexpert", world.reports.codes)
    mimic_cxr.write_labels(cxr, world, "negbio", second_opinion(rng, world.reports.codes))
    mimic_cxr.write_radiologist(cxr, world, np.random.default_rng((settings.seed, 12)))
    _write_medfuse(rng, world, folder / "medfuse")


def _write_medfuse(rng: np.random.Generator, world: World, folder: Path) -> None:
    """MedFuse's patient lists: they also name patients of MIMIC-IV who have no radiograph."""
    patients = world.hospital.patients
    others = rng.permutation(patients.subject_id[patients.imaged :])
    for name, number in (("validation", SPLITS.index("validate")), ("test", SPLITS.index("test"))):
        listed = patients.subject_id[: patients.imaged][world.splits.medfuse == number]
        extra = others[len(listed) * (number - 1) : len(listed) * number]
        write_csv(folder / f"{name}.csv", {"subject_id": np.sort(np.r_[listed, extra])})


def _mimic_plates(settings: SynthSettings, world: World) -> list[Plate]:
    latent, filed = world.latent, world.files
    shown = Shown(latent.ehr, world.reports.findings.severity, FINDINGS, world.images.study, latent.view)
    return plates_of(shown, filed.path, filed.rows, filed.columns, (settings.seed, 20))


def _within(folder: str, plates: list[Plate]) -> list[Plate]:
    return [replace(plate, path=f"{folder}/{plate.path}") for plate in plates]
