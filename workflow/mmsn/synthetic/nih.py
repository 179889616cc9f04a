"""An NIH-14-shaped set, in the layout of ChestX-ray14 (Wang et al. 2017, release of 2020)."""

from pathlib import Path

import numpy as np

from mmsn.synthetic.exact import Flags, Integers, Numbers
from mmsn.synthetic.external import ExternalSet, draw_external
from mmsn.synthetic.model import FINDINGS
from mmsn.synthetic.phantom import EXTRA_FINDINGS
from mmsn.synthetic.plates import Plate, plates_of
from mmsn.synthetic.settings import SynthSettings
from mmsn.synthetic.tables import Columns, words, write_csv

SAME_NAME = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pneumonia", "Pneumothorax")
OTHER_NAME = {"Lung Opacity": "Infiltration", "Pleural Effusion": "Effusion", "Pleural Other": "Pleural_Thickening"}
EXTRA_SHARES = {"Emphysema": 0.05, "Fibrosis": 0.04, "Hernia": 0.03}
"""Prevalence of the findings that only NIH-14 labels, drawn independently of all else."""
TRAIN_PATIENTS, TEST_PATIENTS = 0.35, 0.20
"""Patients of the two official lists, as shares of the MIMIC patients."""
_SEED = 200


def write_nih(settings: SynthSettings, folder: Path) -> list[Plate]:
    """Write `Data_Entry_2017_v2020.csv`, `train_val_list.txt` and `test_list.txt`.

    Returns:
        The images to draw, `images/*.png` relative to `folder`, all frontal.
    """
    rng = np.random.default_rng((settings.seed, _SEED))
    training = max(10, round(TRAIN_PATIENTS * settings.patients))
    patients = training + max(10, round(TEST_PATIENTS * settings.patients))
    drawn = draw_external(rng, patients, 2.0, ap=0.4, lateral=0.0, strength=settings.ehr_strength)
    extra = _extra_severity(rng, len(drawn.study))
    patient = drawn.recorded.patient
    follow_up = np.arange(len(patient)) - np.searchsorted(patient, patient)
    names = [f"{person + 1:08d}_{visit:03d}.png" for person, visit in zip(patient, follow_up, strict=True)]
    write_csv(folder / "Data_Entry_2017_v2020.csv", _table(drawn, names, follow_up, extra))
    for name, listed in (("train_val", patient < training), ("test", patient >= training)):
        chosen = [names[row] for row in np.flatnonzero(listed)]
        (folder / f"{name}_list.txt").write_text("\n".join(chosen) + "\n", encoding="utf-8")
    square = np.full(len(names), settings.side)
    shown = drawn.shown(extra, EXTRA_FINDINGS)
    return plates_of(shown, [f"images/{name}" for name in names], square, square, (settings.seed, _SEED))


def _extra_severity(rng: np.random.Generator, studies: int) -> Numbers:
    shares = np.array([EXTRA_SHARES[name] for name in EXTRA_FINDINGS])
    present = rng.uniform(size=(studies, len(shares))) < shares
    out: Numbers = present * rng.uniform(0.25, 1.0, present.shape)
    return out


def _labels(drawn: ExternalSet, extra: Numbers) -> dict[str, Flags]:
    """NIH's 14 findings by study; a mild lung lesion is a nodule, a large one a mass."""
    severity = dict(zip(FINDINGS, drawn.findings.severity.T, strict=True))
    flags: dict[str, Flags] = {name: severity[name] > 0 for name in SAME_NAME}
    flags |= {theirs: severity[ours] > 0 for ours, theirs in OTHER_NAME.items()}
    flags["Nodule"] = (severity["Lung Lesion"] > 0) & (severity["Lung Lesion"] < 0.6)
    flags["Mass"] = severity["Lung Lesion"] >= 0.6
    flags |= {name: extra[:, number] > 0 for number, name in enumerate(EXTRA_FINDINGS)}
    return dict(sorted(flags.items()))


def _table(drawn: ExternalSet, names: list[str], follow_up: Integers, extra: Numbers) -> Columns:
    flags = _labels(drawn, extra)
    matrix = np.stack(list(flags.values()), 1)
    labels = ["|".join(name for name, present in zip(flags, row, strict=True) if present) for row in matrix.tolist()]
    ehr = drawn.recorded
    # The last two headings hold a comma and so count as four, as in the original.
    return {
        "Image Index": names,
        "Finding Labels": [label or "No Finding" for label in labels],
        "Follow-up #": follow_up,
        "Patient ID": ehr.patient + 1,
        "Patient Age": ehr.age.astype(np.int64),
        "Patient Gender": words(["F", "M"], ehr.male.astype(np.int64)),
        "View Position": words(["PA", "AP"], ehr.ap.astype(np.int64)),
        "OriginalImage[Width": np.full(len(names), 2500),
        "Height]": np.full(len(names), 2500),
        "OriginalImagePixelSpacing[x": np.full(len(names), 0.171),
        "y]": np.full(len(names), 0.171),
    }
