"""A CheXpert-shaped set, in the layout of CheXpert-v1.0-small (Irvin et al. 2019) and its later test set."""

from pathlib import Path

import numpy as np

from mmsn.labels import LABELS
from mmsn.synthetic.exact import Integers
from mmsn.synthetic.external import ExternalSet, draw_external, sizes
from mmsn.synthetic.labelling import Codes
from mmsn.synthetic.mimic_cxr import label_columns
from mmsn.synthetic.model import FINDINGS
from mmsn.synthetic.plates import Plate, plates_of
from mmsn.synthetic.settings import SynthSettings
from mmsn.synthetic.tables import Columns, words, write_csv

COLUMN_ORDER = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema",
    "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture",
    "Support Devices",
)  # fmt: skip
"""Order of the label columns in CheXpert's files."""
PARTS = {"train": (0.15, 1), "valid": (0.15, 64_541), "test": (0.35, 64_741)}
"""Patients of each part as a share of the MIMIC patients, and the number of the first one."""


def write_chexpert(settings: SynthSettings, folder: Path) -> list[Plate]:
    """Write `{train,valid,test}.csv` and return the images to draw, their paths relative to `folder`.

    As in the original, train has an automatic labeller's blanks and -1, valid and test have radiologists' 0 and 1,
    test has no demographic columns, and paths of train and valid begin with the name of the original folder.
    """
    plates = []
    for number, (part, (share, first)) in enumerate(PARTS.items()):
        rng = np.random.default_rng((settings.seed, 100 + number))
        patients = max(10, round(share * settings.patients))
        drawn = draw_external(rng, patients, 1.3, ap=0.65, lateral=0.5, strength=settings.ehr_strength)
        paths = _paths(drawn, part, first)
        write_csv(folder / f"{part}.csv", _table(drawn, part, paths))
        rows, columns = sizes(rng, drawn, settings.side)
        plates += plates_of(drawn.shown(), paths, rows, columns, (settings.seed, 100 + number))
    return plates


def _paths(drawn: ExternalSet, part: str, first: int) -> list[str]:
    """`train/patient00001/study1/view2_lateral.jpg` of each image."""
    patient = drawn.recorded.patient
    number = _number_within(patient)[drawn.study] + 1
    views = ("view1_frontal.jpg", "view2_lateral.jpg")
    return [
        f"{part}/patient{first + person:05d}/study{study}/{views[lateral]}"
        for person, study, lateral in zip(
            patient[drawn.study].tolist(), number.tolist(), drawn.lateral.tolist(), strict=True
        )
    ]


def _number_within(sorted_ids: Integers) -> Integers:
    out: Integers = np.arange(len(sorted_ids)) - np.searchsorted(sorted_ids, sorted_ids)
    return out


def _table(drawn: ExternalSet, part: str, paths: list[str]) -> Columns:
    ehr, study = drawn.recorded, drawn.study
    if part == "test":
        return {"Path": paths} | label_columns(_radiologists(drawn)[study], COLUMN_ORDER)
    frontal = np.where(drawn.lateral, 2, ehr.ap[study].astype(np.int64))
    codes = drawn.codes if part == "train" else _radiologists(drawn)
    columns: Columns = {
        "Path": [f"CheXpert-v1.0-small/{path}" for path in paths],
        "Sex": words(["Female", "Male"], ehr.male[study].astype(np.int64)),
        "Age": ehr.age[study].astype(np.int64),
        "Frontal/Lateral": words(["Frontal", "Lateral"], drawn.lateral.astype(np.int64)),
        "AP/PA": words(["PA", "AP", ""], frontal),
    }
    return columns | label_columns(codes[study], COLUMN_ORDER)


def _radiologists(drawn: ExternalSet) -> Codes:
    """The truth, 0 or 1, by study."""
    codes = np.zeros_like(drawn.codes)
    for number, name in enumerate(FINDINGS):
        codes[:, LABELS.index(name)] = drawn.findings.present[:, number]
    codes[:, LABELS.index("No Finding")] = drawn.findings.none
    return codes
