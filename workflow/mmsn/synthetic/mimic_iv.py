"""The MIMIC-IV tables: `patients`, `admissions` and `icustays`, in the layout of version 1.0 or 2.2."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from mmsn.synthetic.exact import Flags, Integers
from mmsn.synthetic.hospital import Hospital
from mmsn.synthetic.tables import Columns, dates, sample, select, timestamps, words, write_csv
from mmsn.synthetic.timeline import DAY

ANCHOR_GROUPS = {"2008 - 2010": 0.30, "2011 - 2013": 0.25, "2014 - 2016": 0.24, "2017 - 2019": 0.21}
URGENT_TYPES = {"EW EMER.": 0.62, "EU OBSERVATION": 0.2, "OBSERVATION ADMIT": 0.18}
PLANNED_TYPES = {
    "URGENT": 0.3, "SURGICAL SAME DAY ADMISSION": 0.25, "DIRECT EMER.": 0.17, "ELECTIVE": 0.15,
    "DIRECT OBSERVATION": 0.08, "AMBULATORY OBSERVATION": 0.05,
}  # fmt: skip
PLANNED_ORIGINS = {
    "PHYSICIAN REFERRAL": 0.55, "TRANSFER FROM HOSPITAL": 0.28, "CLINIC REFERRAL": 0.1, "PROCEDURE SITE": 0.05,
    "TRANSFER FROM SKILLED NURSING FACILITY": 0.02,
}  # fmt: skip
DESTINATIONS = {
    "HOME": 0.40, "HOME HEALTH CARE": 0.24, "": 0.14, "SKILLED NURSING FACILITY": 0.13, "REHAB": 0.05,
    "CHRONIC/LONG TERM ACUTE CARE": 0.02, "HOSPICE": 0.01, "AGAINST ADVICE": 0.01,
}  # fmt: skip
INSURANCE = {"Other": 0.55, "Medicare": 0.36, "Medicaid": 0.09}
LANGUAGE = {"ENGLISH": 0.9, "?": 0.1}
MARITAL = {"MARRIED": 0.42, "SINGLE": 0.36, "WIDOWED": 0.11, "DIVORCED": 0.07, "": 0.04}
ETHNICITY = {
    "WHITE": 0.66, "BLACK/AFRICAN AMERICAN": 0.15, "HISPANIC/LATINO": 0.055, "OTHER": 0.05, "ASIAN": 0.045,
    "UNKNOWN": 0.035, "UNABLE TO OBTAIN": 0.005,
}  # fmt: skip
RACE = {
    "WHITE": 0.62, "BLACK/AFRICAN AMERICAN": 0.14, "WHITE - OTHER EUROPEAN": 0.03,
    "HISPANIC/LATINO - PUERTO RICAN": 0.04, "OTHER": 0.05,
    "ASIAN": 0.03, "ASIAN - CHINESE": 0.02, "BLACK/CAPE VERDEAN": 0.02, "UNKNOWN": 0.04,
    "PATIENT DECLINED TO ANSWER": 0.01,
}  # fmt: skip
UNITS = {
    "Medical Intensive Care Unit (MICU)": 0.21, "Medical/Surgical Intensive Care Unit (MICU/SICU)": 0.19,
    "Cardiac Vascular Intensive Care Unit (CVICU)": 0.18, "Surgical Intensive Care Unit (SICU)": 0.17,
    "Trauma SICU (TSICU)": 0.14, "Coronary Care Unit (CCU)": 0.11,
}  # fmt: skip


def write_mimic_iv(rng: np.random.Generator, hospital: Hospital, version: str, folder: Path) -> None:
    """Write the three tables under `folder`, in `core/` (1.0) or `hosp/` (2.2) and `icu/`."""
    tables = folder / ("core" if version == "1.0" else "hosp")
    write_csv(tables / "patients.csv.gz", _patients(rng, hospital, version))
    write_csv(tables / "admissions.csv.gz", _admissions(rng, hospital, version))
    write_csv(folder / "icu/icustays.csv.gz", _stays(rng, hospital))


def _patients(rng: np.random.Generator, hospital: Hospital, version: str) -> Columns:
    patients = hospital.patients
    count = len(patients.subject_id)
    death, dead = _date_of_death(rng, hospital, count)
    columns: Columns = {
        "subject_id": patients.subject_id,
        "gender": words(["F", "M"], patients.male.astype(np.int64)),
        "anchor_age": patients.anchor_age,
        "anchor_year": patients.anchor_year,
        "anchor_year_group": sample(rng, ANCHOR_GROUPS, count),
        # Version 1.0 was published with this column empty.
        "dod": dates(death, dead) if version == "2.2" else pa.nulls(count, pa.string()),
    }
    known = np.flatnonzero(patients.known)
    return select(columns, known[np.argsort(patients.subject_id[known])])


def _date_of_death(rng: np.random.Generator, hospital: Hospital, count: int) -> tuple[Integers, Flags]:
    """In hospital, or for some patients within the year after their last discharge."""
    encounters = hospital.encounters
    last = np.zeros(count, np.int64)
    np.maximum.at(last, encounters.patient, encounters.discharge)
    in_hospital = np.zeros(count, bool)
    in_hospital[encounters.patient[hospital.stays.died]] = True
    later = (rng.uniform(size=count) < 0.10) & (last > 0)
    wait = rng.integers(3 * DAY, 365 * DAY, count)
    return np.where(in_hospital, last, last + wait), in_hospital | later


def _admissions(rng: np.random.Generator, hospital: Hospital, version: str) -> Columns:
    encounters, stays = hospital.encounters, hospital.stays
    rows = np.flatnonzero(encounters.admitted)
    rows = rows[np.argsort(stays.file_rank[rows])]
    urgent, died, count = encounters.emergency[rows], stays.died[rows], len(rows)
    home = sample(rng, DESTINATIONS, count)
    origin = sample(rng, PLANNED_ORIGINS, count)
    columns: Columns = {
        "subject_id": hospital.patients.subject_id[encounters.patient[rows]],
        "hadm_id": stays.hadm_id[rows],
        "admittime": timestamps(encounters.admit[rows]),
        "dischtime": timestamps(encounters.discharge[rows]),
        "deathtime": timestamps(encounters.discharge[rows], died),
        "admission_type": _either(urgent, sample(rng, URGENT_TYPES, count), sample(rng, PLANNED_TYPES, count)),
        "admit_provider_id": _providers(rng, count),
        "admission_location": _either(urgent, pa.array(["EMERGENCY ROOM"] * count), origin),
        "discharge_location": _either(died, pa.array(["DIED"] * count), home),
        "insurance": sample(rng, INSURANCE, count),
        "language": sample(rng, LANGUAGE, count),
        "marital_status": sample(rng, MARITAL, count),
        "race": sample(rng, RACE, count),
        "edregtime": timestamps(encounters.start[rows], urgent),
        "edouttime": timestamps(encounters.admit[rows] + 3600, urgent),
        "hospital_expire_flag": died.astype(np.int64),
    }
    if version == "2.2":
        return columns
    del columns["admit_provider_id"]
    return {
        ("ethnicity" if name == "race" else name): (sample(rng, ETHNICITY, count) if name == "race" else values)
        for name, values in columns.items()
    }


def _either(first: Flags, if_true: pa.Array, if_false: pa.Array) -> pa.Array:
    count = len(first)
    return pa.concat_arrays([if_true, if_false]).take(pa.array(np.arange(count) + np.where(first, 0, count)))


def _providers(rng: np.random.Generator, count: int) -> pa.Array:
    names = [f"P{number:05X}" for number in rng.integers(0, 16**5, 400)]
    return words(names, rng.integers(0, len(names), count))


def _stays(rng: np.random.Generator, hospital: Hospital) -> Columns:
    encounters, stays = hospital.encounters, hospital.stays
    rows = np.flatnonzero(stays.icu)
    rows = rows[np.argsort(stays.file_rank[rows])]
    unit, moved = rng.integers(0, 6, len(rows)), rng.uniform(size=len(rows)) < 0.1
    begin, end = stays.icu_in[rows], stays.icu_out[rows]
    return {
        "subject_id": hospital.patients.subject_id[encounters.patient[rows]],
        "hadm_id": stays.hadm_id[rows],
        "stay_id": stays.stay_id[rows],
        "first_careunit": words(list(UNITS), unit),
        "last_careunit": words(list(UNITS), np.where(moved, (unit + 1) % 6, unit)),
        "intime": timestamps(begin),
        "outtime": timestamps(end),
        "los": (end - begin) / DAY,
    }
