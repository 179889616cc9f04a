"""What each step left, beside what the paper's authors had: counts only, no row of a patient."""

from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from mmsn.cohort.settings import CohortSettings


@dataclass(frozen=True)
class Step:
    """One count of the flow."""

    column: str
    """Column of flow.sql."""
    name: str
    published: int | None = None
    """Count of the released notebooks on MIMIC-IV 1.0 and MIMIC-CXR-JPG 2.0.0 (SPEC 2)."""


STEPS: Final = (
    Step("images", "images in the metadata", 377_110),
    Step("before_ap", "before exclusions: view AP", 147_173),
    Step("before_pa", "before exclusions: view PA", 96_161),
    Step("before_lateral", "before exclusions: view LATERAL", 82_853),
    Step("before_ll", "before exclusions: view LL", 35_133),
    Step("before_no_view", "before exclusions: view missing", 15_769),
    Step("before_other_view", "before exclusions: other views", 21),
    Step("before_no_date", "before exclusions: StudyDate missing"),
    Step("before_no_time", "before exclusions: StudyTime missing or impossible"),
    Step("before_died", "before exclusions: covered by an admission that ended in death", 18_489),
    Step("before_outside_icu", "before exclusions: not covered by an ICU stay", 297_921),
    Step("before_labelled", "before exclusions: with labels", 377_095),
    Step("before_train", "before exclusions: with labels, train", 325_188),
    Step("before_validate", "before exclusions: with labels, validate", 15_282),
    Step("before_test", "before exclusions: with labels, test", 36_625),
    Step("sex_known", "after dropping unknown sex", 376_221),
    Step("male", "after dropping unknown sex: M", 196_446),
    Step("female", "after dropping unknown sex: F", 179_775),
    Step("no_orientation", "after dropping unknown sex: orientation missing", 41_100),
    Step("kept", "after dropping other views: the cohort", 376_201),
    Step("kept_patients", "the cohort: patients", 65_152),
    Step("kept_labelled", "the cohort: with labels"),
    Step("kept_train", "the cohort: train"),
    Step("kept_validate", "the cohort: validate"),
    Step("kept_test", "the cohort: test"),
    Step("admissions_without_end", "admissions without a discharge time"),
    Step("icustays_without_end", "ICU stays without an end"),
)
_PUBLISHED_AGES: Final = {"youngest": 16, "oldest": 100}
_OF_MEDFUSE_ONLY: Final = {"before_train", "before_validate", "before_test"}
_OF_DAY_LINKAGE_ONLY: Final = {"before_died", "before_outside_icu"}


def count_flow(
    counted: dict[str, Any],
    values: dict[str, pa.ChunkedArray],
    settings: CohortSettings,
    split_counts: dict[str, int],
) -> dict[str, Any]:
    """Count every step.

    Args:
        counted: The row of flow.sql.
        values: EHR variable -> its value for every image, before exclusions.
        settings: Rules the counts were taken under; a published count stands only beside its own rule.
        split_counts: What `splits.assign` counted.

    Returns:
        `settings`; `parts_at`, the first step that differs from the published cohort, or None; `steps` of step,
        count, published, difference; `variables`, the known and unknown values of each.
    """
    steps = [_entry(step.name, int(counted[step.column] or 0), _published(step, settings)) for step in STEPS]
    steps += _ages(values)
    steps += [_entry(name, count, None) for name, count in split_counts.items()]
    return {
        "settings": settings.model_dump(mode="json"),
        "parts_at": next((entry["step"] for entry in steps if entry["difference"]), None),
        "steps": steps,
        "variables": {name: _summary(column) for name, column in values.items()},
    }


def lines(flow: dict[str, Any]) -> list[str]:
    """The flow as aligned text: each count, the published one and the difference."""
    shown = [f"{'step':<66}{'here':>11}{'published':>11}{'difference':>12}"]
    for entry in flow["steps"]:
        published = "" if entry["published"] is None else f"{entry['published']:,}"
        difference = "" if entry["difference"] is None else f"{entry['difference']:+,}"
        shown.append(f"{entry['step']:<66}{entry['count']:>11,}{published:>11}{difference:>12}")
    parts = flow["parts_at"]
    where = "nowhere" if parts is None else f"first at '{parts}'"
    return [*shown, f"parts from the published cohort {where}"]


def _published(step: Step, settings: CohortSettings) -> int | None:
    other_split = step.column in _OF_MEDFUSE_ONLY and settings.split != "medfuse"
    other_linkage = step.column in _OF_DAY_LINKAGE_ONLY and settings.linkage != "day"
    return None if other_split or other_linkage else step.published


def _entry(name: str, count: int, published: int | None) -> dict[str, Any]:
    difference = None if published is None else count - published
    return {"step": name, "count": count, "published": published, "difference": difference}


def _ages(values: dict[str, pa.ChunkedArray]) -> list[dict[str, Any]]:
    """The extremes of the variable `age`, where the study has one."""
    ages = values.get("age")
    if ages is None or ages.null_count == len(ages):
        return []
    found = {"youngest": pc.min(ages).as_py(), "oldest": pc.max(ages).as_py()}
    return [
        _entry(f"before exclusions: {which} in years", int(years), _PUBLISHED_AGES[which])
        for which, years in found.items()
    ]


def _summary(column: pa.ChunkedArray) -> dict[str, Any]:
    """Known and unknown values over every image; how often each word occurs, or the range of a number."""
    summary: dict[str, Any] = {"known": len(column) - column.null_count, "unknown": column.null_count}
    if column.type == pa.string():
        counts = column.drop_null().value_counts().to_pylist()
        return summary | {"values": {entry["values"]: entry["counts"] for entry in _sorted(counts)}}
    return summary | {"min": pc.min(column).as_py(), "max": pc.max(column).as_py()}


def _sorted(counts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(counts, key=lambda entry: str(entry["values"]))
