"""When patients come to hospital: encounters, admissions, ICU stays and the studies within them.

Every patient's encounters follow each other without overlap in time. Some readmissions start on the day of the
discharge before, so that two admissions cover that day; emergency department time precedes many admissions, and a
study there may fall on the day before. Times are seconds since 1970.
"""

from dataclasses import dataclass

import numpy as np

from mmsn.synthetic.exact import Flags, Integers, Numbers

DAY = 86_400
LONGEST_DAYS = 10.3 * 365
"""Longest time between a patient's first and last encounter: ages may shift by -2 to +9 years."""
SAME_ENCOUNTER = 0.50
"""Chance that a patient's next study belongs to the same encounter as the one before."""
SINGLE_STUDY_ADMITTED = 0.35
"""Chance that an encounter with one study is an admission; with more it always is."""


@dataclass(frozen=True)
class Encounters:
    """One row a contact with the hospital, sorted by patient and time."""

    patient: Integers
    """Row of the patient."""
    studies: Integers
    """Number of studies."""
    admitted: Flags
    """Whether it is an admission; otherwise an outpatient or emergency contact."""
    start: Integers
    """Arrival: in the emergency department where there is one."""
    admit: Integers
    discharge: Integers
    emergency: Flags
    same_day: Flags
    """Whether it starts on the day on which the encounter before, an admission, ended."""


@dataclass(frozen=True)
class Contacts:
    """Studies grouped into contacts with the hospital, before these have times."""

    patient: Integers
    studies: Integers
    admitted: Flags
    of_study: Integers
    """Row of the contact of each study [S]; studies are sorted by patient and time."""


def draw_contacts(rng: np.random.Generator, studies: Integers) -> Contacts:
    """Group each patient's `studies` [P] into contacts of one or more."""
    owner = np.repeat(np.arange(len(studies)), studies)
    new = np.r_[True, owner[1:] != owner[:-1]] | (rng.uniform(size=len(owner)) >= SAME_ENCOUNTER)
    of_study = np.cumsum(new) - 1
    count = np.bincount(of_study)
    admitted = (count > 1) | (rng.uniform(size=len(count)) < SINGLE_STUDY_ADMITTED)
    return Contacts(owner[new], count, admitted, of_study)


def draw_encounters(
    rng: np.random.Generator, contacts: Contacts, bare: Integers, origin: Integers
) -> tuple[Encounters, Integers]:
    """Put the contacts and `bare` [P] admissions without a study into order and time.

    Args:
        rng: random numbers.
        contacts: contacts with a study.
        bare: number of admissions without a study of each patient.
        origin: first second of each patient's anchor year, since 1970.

    Returns:
        The encounters, and the row of the encounter of every study.
    """
    known = len(contacts.patient)
    extra = np.repeat(np.arange(len(bare)), bare)
    per_patient = np.bincount(contacts.patient, minlength=len(bare))
    place = np.r_[
        np.arange(known) - np.searchsorted(contacts.patient, contacts.patient) + 0.5,
        rng.uniform(size=len(extra)) * (per_patient[extra] + 1),
    ]
    patient = np.r_[contacts.patient, extra]
    order = np.lexsort((place, patient))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    studies = np.r_[contacts.studies, np.zeros(len(extra), np.int64)]
    admitted = np.r_[contacts.admitted, np.ones(len(extra), bool)]
    encounters = _lay_out(rng, patient[order], studies[order], admitted[order], origin)
    return encounters, rank[contacts.of_study]


