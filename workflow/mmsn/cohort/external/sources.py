"""Finding the files of the external data sets. Cheap: no table is read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mmsn.cohort.external.settings import ChexpertSettings
from mmsn.errors import UserError

_CSV: Final = (".csv.gz", ".csv")
_TXT: Final = (".txt.gz", ".txt")
NIH_NAMES: Final = ("Data_Entry_2017_v2020", "Data_Entry_2017")
CHEXPERT_NAMES: Final = {
    "train": ("train",),
    "valid": ("valid", "val_labels"),
    "test": ("test", "test_labels", "groundtruth"),
}
"""Names a part's table goes by: of CheXpert-v1.0, of CheXlocalize (which ships the test images), and of the test
labels' own repository (rajpurkarlab/cheXpert-test-set-labels)."""


@dataclass(frozen=True)
class NihFiles:
    """The files of NIH-14; the images lie below `root`."""

    root: Path
    entries: Path
    """Data_Entry_2017*.csv."""
    train_val: Path
    test: Path

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file that is read, for the workflow's inputs."""
        return self.entries, self.train_val, self.test


@dataclass(frozen=True)
class ChexpertFiles:
    """The files of CheXpert; the images lie below `root`."""

    root: Path
    parts: dict[str, Path]
    """`train`, `valid`, `test` -> table, of those that the settings need."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file that is read, for the workflow's inputs."""
        return tuple(self.parts.values())


def find_nih(root: Path) -> NihFiles:
    """Find the table, of the 2020 release or else the first, and the two official lists.

    Raises:
        UserError: The folder or one of the files is missing.
    """
    return NihFiles(
        root,
        entries=_file(root, NIH_NAMES, _CSV, "NIH ChestX-ray14"),
        train_val=_file(root, ("train_val_list",), _TXT, "NIH ChestX-ray14"),
        test=_file(root, ("test_list",), _TXT, "NIH ChestX-ray14"),
    )


def find_chexpert(root: Path, settings: ChexpertSettings) -> ChexpertFiles:
    """Find the tables that the settings need.

    Raises:
        UserError: The folder or one of the tables is missing.
    """
    needed = {"train", "valid", settings.test} if settings.with_training else {settings.test}
    parts = {part: _file(root, names, _CSV, "CheXpert") for part, names in CHEXPERT_NAMES.items() if part in needed}
    return ChexpertFiles(root, parts)


def _file(root: Path, names: tuple[str, ...], suffixes: tuple[str, ...], data_set: str) -> Path:
    if not root.is_dir():
        raise UserError(f"{root} is not a folder; correct the path, or link {data_set} there")
    tried = [f"{name}{suffix}" for name in names for suffix in suffixes]
    found = [root / name for name in tried if (root / name).is_file()]
    if not found:
        raise UserError(f"{root} has none of {', '.join(tried)}; put the file there as {data_set} ships it")
    return found[0]
