"""MIMIC-IV's `hosp/labevents` and `hosp/omr`: blood tests around the studies, and out-patient body mass indices.

They are drawn at random and say nothing about findings or pixels: they are there to be read, at any size.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from mmsn.synthetic.exact import Integers, Numbers
from mmsn.synthetic.hospital import Hospital
from mmsn.synthetic.tables import Columns, dates, select, timestamps, words, write_csv
from mmsn.synthetic.timeline import DAY

HOUR = 3600
SAMPLES_PER_STUDY = 1.5
BEFORE, AFTER = 96 * HOUR, 24 * HOUR  # of the study: some samples are too old to count, some too late
IMPLAUSIBLE = 0.002  # share of results that are typing errors or no number at all


@dataclass(frozen=True)
class Test:
    """One laboratory test: results are log-normal."""

    itemid: int
    middle: float
    spread: float
    """Standard deviation of the logarithm."""
    unit: str
    normal: tuple[float, float]


TESTS = (
    Test(50912, 1.0, 0.6, "mg/dL", (0.4, 1.2)),  # creatinine
    Test(50971, 4.2, 0.12, "mEq/L", (3.3, 5.1)),  # potassium
    Test(50983, 139.0, 0.03, "mEq/L", (133, 145)),  # sodium
    Test(51222, 11.5, 0.2, "g/dL", (12, 16)),  # haemoglobin
    Test(51301, 8.5, 0.4, "K/uL", (4, 10)),  # white cells
)


@dataclass(frozen=True)
class Samples:
    """Blood samples, one row each."""

    subject_id: Integers
    hadm_id: Integers
    """0 outside an admission."""
    time: Integers
    """Seconds since 1970."""


def write_measurements(rng: np.random.Generator, hospital: Hospital, version: str, folder: Path) -> None:
    """Write `hosp/labevents.csv.gz`, and `hosp/omr.csv.gz`, which version 1.0 did not have yet."""
    hosp = folder / "hosp"
    write_csv(hosp / "labevents.csv.gz", labevents(rng, _samples(rng, hospital), version))
    if version != "1.0":
        write_csv(hosp / "omr.csv.gz", _omr(rng, hospital))


def labevents(rng: np.random.Generator, samples: Samples, version: str, first_id: int = 0) -> Columns:
    """Every test of every sample [D * T rows], in the columns of the given version; `labevent_id` counts from first."""
    count, tests = len(samples.time), len(TESTS)
    rows, which = np.repeat(np.arange(count), tests), np.tile(np.arange(tests), count)
    middle, spread = (np.array([getattr(test, name) for test in TESTS])[which] for name in ("middle", "spread"))
    low, high = np.array([test.normal for test in TESTS])[which].T
    result = np.round(middle * np.exp(spread * rng.standard_normal(len(rows))), 1)
    odd = rng.uniform(size=len(rows)) < IMPLAUSIBLE
    result = np.where(odd, rng.choice([0.0, 999_999.0], len(rows)), result)
    unread = odd & (rng.uniform(size=len(rows)) < 0.5)
    number = pa.array(result, mask=unread)
    hadm_id, time = samples.hadm_id[rows], samples.time[rows]
    columns: Columns = {
        "labevent_id": first_id + np.arange(len(rows)),
        "subject_id": samples.subject_id[rows],
        "hadm_id": pa.array(hadm_id, mask=hadm_id == 0),
        "specimen_id": first_id // tests + rows,
        "itemid": np.array([test.itemid for test in TESTS])[which],
        "order_provider_id": pa.nulls(len(rows), pa.string()),
        "charttime": timestamps(time),
        "storetime": timestamps(time + HOUR),
        "value": number.cast(pa.string()).fill_null("UNABLE TO REPORT"),
        "valuenum": number,
        "valueuom": words([test.unit for test in TESTS], which),
        "ref_range_lower": low,
        "ref_range_upper": high,
        "flag": words(["", "abnormal"], ((result < low) | (result > high)).astype(np.int64)),
        "priority": words(["ROUTINE", "STAT"], rng.integers(0, 2, count)[rows]),
        "comments": pa.nulls(len(rows), pa.string()),
    }
    if version == "1.0":
        del columns["order_provider_id"]
    return columns


def _samples(rng: np.random.Generator, hospital: Hospital) -> Samples:
    """Samples around the studies of patients whom MIMIC-IV knows, sorted by patient and time."""
    studies, encounters = hospital.studies, hospital.encounters
    drawn = rng.poisson(SAMPLES_PER_STUDY, len(studies.time)) * hospital.patients.known[studies.patient]
    study = np.repeat(np.arange(len(drawn)), drawn)
    time = studies.time[study].astype(np.int64) - rng.integers(-AFTER, BEFORE, len(study))
    encounter = studies.encounter[study]
    inside = encounters.admitted[encounter] & (time >= encounters.start[encounter])
    inside &= time <= encounters.discharge[encounter]
    order = np.lexsort((time, studies.patient[study]))
    subject_id = hospital.patients.subject_id[studies.patient[study]]
    hadm_id = np.where(inside, hospital.stays.hadm_id[encounter], 0)
    return Samples(subject_id[order], hadm_id[order], time[order])


def _omr(rng: np.random.Generator, hospital: Hospital) -> Columns:
    """A body mass index, with the weight and a blood pressure, up to 500 days before every other study."""
    studies = hospital.studies
    measured = (rng.uniform(size=len(studies.time)) < 0.5) & hospital.patients.known[studies.patient]
    study = np.flatnonzero(measured)
    day = studies.time[study].astype(np.int64) - rng.integers(0, 500 * DAY, len(study))
    bmi = np.round(27 * np.exp(0.22 * rng.standard_normal(len(study))), 1)
    bmi = np.where(rng.uniform(size=len(study)) < IMPLAUSIBLE, 0.0, bmi)
    pressure = [f"{high}/{low}" for high, low in zip(*_pressures(rng, len(study)), strict=True)]
    results = {"BMI (kg/m2)": _text(bmi), "Weight (Lbs)": _text(np.round(bmi * 6.4)), "Blood Pressure": pressure}
    count, names = len(study), list(results)
    columns: Columns = {
        "subject_id": np.tile(hospital.patients.subject_id[studies.patient[study]], len(names)),
        "chartdate": dates(np.tile(day, len(names)), np.ones(count * len(names), bool)),
        "seq_num": np.ones(count * len(names), np.int64),
        "result_name": words(names, np.repeat(np.arange(len(names)), count)),
        "result_value": pa.array([value for values in results.values() for value in values], pa.string()),
    }
    return select(columns, np.lexsort((np.tile(day, len(names)), columns["subject_id"])))


def _pressures(rng: np.random.Generator, count: int) -> tuple[Integers, Integers]:
    low = rng.integers(55, 95, count)
    return low + rng.integers(35, 60, count), low


def _text(numbers: Numbers) -> list[str]:
    return [f"{number:g}" for number in numbers]
