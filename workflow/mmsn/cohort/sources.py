"""Finding the input files: which MIMIC version a folder holds is seen from its files. Cheap, no table is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmsn.cohort.settings import CohortSettings
from mmsn.errors import UserError
from mmsn.synthetic.marker import marker_of

_SUFFIXES = (".csv.gz", ".csv")
_STREAMED_SUFFIXES = (*_SUFFIXES, ".parquet")
_CXR_VERSIONS = ("2.0.0", "2.1.0")
"""In the names of tables. Version 2.1.0 kept the names of 2.0.0; users' copies have both."""
_TEST_LABELS = "mimic-cxr-2.1.0-test-set-labeled"


@dataclass(frozen=True)
class Tables:
    """The files that a cohort is built from."""

    patients: Path
    admissions: Path
    icustays: Path
    metadata: Path
    labels: Path
    test_labels: Path | None = None
    """The radiologist's labels of test studies; only read where the settings ask for them."""
    split: Path | None = None
    """MIMIC-CXR-JPG's split file; only the `official` split reads it."""
    medfuse_validate: Path | None = None
    medfuse_test: Path | None = None
    """MedFuse's lists of EHR patients; only the `medfuse` split reads them."""
    split_file: Path | None = None
    """A split of the user's own; only the `file` split reads it."""
    synthetic: Path | None = None
    """What tells that `mmsn synth` made the tables, where it did."""
    streamed: Mapping[str, Path] = field(default_factory=dict)
    """Tables (`folder/name`) that only EHR variables read."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file that is read, for the workflow's inputs."""
        return (*self.loaded.values(), *self.streamed.values())

    @property
    def loaded(self) -> dict[str, Path]:
        """Files by field, without those that are streamed."""
        return {name: path for name, path in vars(self).items() if isinstance(path, Path)}


def find_tables(
    mimic_iv: Path,
    mimic_cxr: Path,
    settings: CohortSettings,
    medfuse_validate: Path | None = None,
    medfuse_test: Path | None = None,
    split_file: Path | None = None,
    variable_tables: Mapping[str, Sequence[str]] | None = None,
) -> Tables:
    """Find the tables that the settings need, and those that EHR variables name (variable -> `hosp/labevents`, ...).

    `mimic_iv` holds `hosp/` (2.x, 3.x) or `core/` (1.0), and `icu/`; `mimic_cxr` the MIMIC-CXR-JPG tables. Where both
    `.csv.gz` (as PhysioNet ships it) and `.csv` lie side by side, the first is taken.

    Raises:
        UserError: A folder or table is missing, or two versions of one lie in one folder.
    """
    official = settings.split == "official"
    module = _patient_module(mimic_iv)
    return Tables(
        patients=_table(mimic_iv, (f"{module}/patients",)),
        admissions=_table(mimic_iv, (f"{module}/admissions",)),
        icustays=_table(mimic_iv, ("icu/icustays",)),
        metadata=_cxr_table(mimic_cxr, "metadata"),
        labels=_cxr_table(mimic_cxr, settings.labels),
        test_labels=_test_labels(mimic_cxr, settings),
        split=_cxr_table(mimic_cxr, "split") if official else None,
        medfuse_validate=_medfuse_list(medfuse_validate, "validation", settings),
        medfuse_test=_medfuse_list(medfuse_test, "test", settings),
        split_file=_split_file(split_file, settings),
        synthetic=marker_of(mimic_cxr) or marker_of(mimic_iv),
        streamed=_streamed(mimic_iv, variable_tables or {}),
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
    names = tuple(f"mimic-cxr-{version}-{name}" for version in _CXR_VERSIONS)
    if all(_candidates(mimic_cxr, (each,)) for each in names):
        raise UserError(f"{mimic_cxr} holds {' and '.join(names)}; keep the one that is meant")
    return _table(mimic_cxr, names)


def _test_labels(mimic_cxr: Path, settings: CohortSettings) -> Path | None:
    if settings.test_labels != "radiologist":
        return None
    found = _candidates(mimic_cxr, (_TEST_LABELS,))
    if not found:
        raise UserError(
            f"test_labels 'radiologist' needs {mimic_cxr / _TEST_LABELS}.csv, which is not there (nor .csv.gz);"
            " MIMIC-CXR-JPG 2.1.0 has it; or choose test_labels 'labeller'"
        )
    return found[0]


def _streamed(mimic_iv: Path, wanted: Mapping[str, Sequence[str]]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for variable, tables in wanted.items():
        for table in tables:
            there = _candidates(mimic_iv, (table,), _STREAMED_SUFFIXES)
            if not there:
                tried = ", ".join(f"{table}{suffix}" for suffix in _STREAMED_SUFFIXES)
                raise UserError(
                    f"variables.{variable} reads {table}, but {mimic_iv} has none of {tried}; put the table there as"
                    f" PhysioNet ships it, or take {variable} out of variables and feature_sets"
                )
            found[table] = there[0]
    return found


def _candidates(folder: Path, names: tuple[str, ...], suffixes: tuple[str, ...] = _SUFFIXES) -> list[Path]:
    tried = (folder / f"{name}{suffix}" for name in names for suffix in suffixes)
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


def _split_file(path: Path | None, settings: CohortSettings) -> Path | None:
    if settings.split != "file":
        return None
    if path is None:
        raise UserError(
            "split 'file' needs data.split_file, and none is given; name a CSV or Parquet table with the columns"
            " subject_id and split"
        )
    if not path.is_file():
        raise UserError(f"{path} is not a file; correct the path of your split")
    return path
