"""The hospital that the radiographs come from: patients, admissions, ICU stays and deaths with the published counts.

Sex, ICU and death are fixed on whole patients, stays and last admissions so that the number of images they touch is
the published one, scaled, exactly (`exact_subset`). Within the EHR dependencies are always there: older patients
and men reach intensive care more often, and older patients and those in intensive care die more often.
"""

from dataclasses import dataclass

import numpy as np

from mmsn.synthetic import published
from mmsn.synthetic.exact import Flags, Integers, Numbers, choose, exact_number, exact_subset
from mmsn.synthetic.settings import SynthSettings
from mmsn.synthetic.timeline import DAY, Contacts, Encounters, draw_contacts, draw_encounters, draw_study_times
from mmsn.synthetic.views import Shapes, draw_shapes, true_views


@dataclass(frozen=True)
class Patients:
    """One row a patient: those with radiographs first."""

    subject_id: Integers
    male: Flags
    known: Flags
    """Whether the patient is in MIMIC-IV."""
    anchor_age: Integers
    """As recorded: 91 above 89."""
    anchor_year: Integers
    imaged: int
    """How many have radiographs."""


@dataclass(frozen=True)
class Stays:
    """Outcomes of encounters [E]; all false or 0 for those that are no admission."""

    hadm_id: Integers
    file_rank: Integers
    """Place of the admission in its file."""
    died: Flags
    icu: Flags
    icu_in: Integers
    icu_out: Integers
    stay_id: Integers


@dataclass(frozen=True)
class Studies:
    """One row an imaging study, sorted by patient and time."""

    study_id: Integers
    patient: Integers
    encounter: Integers
    time: Numbers
    """Seconds since 1970, whole milliseconds."""
    age: Integers
    """Year of the study minus the year of birth that MIMIC-IV implies."""
    died_day: Flags
    """Hospital mortality by the released day-level rule: of several admissions the last in file order."""
    died_time: Flags
    """Hospital mortality of the admission at that hour, emergency department time included."""
    icu_day: Flags
    icu_time: Flags


@dataclass(frozen=True)
class Hospital:
    """Everything of MIMIC-IV, before it is written as tables."""

    patients: Patients
    encounters: Encounters
    stays: Stays
    studies: Studies
    shapes: Shapes


def draw_hospital(rng: np.random.Generator, settings: SynthSettings, images: int) -> Hospital:
    """Draw patients, their encounters and studies, and the deaths and ICU stays among them."""
    version = published.MIMIC_IV[settings.mimic_iv_version]
    totals = [round(count * settings.patients / published.PATIENTS) for count in version]
    per_patient = _studies_per_patient(rng, settings.patients, images)
    contacts = draw_contacts(rng, per_patient)
    shapes = draw_shapes(rng, contacts, images)
    owner = np.repeat(np.arange(settings.patients), per_patient)
    patients = _patients(rng, contacts, np.bincount(owner, shapes.images).astype(np.int64), totals[0])
    bare = _bare_admissions(rng, patients, totals[1] - int(contacts.admitted.sum()))
    encounters, encounter = draw_encounters(rng, contacts, bare, _first_second(patients.anchor_year))
    time = draw_study_times(rng, encounters, encounter)
    visits = _Visits(patients, encounters, encounter, time, shapes)
    stays = _stays(rng, visits, settings.mimic_iv_version, totals[2])
    return Hospital(patients, encounters, stays, _studies(rng, visits, stays, owner), shapes)


@dataclass(frozen=True)
class _Visits:
    """Encounters with the times and sizes of their studies."""

    patients: Patients
    encounters: Encounters
    encounter: Integers
    time: Numbers
    shapes: Shapes

    @property
    def known_images(self) -> Integers:
        """Images of each study [S] that count for the cohort: 0 for patients absent from MIMIC-IV."""
        known = self.patients.known[self.encounters.patient[self.encounter]]
        return np.where(known, self.shapes.images, 0)


def _studies_per_patient(rng: np.random.Generator, patients: int, images: int) -> Integers:
    """Many patients with one study, a few with more than a hundred; never more studies than frontal images."""
    frontal = int(true_views(images)[0][:2].sum())
    total = min(max(patients, round(images * published.STUDIES / published.IMAGES)), frontal)
    weights = np.exp(rng.normal(0, 1.05, patients))
    return 1 + rng.multinomial(total - patients, weights / weights.sum()).astype(np.int64)


