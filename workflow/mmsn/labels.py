"""The fourteen CheXpert labels, their order, and how other data sets name them: the one place."""

from typing import Final

LABELS: Final[tuple[str, ...]] = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Enlarged Cardiomediastinum",
    "Fracture",
    "Lung Lesion",
    "Lung Opacity",
    "No Finding",
    "Pleural Effusion",
    "Pleural Other",
    "Pneumonia",
    "Pneumothorax",
    "Support Devices",
)
"""Label order of SPEC 2 (alphabetical, as the MIMIC-CXR-JPG tables have it)."""
