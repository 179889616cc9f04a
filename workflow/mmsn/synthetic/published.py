"""What is published about MIMIC-IV and MIMIC-CXR-JPG 2.0.0: the counts that the synthetic tables reproduce.

Cohort counts are those of the paper's released code (SPEC 2); sizes of the tables are PhysioNet's. The labels' shares
are those of Johnson et al. 2019 (arXiv 1901.07042), rounded to a tenth of a per cent of 227,827 studies.
"""

from typing import Final

IMAGES: Final = 377_110
STUDIES: Final = 227_835
PATIENTS: Final = 65_379
VIEWS: Final = {"AP": 147_173, "PA": 96_161, "LATERAL": 82_853, "LL": 35_133}
"""Recorded views; with `VIEW_MISSING` and `VIEW_OTHER` they add up to `IMAGES`."""
VIEW_MISSING: Final = 15_769
VIEW_OTHER: Final = 21
OTHER_VIEWS: Final = ("AP AXIAL", "LAO", "AP LLD", "PA RLD", "RAO", "LPO", "XTABLE LATERAL", "SWIMMERS")
IMAGES_WITHOUT_SEX: Final = 889
"""Images of patients who are absent from MIMIC-IV."""
PATIENTS_WITHOUT_SEX: Final = PATIENTS - 65_152
"""Those patients: 65,152 are in the cohort."""
OTHER_VIEWS_WITHOUT_SEX: Final = 1
MALE_IMAGES: Final = 196_446
"""Of the 376,221 images with sex."""
POSITION_MISSING: Final = 41_100
"""Of the 376,221 images with sex."""
DIED_IMAGES: Final = 18_489
"""Images within an admission that ended in death, day-level rule, the last admission in file order winning."""
ICU_IMAGES: Final = IMAGES - 297_921
"""Images within an ICU stay, day-level rule: the notebook counts the others over all images, before exclusions."""
IMAGES_WITHOUT_LABELS: Final = 15
SPLIT: Final = {"train": 368_960, "validate": 2_991, "test": 5_159}
"""Images of the official split."""
RADIOLOGIST_STUDIES: Final = 687
"""Studies of the official test split that a radiologist labelled (MIMIC-CXR-JPG 2.1.0)."""
MEDFUSE_SPLIT: Final = {"train": 325_188, "validate": 15_282, "test": 36_625}
"""Labelled images when MedFuse's patient lists split them."""
MIMIC_IV: Final = {"1.0": (382_278, 523_740, 76_540), "2.2": (299_712, 431_231, 73_181)}
"""Patients, admissions and ICU stays by version."""

LABEL_SHARES: Final = {
    "Atelectasis": (20.1, 0.7, 4.5),
    "Cardiomegaly": (19.7, 7.0, 2.6),
    "Consolidation": (4.7, 3.5, 1.9),
    "Edema": (11.9, 11.3, 5.8),
    "Enlarged Cardiomediastinum": (3.2, 2.3, 4.1),
    "Fracture": (1.9, 0.4, 0.2),
    "Lung Lesion": (2.8, 0.4, 0.5),
    "Lung Opacity": (22.6, 1.3, 1.7),
    "Pleural Effusion": (23.8, 11.9, 2.6),
    "Pleural Other": (0.9, 0.1, 0.3),
    "Pneumonia": (7.3, 10.7, 8.0),
    "Pneumothorax": (4.5, 18.6, 0.5),
    "Support Devices": (29.2, 1.5, 0.1),
}
"""Per cent of studies labelled 1, 0 and -1; 'No Finding' follows from the others."""
RARE_FLOOR: Final = 4.0
"""Least per cent of studies labelled 1 in a set with radiographs, where a published 0.9 % would leave none to test."""
RECUMBENT_SHARE: Final = 0.12
"""Share of images taken lying. Ours: no count is published."""


def scaled(count: int, images: int) -> int:
    """A published image count for a set of `images`; at least 1 of every rare kind from 1,000 images on."""
    exact = round(count * images / IMAGES)
    return max(exact, 1) if images >= 1000 else exact
