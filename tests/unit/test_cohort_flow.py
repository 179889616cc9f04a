"""flow.json: every count beside the published one, where both were taken under the same rule."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from mmsn.cohort.flow import STEPS, check_published, count_flow, lines
from mmsn.cohort.settings import CohortSettings
from mmsn.errors import UserError
from tests.unit.cohort_tables import SIX, Mimic, build_in, cohort_of


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


def test_medfuse_lists_that_give_other_sizes_on_the_published_tables_are_refused() -> None:
    sizes = {step.column: step.published or 0 for step in STEPS}
    fewer = {"before_train": 325_288, "before_validate": 15_182}
    medfuse = CohortSettings(split="medfuse")
    count_flow(sizes, {}, medfuse, {})
    with pytest.raises(UserError) as refused:
        count_flow(sizes | fewer, {}, medfuse, {})
    assert "train: 325,288, published 325,188 (+100, +0.031%)" in str(refused.value)
    assert "validate: 15,182, published 15,282 (-100, -0.654%)" in str(refused.value)
    assert "test:" not in str(refused.value)
    assert "data.medfuse_validate" in str(refused.value)
    count_flow(sizes | fewer | {"images": 377_109}, {}, medfuse, {})  # other tables, other sizes
    count_flow(sizes | fewer, {}, CohortSettings(split="official"), {})


def test_a_study_may_ask_for_the_published_counts_and_nothing_else(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        cohort_of(Mimic(), tmp_path, assert_published=True)
    line = str(caught.value)
    assert re.match(
        r"\d+ of \d+ counts part from the published cohort: images in the metadata: 3, published 377,110", line
    )
    assert "(-377,107, -99.999%)" in line
    assert "cohort.assert_published: false" in line
    assert "\n" not in line
    published = count_flow({step.column: step.published or 0 for step in STEPS}, {}, CohortSettings(), {})
    check_published(published)
    assert published["parts_at"] is None


def test_the_diagram_has_what_each_step_keeps_and_why_images_leave(tmp_path: Path) -> None:
    mimic = Mimic().plus(
        metadata="d1  10000004  50000004  PA  21500701  1.0  Erect\na2  10000001  50000001  LPO  21500302  1.0  Erect",
        split="d1  10000004  50000004  train\na2  10000001  50000001  train",
    )
    diagram = cohort_of(mimic, tmp_path).flow["diagram"]
    counts = [(stage["title"], stage["counts"][0]["count"]) for stage in diagram["stages"]]
    assert counts == [("In the metadata", 5), ("With known sex", 4), ("Cohort", 3)]
    excluded = [
        (one["step"], one["count"], one["published"]) for stage in diagram["stages"] for one in stage["excluded"]
    ]
    assert excluded == [("sex unknown: patient not in MIMIC-IV", 1, 889), ("view not kept", 1, 20)]
    assert {split["title"]: split["counts"][0]["count"] for split in diagram["splits"]} == {
        "train": 1,
        "validate": 1,
        "test": 1,
    }


def test_synthetic_tables_are_recognised_and_say_that_they_are_calibrated(tmp_path: Path) -> None:
    genuine = cohort_of(Mimic(), tmp_path).flow
    (tmp_path / "truth.json").write_text("{}")
    (tmp_path / "linked").mkdir()
    for name in ("mimic-iv", "mimic-cxr"):
        (tmp_path / "linked" / name).symlink_to(tmp_path / name)
    assert (genuine["synthetic"], genuine["origin"]) == (False, "")
    for folder in (tmp_path, tmp_path / "linked"):
        flow = build_in(folder).flow
        assert flow["synthetic"] is True
        assert "calibrated to the published counts" in flow["origin"]
        assert lines(flow)[-1] == flow["origin"]


def test_a_published_count_stands_only_beside_its_own_rule(tmp_path: Path) -> None:
    day = steps(cohort_of(Mimic(), tmp_path / "day").flow)
    time = steps(cohort_of(Mimic(), tmp_path / "time", linkage="time").flow)
    outside_icu = "before exclusions: not covered by an ICU stay"
    assert (day[outside_icu]["published"], time[outside_icu]["published"]) == (297_921, None)
    assert day["before exclusions: with labels, train"]["published"] is None, "325,188 is MedFuse's split, not this one"


def test_the_published_split_sizes_count_labelled_images_before_the_exclusions() -> None:
    # 325,188 + 15,282 + 36,625 is the 377,095 labelled images of all 377,110, not of the 376,201 in the cohort.
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
