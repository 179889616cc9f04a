"""The known truth: what depends on what, and how strongly."""

from functools import cache

import numpy as np
import pytest
from pydantic import ValidationError

from mmsn.labels import LABELS
from mmsn.synthetic import published
from mmsn.synthetic.labelling import BLANK
from mmsn.synthetic.model import EHR_TERMS, FINDINGS, StudyEhr
from mmsn.synthetic.settings import SynthSettings
from mmsn.synthetic.world import World, draw_world


@cache
def world(strength: float) -> World:
    return draw_world(SynthSettings(patients=4000, images=23_000, seed=1, tables_only=True, ehr_strength=strength))


def recorded(drawn: World) -> StudyEhr:
    studies = drawn.hospital.studies
    return StudyEhr(
        patient=studies.patient,
        age=studies.age.astype(float),
        male=drawn.hospital.patients.male[studies.patient],
        icu=studies.icu_time,
        died=studies.died_time,
        ap=drawn.hospital.shapes.bedside,
        recumbent=drawn.recumbent,
    )


def one_study_a_patient(drawn: World) -> np.ndarray:
    """Studies of one patient are alike, so only one of each counts as independent."""
    return np.unique(drawn.hospital.studies.patient, return_index=True)[1]


def correlations(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """All correlations [left columns, right columns]."""
    count = left.shape[1]
    return np.corrcoef(left.astype(float), right.astype(float), rowvar=False)[:count, count:]


def test_at_strength_0_the_ehr_says_nothing_about_findings_or_pixels() -> None:
    drawn = world(0.0)
    rows = one_study_a_patient(drawn)
    bound = 4.2 / np.sqrt(len(rows))  # 78 correlations of nothing stay below this but once in 500 seeds
    ehr = recorded(drawn).design()[rows]
    assert np.abs(correlations(ehr, drawn.reports.findings.present[rows])).max() < bound
    # Pixels are drawn from the latent EHR and the findings, and from nothing else.
    assert np.abs(correlations(ehr, drawn.latent.ehr.design()[rows])).max() < bound


def test_at_strength_1_the_drawn_ehr_is_the_recorded_one() -> None:
    drawn = world(1.0)
    assert np.array_equal(recorded(drawn).design(), drawn.latent.ehr.design())
    assert np.array_equal(drawn.latent.view, drawn.images.view)
    table = correlations(drawn.latent.ehr.design(), drawn.reports.findings.present)
    icu, age = EHR_TERMS.index("icu"), EHR_TERMS.index("age")
    assert table[icu, FINDINGS.index("Support Devices")] > 0.3
    assert table[age, FINDINGS.index("Cardiomegaly")] > 0.1


def test_strength_scales_the_tie_and_leaves_what_is_drawn_as_it_was() -> None:
    ties, drawn_ties = [], []
    for strength in (0.0, 0.5, 1.0):
        drawn = world(strength)
        shown = drawn.reports.findings.present
        ties.append(correlations(recorded(drawn).design(), shown)[EHR_TERMS.index("icu"), -1])
        drawn_ties.append(correlations(drawn.latent.ehr.design(), shown)[EHR_TERMS.index("icu"), -1])
        assert drawn.latent.linked.mean() == pytest.approx(strength)
    assert max(drawn_ties) - min(drawn_ties) < 0.03
    assert ties[1] == pytest.approx(ties[2] / 2, abs=0.06)


def test_a_lateral_radiograph_is_always_recorded_as_lateral() -> None:
    drawn = world(0.0)
    assert np.array_equal(np.isin(drawn.latent.view, ("LATERAL", "LL")), np.isin(drawn.images.view, ("LATERAL", "LL")))
    assert not np.array_equal(drawn.latent.view, drawn.images.view)


def test_prevalences_are_the_stated_ones_exactly() -> None:
    drawn = world(1.0)
    codes, studies = drawn.reports.codes, len(drawn.reports.codes)
    for name, (positive, denied, uncertain) in published.LABEL_SHARES.items():
        column = codes[:, LABELS.index(name)]
        for code, share in ((1, positive), (0, denied), (-1, uncertain)):
            assert (column == code).sum() == round(share * studies / 100), (name, code)
    nothing = codes[:, LABELS.index("No Finding")]
    assert (nothing == 1).mean() == pytest.approx(0.331, abs=0.05)
    assert set(np.unique(nothing)) == {1, BLANK}


def test_labels_of_1_are_right_and_uncertain_ones_are_right_half_the_time() -> None:
    reports = world(1.0).reports
    for number, name in enumerate(FINDINGS):
        column, present = reports.codes[:, LABELS.index(name)], reports.findings.present[:, number]
        assert present[column == 1].all()
        assert not present[column == 0].any()
        assert present[column == -1].sum() == (column == -1).sum() // 2


def test_no_finding_is_the_absence_of_all_but_support_devices() -> None:
    reports = world(1.0).reports
    others = reports.findings.present[:, :-1]
    assert FINDINGS[-1] == "Support Devices"
    assert np.array_equal(reports.findings.none, ~others.any(1))
    nothing = reports.codes[:, LABELS.index("No Finding")] == 1
    filled = np.isin(reports.codes, (1, -1))[:, [LABELS.index(name) for name in FINDINGS[:-1]]].any(1)
    assert np.array_equal(nothing, ~filled)


def test_findings_persist_within_patients() -> None:
    drawn = world(1.0)
    patient, present = drawn.hospital.studies.patient, drawn.reports.findings.present
    pairs = np.flatnonzero(patient[1:] == patient[:-1])
    for number in range(len(FINDINGS)):
        both = np.corrcoef(present[pairs, number], present[pairs + 1, number])[0, 1]
        assert both > 0.05, FINDINGS[number]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_demo_has_every_label_in_every_split_and_rare_ones_in_4_per_cent(seed: int) -> None:
    drawn = draw_world(SynthSettings(seed=seed))
    reports, patient = drawn.reports, drawn.hospital.studies.patient
    assert ((reports.codes == 1).mean(0) >= 0.039).all()
    for split in (drawn.splits.official, drawn.splits.medfuse):
        shares = np.bincount(split) / len(split)
        assert shares == pytest.approx([0.7, 0.1, 0.2], abs=0.01)
        for part in range(3):
            seen = reports.codes[reports.labelled & (split[patient] == part)]
            assert (seen == 1).any(0).all()
            assert (seen != 1).any(0).all()


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"split_shares sum to 1\.3"):
        SynthSettings(split_shares=(0.5, 0.5, 0.3))
    with pytest.raises(ValidationError, match=r"fewer than 1\.6 for each"):
        SynthSettings(patients=100, images=120)


@pytest.mark.parametrize(("patients", "images"), [(10, 16), (10, 58), (12, 700), (300, 480)])
def test_odd_sizes_work(patients: int, images: int) -> None:
    drawn = draw_world(SynthSettings(patients=patients, images=images, tables_only=True))
    assert len(drawn.files.path) == len(set(drawn.files.path)) == images
    assert len(np.unique(drawn.hospital.studies.patient)) == patients