def _patients(rng: np.random.Generator, contacts: Contacts, images: Integers, total: int) -> Patients:
    imaged = len(images)
    admitted = np.bincount(contacts.patient, contacts.admitted, imaged) > 0
    # Patients absent from MIMIC-IV: some of those who were never admitted.
    score = np.where(admitted, -np.inf, rng.uniform(size=imaged))
    of_all = int(images.sum())
    lost = published.scaled(published.IMAGES_WITHOUT_SEX, of_all)
    absent = exact_number(
        score, images, min(lost, max(1, published.scaled(published.PATIENTS_WITHOUT_SEX, of_all))), lost
    )
    count = imaged + max(0, total - int((~absent).sum()))
    known = np.r_[~absent, np.ones(count - imaged, bool)]
    with_sex = np.where(absent, 0, images)
    share = published.MALE_IMAGES / (published.IMAGES - published.IMAGES_WITHOUT_SEX)
    male = rng.uniform(size=count) < share
    male[:imaged] = exact_subset(rng.uniform(size=imaged), with_sex, round(share * int(with_sex.sum()))) | (
        absent & male[:imaged]
    )
    young = rng.uniform(size=count) < 0.32
    age = np.where(young, rng.normal(38, 13, count), rng.normal(68, 12, count))
    age = np.where(age < 18, rng.uniform(18, 90, count), age)
    anchor_age = np.where(age > 89, 91, age).astype(np.int64)
    return Patients(
        subject_id=_ids(rng, 10_000_000, imaged, count),
        male=male,
        known=known,
        anchor_age=anchor_age,
        anchor_year=rng.integers(2110, 2202, count),
        imaged=imaged,
    )


def _ids(rng: np.random.Generator, first: int, imaged: int, count: int) -> Integers:
    """Distinct eight-digit ids, rising within the imaged and within the other patients."""
    drawn = first + rng.choice(10_000_000, count, replace=False).astype(np.int64)
    return np.r_[np.sort(drawn[:imaged]), np.sort(drawn[imaged:])]


def _bare_admissions(rng: np.random.Generator, patients: Patients, total: int) -> Integers:
    """Admissions without a radiograph [P], so that all admissions together are the published number."""
    weights = np.exp(rng.normal(0, 1.0, len(patients.known))) * patients.known
    return rng.multinomial(max(0, total), weights / weights.sum()).astype(np.int64)


def _first_second(year: Integers) -> Integers:
    return (year - 1970).astype("datetime64[Y]").astype("datetime64[s]").astype(np.int64)


def _stays(rng: np.random.Generator, visits: _Visits, version: str, total_stays: int) -> Stays:
    encounters = visits.encounters
    admitted, count = encounters.admitted, len(encounters.admitted)
    hadm_id = np.where(admitted, 20_000_000 + rng.choice(10_000_000, count, replace=False), 0)
    # Version 2.2 is sorted by patient and admission id, version 1.0 is not sorted.
    keys = (hadm_id, visits.patients.subject_id[encounters.patient]) if version == "2.2" else (rng.uniform(size=count),)
    file_rank = np.empty(count, np.int64)
    file_rank[np.lexsort(keys)] = np.arange(count)
    icu_in, icu_out, possible = _icu_intervals(rng, encounters)
    icu = _choose_icu(rng, visits, icu_in, icu_out, possible, total_stays)
    died = _choose_deaths(rng, visits, file_rank, icu)
    stay_id = np.where(icu, 30_000_000 + rng.choice(10_000_000, count, replace=False), 0)
    return Stays(hadm_id, file_rank, died, icu, icu_in, icu_out, stay_id)


