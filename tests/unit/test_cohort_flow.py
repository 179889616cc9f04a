"""flow.json: every count beside the published one, where both were taken under the same rule."""

import json
from pathlib import Path
from typing import Any

from mmsn.cohort.flow import lines
from tests.unit.cohort_tables import SIX, Mimic, cohort_of


def steps(flow: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {entry["step"]: entry for entry in flow["steps"]}


def test_counts_stand_beside_the_published_ones_with_the_difference(tmp_path: Path) -> None:
    flow = cohort_of(Mimic(), tmp_path).flow
    assert steps(flow)["images in the metadata"] == {
        "step": "images in the metadata",
        "count": 3,
        "published": 377_110,
        "difference": 3 - 377_110,
    }
    assert steps(flow)["before exclusions: youngest in years"]["published"] == 16
    assert flow["parts_at"] == "images in the metadata"
    assert lines(flow)[-1] == "parts from the published cohort first at 'images in the metadata'"


def test_a_published_count_stands_only_beside_its_own_rule(tmp_path: Path) -> None:
    day = steps(cohort_of(Mimic(), tmp_path / "day").flow)
    time = steps(cohort_of(Mimic(), tmp_path / "time", linkage="time").flow)
    outside_icu = "before exclusions: not covered by an ICU stay"
    assert (day[outside_icu]["published"], time[outside_icu]["published"]) == (297_921, None)
    assert day["before exclusions: with labels, train"]["published"] is None, "325,188 is MedFuse's split, not this one"


def test_the_published_split_sizes_count_labelled_images_before_the_exclusions() -> None:
    # 325,188 + 15,282 + 36,625 is the 377,095 labelled images of all 377,110, not of the 376,201 in the cohort.
    from mmsn.cohort.flow import STEPS

    published = {step.column: step.published or 0 for step in STEPS}
    assert published["before_train"] + published["before_validate"] + published["before_test"] == 377_095
    views = ("ap", "pa", "lateral", "ll", "no_view", "other_view")
    assert sum(published[f"before_{view}"] for view in views) == published["images"]
    assert published["male"] + published["female"] == published["sex_known"]


def test_the_flow_holds_counts_and_no_patient(tmp_path: Path) -> None:
    flow = cohort_of(Mimic(), tmp_path).flow
    written = json.dumps(flow)
    assert not any(secret in written for secret in ("10000001", "50000001", "a1"))
    assert set(flow["variables"]) == set(SIX)
    assert flow["variables"]["icu"] == {"known": 3, "unknown": 0, "values": {"icu": 1, "not_icu": 2}}
    assert flow["variables"]["age"] == {"known": 3, "unknown": 0, "min": 30, "max": 60}
