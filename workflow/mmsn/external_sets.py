"""Which encoders are judged on which other data sets, and what must be said of a data set that is not built in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from mmsn.cohort.external.settings import TableSettings
from mmsn.evaluation.settings import MethodChoice
from mmsn.labels import LABEL_SETS, LABELS
from mmsn.settings import Section

Head = Literal["mimic", "own"]
BUILT_IN: Final[Mapping[str, Head]] = {"chexpert": "mimic", "nih-14": "own"}
"""Data sets whose own files are read, and whose head judges them: MIMIC-CXR's as it is, or one of their own."""
_TAKEN: Final = frozenset(
    {
        *("path", "patient", "split", "fault", "reason", "dicom_id", "subject_id", "study_id", "study_time"),
        *("labelled", "sex", "age", "view", "pos", "mort", "icu"),
    }
)
"""Columns of images.parquet and of the way there."""


class ExternalSet(Section):
    """One data set that encoders are judged on beside MIMIC-CXR.

    `chexpert` and `nih-14` are known and found by `data.chexpert` and `data.nih_14`; here only their methods are
    chosen. Any other needs `images`, `root` and `labels`.
    """

    linear: MethodChoice = "all"
    """Which of `runs.methods` are judged by the linear protocol, chosen as in `finetune.methods`."""
    finetune: MethodChoice = "published"
    """Which of those that are fine-tuned on MIMIC-CXR. With MIMIC-CXR's head their fine-tuned models are scored as they
    are, which is cheap; with a head of the data set's own they are fine-tuned on it."""
    images: Path | None = None
    """Table of the images, CSV or Parquet, with the columns `path` (below `root`), `patient`, `split` (train, validate,
    test; may be left out where nothing is trained) and those that `labels` names."""
    root: Path | None = None
    """Folder that the paths start from."""
    labels: dict[str, str | None] = Field(default_factory=dict)
    """The table's label column -> which of the 14 labels of MIMIC-CXR it is. Several columns may be one label: it is
    positive where any is. null: none of them, for a head of the data set's own."""
    head: Head = "mimic"
    """`mimic`: the head trained on MIMIC-CXR, as it is; labels without a column are left out and named. `own`: a head
    trained on the data set's training images, one output a column."""
    uncertain: Literal["zero", "one", "ignore"] = "zero"
    """What a label of -1 becomes."""
    blank: Literal["zero", "ignore"] = "zero"
    """What a blank label becomes: CheXpert's blank means 'not mentioned' and counts as 0."""

    @property
    def table(self) -> TableSettings:
        """What turns the table into images with labels; of a data set that is not built in."""
        fields = ("root", "labels", "head", "uncertain", "blank")
        return TableSettings.model_validate({name: getattr(self, name) for name in fields})


def head_of(name: str, settings: ExternalSet) -> Head:
    """Whose head judges a data set."""
    return BUILT_IN.get(name, settings.head)


def check_external(sets: Mapping[str, ExternalSet]) -> None:
    """Refuse what cannot be meant.

    Raises:
        ValueError: with the key, the value and what is allowed.
    """
    for name, settings in sets.items():
        if name in BUILT_IN:
            _refuse_table(name, settings)
        else:
            _check_table(name, settings)


def _refuse_table(name: str, settings: ExternalSet) -> None:
    # by value, not by what was said: a resolved study says every key
    said = settings.model_dump(exclude_defaults=True).keys() - {"linear", "finetune"}
    if said:
        keys = ", ".join(sorted(said))
        raise ValueError(f"external.{name}.{keys}: {name} has tables of its own; only linear and finetune go here")


def _check_table(name: str, settings: ExternalSet) -> None:
    key = f"external.{name}"
    if name in LABEL_SETS or not all(part.isalnum() for part in name.split("-")) or not name.isascii():
        raise ValueError(f"{key}: a data set's name is of letters, digits and -, and none of {', '.join(LABEL_SETS)}")
    if settings.images is None or settings.root is None:
        missing = "images" if settings.images is None else "root"
        raise ValueError(f"{key}.{missing}: missing; a data set needs images (a table), root (a folder) and labels")
    if not settings.labels:
        raise ValueError(f"{key}.labels: no label; name at least one column and which of the 14 labels it is")
    for column, label in settings.labels.items():
        if column.lower() in _TAKEN:
            raise ValueError(f"{key}.labels.{column}: a column of that name is no label here; rename it in the table")
        if label is None and settings.head == "mimic":
            raise ValueError(
                f"{key}.labels.{column}: null, and MIMIC-CXR's head has its 14 labels alone; leave it out, or take "
                "head: own"
            )
        if label is not None and label not in LABELS:
            raise ValueError(f"{key}.labels.{column}: {label!r} is none of the 14 labels: {', '.join(LABELS)}")