def _icu_intervals(rng: np.random.Generator, encounters: Encounters) -> tuple[Integers, Integers, Flags]:
    """An interval of intensive care for each encounter, and whether it may be used.

    An interval must not touch a day that two admissions, emergency time included, share: a study then belongs to
    one stay only, and images can be counted per stay.
    """
    length = encounters.discharge - encounters.admit
    begin = encounters.admit + (rng.uniform(0, 0.15, len(length)) * length).astype(np.int64)
    end = begin + (rng.uniform(0.55, 1.0, len(length)) * (encounters.discharge - begin)).astype(np.int64)
    shared = encounters.same_day & (encounters.start // DAY == np.r_[0, encounters.discharge[:-1]] // DAY)
    before = np.r_[shared[1:], False]
    clash = shared & (begin // DAY == encounters.admit // DAY)
    clash |= before & (end // DAY == encounters.discharge // DAY)
    return begin, end, encounters.admitted & ~clash


def _age_score(visits: _Visits) -> Numbers:
    out: Numbers = (visits.patients.anchor_age[visits.encounters.patient] - 62) / 20
    return out


def _choose_icu(
    rng: np.random.Generator, visits: _Visits, begin: Integers, end: Integers, possible: Flags, total: int
) -> Flags:
    """Admissions with an ICU stay: those with many bedside studies, the old and men first."""
    encounters, of_study = visits.encounters, visits.encounter
    count = len(possible)
    covered = _covers(begin // DAY, end // DAY, visits)
    possible = possible & ~_covers_another(begin // DAY, end // DAY, visits)
    sizes = np.bincount(of_study, np.where(covered, visits.known_images, 0), count).astype(np.int64)
    bedside = np.bincount(of_study, visits.shapes.bedside & (visits.shapes.laterals == 0), count)
    walking = np.bincount(of_study, visits.shapes.laterals, count)
    score = 1.1 * np.log1p(bedside) - 0.7 * np.log1p(walking) + 0.35 * _age_score(visits)
    score += 0.25 * visits.patients.male[encounters.patient] + rng.normal(0, 0.8, count)
    share = published.ICU_IMAGES / (published.IMAGES - published.IMAGES_WITHOUT_SEX)
    wanted = round(share * int(visits.known_images.sum()))
    icu = exact_subset(np.where(possible, score, -np.inf), sizes, wanted)
    others = possible & (sizes == 0) & (np.bincount(of_study, minlength=count) == 0)
    return icu | choose(rng, others, max(0, total - int(icu.sum())))


def _covers(first_day: Integers, last_day: Integers, visits: _Visits) -> Flags:
    """Whether the interval of its own encounter covers the day of each study [S]."""
    day = visits.time // DAY
    out: Flags = (first_day[visits.encounter] <= day) & (day <= last_day[visits.encounter])
    return out


def _covers_another(first_day: Integers, last_day: Integers, visits: _Visits) -> Flags:
    """Whether the interval of an encounter covers the day of a study of a neighbouring one; such images would count
    twice."""
    day, owner = visits.time // DAY, visits.encounters.patient
    out = np.zeros(len(first_day), bool)
    for step in (-2, -1, 1, 2):
        row = np.clip(visits.encounter + step, 0, len(first_day) - 1)
        same = (owner[row] == owner[visits.encounter]) & (row != visits.encounter)
        out[row[same & (first_day[row] <= day) & (day <= last_day[row])]] = True
    return out


def covering_admission(encounters: Encounters, file_rank: Integers, encounter: Integers, time: Numbers) -> Integers:
    """The admission that the released day-level rule gives each study [S]: the last in file order, -1 for none.

    Only neighbours in time can share a day with the study's own encounter.
    """
    day = time // DAY
    best, best_rank = np.full(len(time), -1), np.full(len(time), -1)
    for step in (-1, 0, 1):
        row = np.clip(encounter + step, 0, len(file_rank) - 1)
        covers = encounters.admitted[row] & (encounters.patient[row] == encounters.patient[encounter])
        covers &= (encounters.admit[row] // DAY <= day) & (day <= encounters.discharge[row] // DAY)
        better = covers & (file_rank[row] > best_rank)
        best, best_rank = np.where(better, row, best), np.where(better, file_rank[row], best_rank)
    return best


def _choose_deaths(rng: np.random.Generator, visits: _Visits, file_rank: Integers, icu: Flags) -> Flags:
    """Admissions that end in death, each the last encounter of its patient: the old and those in ICU first."""
    encounters, of_study = visits.encounters, visits.encounter
    count = len(icu)
    final = encounters.admitted & np.r_[encounters.patient[1:] != encounters.patient[:-1], True]
    rule = covering_admission(encounters, file_rank, of_study, visits.time)
    sizes = np.bincount(rule[rule >= 0], visits.known_images[rule >= 0], count).astype(np.int64)
    score = 0.6 * _age_score(visits) + 1.2 * icu + rng.normal(0, 1.0, count)
    share = published.DIED_IMAGES / (published.IMAGES - published.IMAGES_WITHOUT_SEX)
    wanted = round(share * int(visits.known_images.sum()))
    died = exact_subset(np.where(final, score, -np.inf), sizes, wanted)
    return died | (final & (sizes == 0) & (encounters.studies == 0) & (rng.uniform(size=count) < 0.02))


def _studies(rng: np.random.Generator, visits: _Visits, stays: Stays, owner: Integers) -> Studies:
    encounters, of_study, time = visits.encounters, visits.encounter, visits.time
    year = (time.astype(np.int64).astype("datetime64[s]")).astype("datetime64[Y]").astype(np.int64) + 1970
    rule = covering_admission(encounters, stays.file_rank, of_study, time)
    icu = stays.icu[of_study]
    return Studies(
        study_id=50_000_000 + rng.choice(10_000_000, len(time), replace=False).astype(np.int64),
        patient=owner,
        encounter=of_study,
        time=time,
        age=year - visits.patients.anchor_year[owner] + visits.patients.anchor_age[owner],
        died_day=stays.died[rule] & (rule >= 0),
        died_time=stays.died[of_study],
        icu_day=icu & _covers(stays.icu_in // DAY, stays.icu_out // DAY, visits),
        icu_time=icu & (stays.icu_in[of_study] <= time) & (time <= stays.icu_out[of_study]),
    )
