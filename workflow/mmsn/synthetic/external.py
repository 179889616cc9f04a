"""What the two external sets share: patients from the same generative model, without ICU stays or deaths."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmsn.synthetic import published
from mmsn.synthetic.exact import Flags, Integers, Numbers
from mmsn.synthetic.labelling import Codes, draw_labels, prevalence
from mmsn.synthetic.model import FINDINGS, Findings, StudyEhr, draw_findings, link
from mmsn.synthetic.names import pixel_sizes
from mmsn.synthetic.plates import Shown


@dataclass(frozen=True)
class ExternalSet:
    """Patients, studies [S] and images [N] of an external set, sorted by patient."""

    recorded: StudyEhr
    latent: StudyEhr
    findings: Findings
    codes: Codes
    study: Integers
    """Study of each image."""
    lateral: Flags
    """By image."""

    def view(self, ehr: StudyEhr) -> NDArray[np.str_]:
        """View of each image as recorded or as drawn."""
        return np.where(self.lateral, "LATERAL", np.where(ehr.ap[self.study], "AP", "PA"))

    def shown(self, extra: Numbers | None = None, extra_names: tuple[str, ...] = ()) -> Shown:
        """What is drawn; `extra` [S, E] holds severities of findings beyond the 13."""
        severity = self.findings.severity if extra is None else np.concatenate([self.findings.severity, extra], 1)
        return Shown(self.latent, severity, (*FINDINGS, *extra_names), self.study, self.view(self.latent))


def draw_external(
    rng: np.random.Generator, patients: int, studies: float, ap: float, lateral: float, strength: float
) -> ExternalSet:
    """Draw a set.

    Args:
        rng: random numbers.
        patients: number of patients.
        studies: mean number of studies of a patient, at least 1.
        ap: share of AP among the frontal views.
        lateral: share of the other studies that also have a lateral view.
        strength: share of patients whose recorded sex, age and view are those that were drawn.
    """
    count = 1 + rng.poisson(studies - 1, patients).astype(np.int64)
    patient = np.repeat(np.arange(patients), count)
    age = np.clip(rng.normal(58, 18, patients), 18, 90).round()[patient]
    bedside = rng.uniform(size=len(patient)) < ap
    recumbent = bedside & (rng.uniform(size=len(patient)) < 0.35)
    male = (rng.uniform(size=patients) < 0.56)[patient]
    never = np.zeros(len(patient), bool)
    recorded = StudyEhr(patient, age, male, never, never, bedside, recumbent)
    latent, _ = link(rng, recorded, patients, strength)
    wanted = prevalence(len(patient), published.RARE_FLOOR)
    findings = draw_findings(rng, latent, patients, wanted.present)
    codes = draw_labels(rng, findings, wanted)
    both = ~bedside & (rng.uniform(size=len(patient)) < lateral)
    study = np.repeat(np.arange(len(patient)), 1 + both)
    is_lateral = np.r_[False, study[1:] == study[:-1]]
    return ExternalSet(recorded, latent, findings, codes, study, is_lateral)


def sizes(rng: np.random.Generator, drawn: ExternalSet, side: int) -> tuple[Integers, Integers]:
    """Rows and columns of each image; some bedside images are landscape."""
    view = drawn.view(drawn.latent)
    return pixel_sizes(rng, (view == "AP") & (rng.uniform(size=len(view)) < 0.5), side)
