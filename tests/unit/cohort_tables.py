"""Tiny MIMIC tables that a test can be read with: aligned text in, the files PhysioNet would ship out."""

import csv
import gzip
import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mmsn
from mmsn.cohort.build import Cohort, build
from mmsn.cohort.settings import CohortSettings
from mmsn.cohort.sources import find_tables
from mmsn.labels import LABELS

VARIABLES = Path(mmsn.__file__).parent / "ehr" / "variables"
SIX = ("sex", "age", "view", "pos", "mort", "icu")
BLANK = "."

PATIENTS = """
subject_id  gender  anchor_age  anchor_year
10000001    F       60          2150
10000002    M       40          2150
10000003    M       30          2150
"""
ADMISSIONS = """
subject_id  hadm_id   admittime            dischtime            edregtime            hospital_expire_flag
10000001    20000001  2150-03-01 10:00:00  2150-03-05 12:00:00  2150-02-28 23:00:00  0
"""
ICUSTAYS = """
subject_id  hadm_id   stay_id   intime               outtime
10000001    20000001  30000001  2150-03-02 08:00:00  2150-03-03 09:30:00
"""
METADATA = """
dicom_id  subject_id  study_id  ViewPosition  StudyDate  StudyTime  orientation
a1        10000001    50000001  PA            21500302   90000.5    Erect
b1        10000002    50000002  AP            21500601   120000.0   Recumbent
c1        10000003    50000003  LATERAL       21500701   120000.0   .
"""
LABEL_ROWS = """
study_id  Atelectasis  Edema
50000001  1.0          .
50000002  0.0          -1.0
50000003  .            1.0
"""
SPLIT = """
dicom_id  subject_id  study_id  split
a1        10000001    50000001  train
b1        10000002    50000002  validate
c1        10000003    50000003  test
"""

# The headers as PhysioNet ships them; `race` is called `ethnicity` in MIMIC-IV 1.0.
HEADERS = {
    "patients": "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod",
    "admissions": "subject_id,hadm_id,admittime,dischtime,deathtime,admission_type,insurance,race,edregtime,"
    "hospital_expire_flag",
    "icustays": "subject_id,hadm_id,stay_id,first_careunit,last_careunit,intime,outtime,los",
    "metadata": "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,"
    "StudyTime,ProcedureCodeSequence_CodeMeaning,ViewCodeSequence_CodeMeaning,"
    "PatientOrientationCodeSequence_CodeMeaning",
    "labels": ",".join(("subject_id", "study_id", *LABELS)),
    # Of MIMIC-CXR-JPG 2.1.0: no patient, and another name for Lung Opacity.
    "test_labels": ",".join(("study_id", *LABELS)).replace("Lung Opacity", "Airspace Opacity"),
    "split": "dicom_id,study_id,subject_id,split",
}
SHORT = {"orientation": "PatientOrientationCodeSequence_CodeMeaning", "airspace": "Airspace Opacity"}


@dataclass(frozen=True)
class Mimic:
    """The six tables as aligned text: columns two blanks apart, `.` for a blank cell."""

    patients: str = PATIENTS
    admissions: str = ADMISSIONS
    icustays: str = ICUSTAYS
    metadata: str = METADATA
    labels: str = LABEL_ROWS
    split: str = SPLIT

    def plus(self, **lines: str) -> "Mimic":
        """The same tables with more rows."""
        return replace(self, **{name: getattr(self, name) + text.strip("\n") + "\n" for name, text in lines.items()})

    def but(self, table: str, old: str, new: str) -> "Mimic":
        """The same tables with one text changed."""
        text = getattr(self, table)
        assert old in text, f"{old} is not in {table}"
        return replace(self, **{table: text.replace(old, new)})

    def write(self, folder: Path, suffix: str = ".csv", mimic_iv: str = "2.2", cxr: str = "2.0.0") -> None:
        """Write `mimic-iv/` and `mimic-cxr/` below `folder`, named as the given versions name them."""
        module = "core" if mimic_iv == "1.0" else "hosp"
        names = {
            "patients": f"mimic-iv/{module}/patients",
            "admissions": f"mimic-iv/{module}/admissions",
            "icustays": "mimic-iv/icu/icustays",
            "metadata": f"mimic-cxr/mimic-cxr-{cxr}-metadata",
            "labels": f"mimic-cxr/mimic-cxr-{cxr}-chexpert",
            "split": f"mimic-cxr/mimic-cxr-{cxr}-split",
        }
        for table, name in names.items():
            text = csv_text(getattr(self, table), HEADERS[table])
            if mimic_iv == "1.0":
                text = text.replace(",race,", ",ethnicity,")
            write_file(folder / f"{name}{suffix}", text)


def csv_text(aligned: str, header: str) -> str:
    """Aligned text as CSV under the full header; columns it does not name stay blank."""
    first, *lines = aligned.strip().splitlines()
    names = [SHORT.get(name, name) for name in first.split()]
    text = io.StringIO()
    writer = csv.DictWriter(text, header.split(","), restval="", lineterminator="\n")
    writer.writeheader()
    for line in lines:
        cells = [cell.strip() for cell in line.split("  ") if cell.strip()]
        writer.writerow(dict(zip(names, ["" if cell == BLANK else cell for cell in cells], strict=True)))
    return text.getvalue()


def write_file(path: Path, text: str) -> None:
    """Write a text file, compressed where its name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), mtime=0) if path.suffix == ".gz" else text.encode())


def build_in(
    folder: Path, names: tuple[str, ...] = SIX, files: dict[str, Path] | None = None, **settings: Any
) -> Cohort:
    """Build the cohort of the tables below `folder`; the official split where nothing else is asked for.

    Its EHR variables are `names` of ours, or the SQL `files` given.
    """
    given = ("medfuse_validate", "medfuse_test", "split_file", "variable_tables")
    lists = {name: settings.pop(name) for name in given if name in settings}
    chosen = CohortSettings(**({"split": "official"} | settings))
    tables = find_tables(folder / "mimic-iv", folder / "mimic-cxr", chosen, **lists)
    return build(tables, files or {name: VARIABLES / f"{name}.sql" for name in names}, chosen, threads=2)


def cohort_of(mimic: Mimic, folder: Path, **settings: Any) -> Cohort:
    """Write the tables below `folder` and build their cohort."""
    mimic.write(folder)
    return build_in(folder, **settings)


def values(cohort: Cohort, column: str) -> dict[str, Any]:
    """One column of images.parquet by dicom_id."""
    return dict(zip(cohort.images["dicom_id"].to_pylist(), cohort.images[column].to_pylist(), strict=True))


def step(cohort: Cohort, name: str) -> int:
    """One count of flow.json."""
    (count,) = [entry["count"] for entry in cohort.flow["steps"] if entry["step"] == name]
    return int(count)
