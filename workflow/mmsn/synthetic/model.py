"""The generative model: how EHR, findings and pixels depend on each other. This is the data set's known truth.

1. *Recorded EHR.* Patients, admissions, ICU stays, deaths, views and positions are drawn first (`hospital`, `views`),
   with dependencies among themselves only.
2. *Latent EHR.* A share `ehr_strength` of the patients is linked: what is drawn is drawn from their own EHR. Every
   other patient borrows sex and age from another unlinked patient, and every study of theirs borrows ICU stay, death,
   AP or PA and position from a random study of an unlinked patient. So the joint distribution of latent EHR, findings
   and pixels stays what it was; only its tie to the recorded EHR changes with the strength, and at 0 there is none.
   The one exception is frontal against lateral: a radiograph recorded as lateral is a lateral one.
3. *Findings.* Each of the 13 has a liability per study,
   `EHR coefficients x latent EHR + loadings x factors + residual`, and is present in the studies of largest
   liability, so many that the prevalence is exact. The three factors (fluid, infection, injury) and the residuals,
   all standard normal, are shared between a patient's studies with correlation `PERSISTENCE`. 'No Finding' is the
   absence of all but Support Devices. A present finding's severity, 0.25 to 1, grows with the rank of its liability.
4. *Pixels* show the latent EHR and every present finding at its severity, whatever the strength (`phantom`).
5. *Labels* are what a labeller makes of the report: `labelling`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from mmsn.labels import LABELS
from mmsn.synthetic.exact import Flags, Integers, Numbers

FINDINGS: Final = tuple(label for label in LABELS if label != "No Finding")
"""The 13 findings that are drawn, in label order."""
EHR_TERMS: Final = ("age", "male", "icu", "died", "ap", "recumbent")
"""Age in units of 20 years from 62; the others 0 or 1."""
EHR_COEFFICIENTS: Final = {
    "Atelectasis": (0.15, 0.10, 0.50, 0.10, 0.35, 0.20),
    "Cardiomegaly": (0.45, -0.10, 0.20, 0.10, 0.35, 0.10),
    "Consolidation": (0.05, 0.10, 0.40, 0.40, 0.30, 0.10),
    "Edema": (0.30, -0.05, 0.50, 0.40, 0.50, 0.15),
    "Enlarged Cardiomediastinum": (0.30, 0.15, 0.30, 0.10, 0.30, 0.25),
    "Fracture": (0.30, 0.20, -0.10, 0.00, 0.15, 0.15),
    "Lung Lesion": (0.30, 0.00, -0.40, 0.10, -0.25, -0.10),
    "Lung Opacity": (0.15, 0.05, 0.30, 0.30, 0.30, 0.10),
    "Pleural Effusion": (0.30, 0.00, 0.50, 0.40, 0.40, 0.20),
    "Pleural Other": (0.25, 0.35, -0.20, 0.00, -0.10, 0.00),
    "Pneumonia": (0.10, 0.10, 0.30, 0.40, 0.20, 0.10),
    "Pneumothorax": (-0.15, 0.30, 0.50, 0.10, 0.25, 0.20),
    "Support Devices": (0.10, 0.10, 1.40, 0.50, 0.70, 0.30),
}
FACTORS: Final = ("fluid", "infection", "injury")
FACTOR_LOADINGS: Final = {
    "Atelectasis": (0.3, 0.3, 0.3),
    "Cardiomegaly": (0.7, 0.0, 0.0),
    "Consolidation": (0.1, 0.7, 0.1),
    "Edema": (0.8, 0.1, 0.0),
    "Enlarged Cardiomediastinum": (0.4, 0.0, 0.2),
    "Fracture": (0.0, 0.0, 0.4),
    "Lung Lesion": (0.0, 0.2, 0.0),
    "Lung Opacity": (0.2, 0.6, 0.1),
    "Pleural Effusion": (0.6, 0.2, 0.3),
    "Pleural Other": (0.1, 0.1, 0.4),
    "Pneumonia": (0.1, 0.7, 0.0),
    "Pneumothorax": (-0.1, 0.0, 0.6),
    "Support Devices": (0.3, 0.2, 0.4),
}
PERSISTENCE: Final = 0.5
"""Correlation of factors, and of residuals, between two studies of one patient."""


@dataclass(frozen=True)
class StudyEhr:
    """EHR of each study [S], recorded or latent."""

    patient: Integers
    age: Numbers
    """Years."""
    male: Flags
    icu: Flags
    died: Flags
    ap: Flags
    recumbent: Flags

    def design(self) -> Numbers:
        """Columns of `EHR_TERMS`, [S, 6]."""
        columns = [(self.age - 62) / 20, self.male, self.icu, self.died, self.ap, self.recumbent]
        return np.stack([np.asarray(column, float) for column in columns], 1)


@dataclass(frozen=True)
class Findings:
    """What each study [S] shows."""

    present: Flags
    """[S, 13] in the order of `FINDINGS`."""
    severity: Numbers
    """[S, 13]: 0 when absent, else 0.25 to 1."""
    liability: Numbers
    """[S, 13]."""
    factors: Numbers
    """[S, 3] in the order of `FACTORS`."""

    @property
    def none(self) -> Flags:
        """'No Finding' [S]: nothing but support devices."""
        others = [number for number, name in enumerate(FINDINGS) if name != "Support Devices"]
        return ~np.asarray(self.present[:, others].any(1), bool)


def link(rng: np.random.Generator, recorded: StudyEhr, patients: int, strength: float) -> tuple[StudyEhr, Flags]:
    """The latent EHR, and which patients [P] are linked to it (point 2 above)."""
    linked = rng.permutation(patients) < round(strength * patients)
    donor = _permute_within(rng, ~linked)
    birth = np.zeros(patients)
    birth[recorded.patient] = recorded.age
    male = np.zeros(patients, bool)
    male[recorded.patient] = recorded.male
    moved = donor[recorded.patient]
    own = ~linked[recorded.patient]
    study = _permute_within(rng, own)
    age = np.where(own, recorded.age - birth[recorded.patient] + birth[moved], recorded.age)
    latent = StudyEhr(
        patient=recorded.patient,
        age=np.clip(age, 16, 100),
        male=male[moved],
        icu=recorded.icu[study],
        died=recorded.died[study],
        ap=recorded.ap[study],
        recumbent=recorded.recumbent[study],
    )
    return latent, linked


def _permute_within(rng: np.random.Generator, moved: Flags) -> Integers:
    """Row numbers, those of `moved` permuted among themselves."""
    rows = np.arange(len(moved))
    rows[moved] = rng.permutation(rows[moved])
    return rows


def draw_findings(rng: np.random.Generator, latent: StudyEhr, patients: int, present: Integers) -> Findings:
    """Draw the findings of all studies.

    Args:
        rng: random numbers.
        latent: latent EHR of the studies.
        patients: number of patients that `latent.patient` counts.
        present: number of studies that show each of `FINDINGS` [13], reached exactly.
    """
    factors = _persistent(rng, latent.patient, patients, len(FACTORS))
    residual = _persistent(rng, latent.patient, patients, len(FINDINGS))
    coefficients = np.array([EHR_COEFFICIENTS[name] for name in FINDINGS])
    loadings = np.array([FACTOR_LOADINGS[name] for name in FINDINGS])
    liability = latent.design() @ coefficients.T + factors @ loadings.T + residual
    rank = np.empty(liability.shape, np.int64)
    np.put_along_axis(rank, np.argsort(-liability, axis=0), np.arange(len(rank))[:, None], axis=0)
    shown = rank < present
    severity = np.where(shown, 0.25 + 0.75 * (1 - rank / np.maximum(present, 1)), 0.0)
    return Findings(shown, severity, liability, factors)


def _persistent(rng: np.random.Generator, patient: Integers, patients: int, columns: int) -> Numbers:
    """Standard normal values [S, columns] that studies of one patient share with correlation `PERSISTENCE`."""
    stable = rng.standard_normal((patients, columns))[patient]
    passing = rng.standard_normal((len(patient), columns))
    out: Numbers = np.sqrt(PERSISTENCE) * stable + np.sqrt(1 - PERSISTENCE) * passing
    return out
