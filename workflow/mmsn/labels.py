"""The labels of the three data sets, their orders, and the map between them: the one place."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
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


@dataclass(frozen=True)
class Label:
    """One label of a data set."""

    name: str
    """Name in the data set's own table, and of its column in images.parquet."""
    chexpert: str | None
    """The one of `LABELS` that a positive is a positive of, or None where CheXpert has no such label."""
    judged: bool = False
    """The CheXpert label is wider than this one: that a positive belongs there is our judgement."""


@dataclass(frozen=True)
class LabelSet:
    """The labels of one data set, in the order of its head and its columns."""

    labels: tuple[Label, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The data set's own names."""
        return tuple(label.name for label in self.labels)

    @cached_property
    def to_chexpert(self) -> Mapping[str, str]:
        """Own name -> CheXpert label, of the shared ones, judgements included."""
        return MappingProxyType({label.name: label.chexpert for label in self.labels if label.chexpert is not None})

    @cached_property
    def same_meaning(self) -> Mapping[str, str]:
        """Own name -> CheXpert label, of those that mean the same."""
        judged = {label.name for label in self.labels if label.judged}
        return MappingProxyType({name: ours for name, ours in self.to_chexpert.items() if name not in judged})


CHEXPERT_LABELS: Final = LabelSet(tuple(Label(name, name) for name in LABELS))
"""MIMIC-CXR and CheXpert: one labeller, one set of labels."""

# The judged ones lean on the phrases that CheXpert's labeller looks for (stanfordmlgroup/chexpert-labeler,
# phrases/mention): 'mass' and 'nodule' are a Lung Lesion, 'pleural thickening' is Pleural Other; that an infiltrate is
# a Lung Opacity is ours. 'fibrosis' is Pleural Other there, but NIH-14 means the lung's, so Fibrosis stays alone.
# 'No Finding' is no label of NIH-14: it is the absence of these fourteen, CheXpert's that of many more findings.
NIH_LABELS: Final = LabelSet(
    (
        Label("Atelectasis", "Atelectasis"),
        Label("Cardiomegaly", "Cardiomegaly"),
        Label("Effusion", "Pleural Effusion"),
        Label("Infiltration", "Lung Opacity", judged=True),
        Label("Mass", "Lung Lesion", judged=True),
        Label("Nodule", "Lung Lesion", judged=True),
        Label("Pneumonia", "Pneumonia"),
        Label("Pneumothorax", "Pneumothorax"),
        Label("Consolidation", "Consolidation"),
        Label("Edema", "Edema"),
        Label("Emphysema", None),
        Label("Fibrosis", None),
        Label("Pleural_Thickening", "Pleural Other", judged=True),
        Label("Hernia", None),
    )
)
"""NIH-14 in the order of Wang et al. 2017: eight findings of ChestX-ray8, then the six that made it 14."""

LABEL_SETS: Final[Mapping[str, LabelSet]] = MappingProxyType(
    {"mimic-cxr": CHEXPERT_LABELS, "chexpert": CHEXPERT_LABELS, "nih-14": NIH_LABELS}
)
"""Data set, as results/ names it -> its labels."""