def _lay_out(
    rng: np.random.Generator, patient: Integers, studies: Integers, admitted: Flags, origin: Integers
) -> Encounters:
    """Give encounters their times, one patient's after another."""
    n = len(patient)
    stay = np.maximum(np.exp(rng.normal(1.15, 0.9, n)), studies * rng.uniform(0.5, 1.2, n))
    stay = np.where(admitted, np.clip(stay, 0.3, 90), 0.1) * DAY
    emergency = admitted & (rng.uniform(size=n) < 0.55)
    wait = np.where(emergency, rng.uniform(1, 18, n), 0) * 3600
    first = np.r_[True, patient[1:] != patient[:-1]]
    follows = np.r_[False, (patient[1:] == patient[:-1]) & admitted[1:] & admitted[:-1]]
    same_day = follows & (rng.uniform(size=n) < 0.03)
    gap = np.where(first | same_day, 0, np.exp(rng.normal(4.0, 1.4, n)) * DAY)
    gap = np.where(first | same_day, gap, np.maximum(_fit(patient, gap, stay + wait), 2 * DAY))
    length = (wait + stay).astype(np.int64)
    span = _running(patient, gap.astype(np.int64) + length)
    start = _first_arrival(rng, patient, origin, span)[patient] + span - length
    start, admit, discharge = _clock(rng, same_day, start, wait.astype(np.int64), length, admitted)
    return Encounters(patient, studies, admitted, start, admit, discharge, emergency, same_day)


def _fit(patient: Integers, gap: Numbers, stay: Numbers) -> Numbers:
    """Shorten the gaps of patients whose history would outlast `LONGEST_DAYS`."""
    gaps, stays = np.bincount(patient, gap), np.bincount(patient, stay)
    room = np.maximum(LONGEST_DAYS * DAY - stays, 0)
    out: Numbers = gap * np.minimum(1, room / np.maximum(gaps, 1))[patient]
    return out


def _running(patient: Integers, values: Integers) -> Integers:
    """Cumulative sum within each patient."""
    total = np.cumsum(values)
    begins = np.searchsorted(patient, patient)
    return total - (total[begins] - values[begins])


def _first_arrival(rng: np.random.Generator, patient: Integers, origin: Integers, span: Integers) -> Integers:
    """First arrival of each patient: from two years before the anchor year, ending within the nine years after."""
    longest = np.zeros(len(origin), np.int64)
    np.maximum.at(longest, patient, span)
    latest = np.clip(9.3 * 365 - longest / DAY, -700, 700)
    days = -725 + rng.uniform(size=len(origin)) * (latest + 725)
    return origin + (days * DAY).astype(np.int64)


def _clock(
    rng: np.random.Generator, same_day: Flags, start: Integers, wait: Integers, length: Integers, admitted: Flags
) -> tuple[Integers, Integers, Integers]:
    """Move discharges to the working day, and same-day readmissions to the hours after the discharge.

    A discharge moves only within its own day, and other encounters lie two days apart, so no order changes.
    """
    n = len(start)
    end = start + length
    at_work = end // DAY * DAY + (rng.uniform(9, 18, n) * 3600).astype(np.int64)
    later = np.maximum(at_work, start + wait + 3600)
    discharge = np.where(admitted, later, end)
    again = np.flatnonzero(same_day)
    # A chain of readmissions on one day is followed in order: each hangs on the discharge before it.
    for row in again:
        before = discharge[row - 1]
        arrival = before + int(rng.uniform(0.5, 5) * 3600)
        start[row] = max(before + 60, min(arrival, before // DAY * DAY + DAY - 600))
        discharge[row] = max(discharge[row], start[row] + wait[row] + 3600)
    return start // 60 * 60, (start + wait) // 60 * 60, discharge // 60 * 60


def draw_study_times(rng: np.random.Generator, encounters: Encounters, encounter: Integers) -> Numbers:
    """Times of studies [S], rising within an encounter; the first may be in the emergency department.

    Returns:
        Seconds since 1970, in whole milliseconds.
    """
    u = np.sort(rng.uniform(0.01, 0.99, len(encounter)) + encounter) - encounter
    opening = np.r_[True, encounter[1:] != encounter[:-1]]
    begin, end = encounters.admit[encounter], encounters.discharge[encounter]
    time = begin + u * (end - begin)
    urgent = opening & encounters.emergency[encounter] & (rng.uniform(size=len(u)) < 0.6)
    arrival = encounters.start[encounter]
    time = np.where(urgent, arrival + (0.1 + 0.8 * u) * (begin - arrival), time)
    return np.round(time, 3)
