"""What each step left, beside what the paper's authors had: counts only, no row of a patient."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from mmsn.cohort.settings import CohortSettings
from mmsn.cohort.splits import SPLITS
from mmsn.errors import UserError

Counts = dict[str, Any]
"""A count as it stands in flow.json: step, count, published, difference."""


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
SYNTHETIC: Final = (
    "The tables are synthetic, made by mmsn synth, which is calibrated to the published counts, scaled to its number"
    " of images: that a count agrees with the published one is no evidence about MIMIC."
)
"""What flow.json and the report say of counts of synthetic tables."""
_SHOWN: Final = {
    "images": "images",
    "patients": "patients",
    "labelled": "images with labels",
    "labelled_before": "with labels, before exclusions",
}
"""Counts as the boxes of the diagram call them."""
_PUBLISHED_AGES: Final = {"youngest": 16, "oldest": 100}
_OF_MEDFUSE_ONLY: Final = {"before_train", "before_validate", "before_test"}
_OF_DAY_LINKAGE_ONLY: Final = {"before_died", "before_outside_icu"}
_OF_LABELLERS_ONLY: Final = {"before_labelled", "before_test"}


def step(name: str, count: int, published: int | None = None) -> Counts:
    """One line of flow.json."""
    difference = None if published is None else count - published
    return {"step": name, "count": count, "published": published, "difference": difference}


def stage(title: str, counts: Sequence[Counts], excluded: Sequence[Counts] = ()) -> dict[str, Any]:
    """One box of the flow diagram, and what leaves the cohort after it."""
    return {"title": title, "counts": list(counts), "excluded": [one for one in excluded if one["count"]]}


def origin(synthetic: bool) -> dict[str, Any]:
    """Keys of flow.json that tell whether `mmsn synth` made the tables."""
    return {"synthetic": synthetic, "origin": SYNTHETIC if synthetic else ""}


def count_flow(
    counted: dict[str, Any],
    values: dict[str, pa.ChunkedArray],
    settings: CohortSettings,
    split_counts: dict[str, int],
    synthetic: bool = False,
) -> dict[str, Any]:
    """Count every step.

    Args:
        counted: The row of flow.sql.
        values: EHR variable -> its value for every image, before exclusions.
        settings: Rules the counts were taken under; a published count stands only beside its own rule.
        split_counts: What `splits.assign` counted.
        synthetic: Whether `mmsn synth` made the tables.

    Returns:
        `settings`; `synthetic` and `origin`, a sentence; `parts_at`, the first step that differs from the published
        cohort, or None; `steps` of step, count, published, difference; `diagram`, the same as boxes;
        `variables`, the known and unknown values of each.

    Raises:
        UserError: The tables have the published counts, the splits made from MedFuse's lists have other sizes.
    """
    found = {one.column: step(one.name, int(counted[one.column] or 0), _published(one, settings)) for one in STEPS}
    _check_medfuse_sizes(found)
    steps = [*found.values(), *_ages(values), *(step(name, count) for name, count in split_counts.items())]
    return {
        "settings": settings.model_dump(mode="json"),
        **origin(synthetic),
        "parts_at": next((one["step"] for one in steps if one["difference"]), None),
        "steps": steps,
        "diagram": _diagram(found),
        "variables": {name: _summary(column) for name, column in values.items()},
    }


def check_published(flow: Mapping[str, Any]) -> None:
    """Stop when a count differs from the published cohort's (`cohort.assert_published`).

    Raises:
        UserError: One line with every count that differs, and by how much.
    """
    differing = [one for one in flow["steps"] if one["difference"]]
    if differing:
        compared = sum(one["published"] is not None for one in flow["steps"])
        raise UserError(
            f"{len(differing)} of {compared} counts part from the published cohort:"
            f" {'; '.join(map(_differs, differing))}; use the tables it was made from, or set cohort.assert_published:"
            " false to go on with these"
        )


def lines(flow: dict[str, Any]) -> list[str]:
    """The flow as aligned text: each count, the published one and the difference."""
    shown = [f"{'step':<66}{'here':>11}{'published':>11}{'difference':>12}"]
    for entry in flow["steps"]:
        published = "" if entry["published"] is None else f"{entry['published']:,}"
        difference = "" if entry["difference"] is None else f"{entry['difference']:+,}"
        shown.append(f"{entry['step']:<66}{entry['count']:>11,}{published:>11}{difference:>12}")
    parts = flow["parts_at"]
    where = "nowhere" if parts is None else f"first at '{parts}'"
    return [*shown, f"parts from the published cohort {where}", *filter(None, [flow.get("origin")])]


def _published(one: Step, settings: CohortSettings) -> int | None:
    other_split = one.column in _OF_MEDFUSE_ONLY and settings.split != "medfuse"
    other_linkage = one.column in _OF_DAY_LINKAGE_ONLY and settings.linkage != "day"
    other_labels = one.column in _OF_LABELLERS_ONLY and settings.test_labels != "labeller"
    return None if other_split or other_linkage or other_labels else one.published


def _check_medfuse_sizes(found: Mapping[str, Counts]) -> None:
    """On the published tables the published lists give the published sizes: others are other lists."""
    if any(found[column]["difference"] for column in ("images", "before_labelled")):
        return
    differing = [found[f"before_{split}"] for split in SPLITS if found[f"before_{split}"]["difference"]]
    if differing:
        raise UserError(
            f"the tables have the published counts, the medfuse split has not: {'; '.join(map(_differs, differing))};"
            " name MedFuse's own lists in data.medfuse_validate and data.medfuse_test, or choose cohort.split: file"
        )


def _differs(one: Counts) -> str:
    share = f", {one['difference'] / one['published']:+.3%}" if one["published"] else ""
    return f"{one['step']}: {one['count']:,}, published {one['published']:,} ({one['difference']:+,}{share})"


def _diagram(found: Mapping[str, Counts]) -> dict[str, Any]:
    """The steps as the boxes of a flow diagram: what each keeps, and why images leave."""

    def counts(**columns: str) -> list[Counts]:
        return [found[column] | {"step": _SHOWN[name]} for name, column in columns.items()]

    no_sex = _lost(found["images"], found["sex_known"], "sex unknown: patient not in MIMIC-IV")
    no_view = _lost(found["sex_known"], found["kept"], "view not kept")
    return {
        "stages": [
            stage("In the metadata", counts(images="images", labelled="before_labelled"), [no_sex]),
            stage("With known sex", counts(images="sex_known"), [no_view]),
            stage("Cohort", counts(images="kept", patients="kept_patients", labelled="kept_labelled")),
        ],
        "splits": [stage(split, counts(images=f"kept_{split}", labelled_before=f"before_{split}")) for split in SPLITS],
    }


def _lost(before: Counts, after: Counts, reason: str) -> Counts:
    """What leaves between two steps, beside what left the published cohort there."""
    known = before["published"] is not None and after["published"] is not None
    return step(reason, before["count"] - after["count"], before["published"] - after["published"] if known else None)


def _ages(values: dict[str, pa.ChunkedArray]) -> list[dict[str, Any]]:
    """The extremes of the variable `age`, where the study has one."""
    ages = values.get("age")
    if ages is None or ages.null_count == len(ages):
        return []
    found = {"youngest": pc.min(ages).as_py(), "oldest": pc.max(ages).as_py()}
    return [
        step(f"before exclusions: {which} in years", int(years), _PUBLISHED_AGES[which])
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
