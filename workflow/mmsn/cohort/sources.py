"""Finding the input files: which MIMIC version a folder holds is seen from its files. Cheap, no table is read."""

from dataclasses import dataclass
from pathlib import Path

from mmsn.cohort.settings import CohortSettings
from mmsn.errors import UserError

_SUFFIXES = (".csv.gz", ".csv")
_CXR_VERSIONS = ("2.0.0", "2.1.0")


@dataclass(frozen=True)
class Tables:
    """The files that a cohort is built from."""

    patients: Path
    admissions: Path
    icustays: Path
    metadata: Path
    labels: Path
    split: Path | None = None
    """MIMIC-CXR-JPG's split file; only the `official` split reads it."""
    medfuse_validate: Path | None = None
    medfuse_test: Path | None = None
    """MedFuse's lists of EHR patients; only the `medfuse` split reads them."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file that is read, for the workflow's inputs."""
        found = vars(self).values()
        return tuple(path for path in found if path is not None)


def find_tables(
    mimic_iv: Path,
    mimic_cxr: Path,
    settings: CohortSettings,
    medfuse_validate: Path | None = None,
    medfuse_test: Path | None = None,
) -> Tables:
    """Find the tables that the settings need.

    `mimic_iv` holds `hosp/` (2.x, 3.x) or `core/` (1.0), and `icu/`; `mimic_cxr` the MIMIC-CXR-JPG tables. Where both
    `.csv.gz` (as PhysioNet ships it) and `.csv` lie side by side, the first is taken.

    Raises:
        UserError: A folder or table is missing, or two MIMIC-IV versions lie in one folder.
    """
    official = settings.split == "official"
    module = _patient_module(mimic_iv)
    return Tables(
        patients=_table(mimic_iv, (f"{module}/patients",)),
        admissions=_table(mimic_iv, (f"{module}/admissions",)),
        icustays=_table(mimic_iv, ("icu/icustays",)),
        metadata=_cxr_table(mimic_cxr, "metadata"),
        labels=_cxr_table(mimic_cxr, settings.labels),
        split=_cxr_table(mimic_cxr, "split") if official else None,
        medfuse_validate=_medfuse_list(medfuse_validate, "validation", settings),
        medfuse_test=_medfuse_list(medfuse_test, "test", settings),
    )


def _patient_module(mimic_iv: Path) -> str:
    """The folder of `patients`: `hosp` in MIMIC-IV 2.x and 3.x, `core` in 1.0 (which has a `hosp` without it)."""
    found = [module for module in ("hosp", "core") if _candidates(mimic_iv, (f"{module}/patients",))]
    if len(found) == 2:
        raise UserError(
            f"{mimic_iv} holds hosp/patients (MIMIC-IV 2.x) and core/patients (1.0); keep each in its own folder"
        )
    if not found:
        _table(mimic_iv, ("hosp/patients", "core/patients"))
    return found[0]


def _cxr_table(mimic_cxr: Path, name: str) -> Path:
    return _table(mimic_cxr, tuple(f"mimic-cxr-{version}-{name}" for version in _CXR_VERSIONS))


def _candidates(folder: Path, names: tuple[str, ...]) -> list[Path]:
    tried = (folder / f"{name}{suffix}" for name in names for suffix in _SUFFIXES)
    return [path for path in tried if path.is_file()]


def _table(folder: Path, names: tuple[str, ...]) -> Path:
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; correct the path, or link the data set there")
    found = _candidates(folder, names)
    if not found:
        tried = ", ".join(f"{name}{suffix}" for name in names for suffix in _SUFFIXES)
        raise UserError(f"{folder} has none of {tried}; put the table there as PhysioNet ships it")
    return found[0]


def _medfuse_list(path: Path | None, what: str, settings: CohortSettings) -> Path | None:
    if settings.split != "medfuse":
        return None
    if path is None:
        raise UserError(
            f"split 'medfuse' needs MedFuse's {what} list, and none is given;"
            " name it (a CSV file of subject ids), or choose split 'official' or 'random'"
        )
    if not path.is_file():
        raise UserError(f"{path} is not a file; correct the path to MedFuse's {what} list")
    return path
