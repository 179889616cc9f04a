"""The two linkage rules beside each other: what each finds, what it moves, and what an unlinked image is."""

from pathlib import Path
from typing import Any

import pytest

from mmsn.cohort.build import Cohort
from mmsn.cohort.linkage import lines
from tests.unit.cohort_tables import Mimic, build_in, cohort_of, values

ADMISSIONS = """
subject_id  hadm_id   admittime            dischtime            edregtime            hospital_expire_flag
10000001    20000001  2150-03-01 10:00:00  2150-03-05 12:00:00  2150-02-28 23:00:00  0
10000001    20000002  2150-03-05 15:00:00  2150-03-07 12:00:00  .                    1
"""
ICUSTAYS = """
subject_id  hadm_id   stay_id   intime               outtime
10000001    20000001  30000001  2150-03-02 08:00:00  2150-03-03 09:30:00
"""
METADATA = """
dicom_id  subject_id  study_id  ViewPosition  StudyDate  StudyTime  orientation
ed        10000001    50000001  AP            21500228   233000.0   .
icu       10000001    50000001  AP            21500302   90000.0    .
before    10000001    50000001  AP            21500302   70000.0    .
both      10000001    50000001  AP            21500305   110000.0   .
neither   10000001    50000001  AP            21500305   133000.0   .
clockless  10000001   50000001  AP            21500306   .          .
home      10000002    50000002  PA            21500601   120000.0   .
dateless  10000003    50000003  PA            .          120000.0   .
"""
SPLIT = """
dicom_id  subject_id  study_id  split
ed        10000001    50000001  train
icu       10000001    50000001  train
before    10000001    50000001  train
both      10000001    50000001  train
neither   10000001    50000001  train
clockless  10000001   50000001  train
home      10000002    50000002  validate
dateless  10000003    50000003  test
"""
MIMIC = Mimic(admissions=ADMISSIONS, icustays=ICUSTAYS, metadata=METADATA, split=SPLIT)
# What each rule says of each image. `both`: two admissions cover the day, the survived one alone the hour; `neither`:
# between the two.
MORT = {
    #             day        time
    "ed":        ("none",    "alive"),
    "icu":       ("alive",   "alive"),
    "before":    ("alive",   "alive"),
    "both":      ("died",    "alive"),
    "neither":   ("died",    "none"),
    "clockless": ("died",    "unplaced"),
    "home":      ("none",    "none"),
    "dateless":  ("unplaced", "unplaced"),
}  # fmt: skip
IN_ICU = {"day": {"icu", "before"}, "time": {"icu"}}


def expected_mort(rule: int, unlinked: str) -> dict[str, Any]:
    meaning = {"unplaced": None, "none": "alive" if unlinked == "zero" else None}
    return {image: meaning.get(seen[rule], seen[rule]) for image, seen in MORT.items()}


def expected_icu(rule: int, unlinked: str) -> dict[str, Any]:
    outside = {"unplaced": None, "none": "not_icu" if unlinked == "zero" else None}
    stays = IN_ICU[("day", "time")[rule]]
    return {image: "icu" if image in stays else outside.get(seen[rule], "not_icu") for image, seen in MORT.items()}


@pytest.mark.parametrize("unlinked", ["zero", "unknown"])
@pytest.mark.parametrize(("rule", "linkage"), [(0, "day"), (1, "time")])
def test_unlinked_images_are_zero_as_released_or_unknown(
    tmp_path: Path, rule: int, linkage: str, unlinked: str
) -> None:
    cohort = cohort_of(MIMIC, tmp_path, linkage=linkage, unlinked=unlinked)
    assert values(cohort, "mort") == expected_mort(rule, unlinked)
    assert values(cohort, "icu") == expected_icu(rule, unlinked)


def test_an_admitted_image_outside_the_icu_is_known_to_be_outside(tmp_path: Path) -> None:
    # Only without any hospital stay is the ICU unknown: else `icu` would have one value, and nothing to learn from.
    assert values(cohort_of(MIMIC, tmp_path, unlinked="unknown"), "icu")["both"] == "not_icu"


def counts(cohort: Cohort) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    linkage = cohort.flow["linkage"]
    return linkage["rules"]["day"], linkage["rules"]["time"], linkage["moved"]


def test_the_flow_counts_what_each_rule_finds_whichever_is_used(tmp_path: Path) -> None:
    cohort = cohort_of(MIMIC, tmp_path)
    day, time, _ = counts(cohort)
    assert day == {
        "not placed in time": 1,
        "covered by an admission": 5,
        "covered by an admission that ended in death": 3,
        "covered by an ICU stay": 2,
        "unlinked: no admission": 2,
        "unlinked: no admission and no ICU stay": 2,
        "covered by several admissions": 2,
        "mortality decided by the order of the file": 2,
    }
    assert time == {
        "not placed in time": 2,
        "covered by an admission": 4,
        "covered by an admission that ended in death": 0,
        "covered by an ICU stay": 1,
        "unlinked: no admission": 2,
        "unlinked: no admission and no ICU stay": 2,
        "covered by several admissions": 0,
        "mortality decided by the order of the file": 0,
    }
    assert build_in(tmp_path, linkage="time").flow["linkage"] == cohort.flow["linkage"]


def test_the_flow_counts_the_images_whose_flag_the_rules_disagree_on(tmp_path: Path) -> None:
    _, _, moved = counts(cohort_of(MIMIC, tmp_path))
    assert {change: images for change, images in moved.items() if images} == {
        "mort: moved": 3,
        "mort: died to alive": 2,
        "mort: died to unknown": 1,
        "icu: moved": 2,
        "icu: icu to not_icu": 1,
        "icu: not_icu to unknown": 1,
    }
    _, _, moved = counts(build_in(tmp_path, unlinked="unknown"))
    assert {change: images for change, images in moved.items() if images} == {
        "mort: moved": 4,
        "mort: died to alive": 1,
        "mort: died to unknown": 2,
        "mort: unknown to alive": 1,
        "icu: moved": 4,
        "icu: icu to not_icu": 1,
        "icu: not_icu to unknown": 2,
        "icu: unknown to not_icu": 1,
    }


def test_the_log_says_it_in_aligned_lines_and_states_the_day_rule(tmp_path: Path) -> None:
    shown = lines(cohort_of(MIMIC, tmp_path).flow["linkage"])
    assert shown[0].split() == ["images", "by", "linkage", "rule", "day", "time"]
    assert any(line.split() == ["covered", "by", "an", "ICU", "stay", "2", "1"] for line in shown)
    assert any(line.split() == ["from", "day", "to", "time:", "mort:", "moved", "3"] for line in shown)
    assert shown[-1] == "under 'day', where several admissions cover the day, the last in file order wins"
