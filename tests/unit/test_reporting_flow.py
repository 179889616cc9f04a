"""The cohort's counts in the report: where and by how much they part from the published ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from mmsn.cohort.flow import STEPS, SYNTHETIC, count_flow
from mmsn.cohort.settings import CohortSettings
from mmsn.errors import UserError
from mmsn.reporting.flow_diagram import draw_flow
from mmsn.reporting.flow_table import agreement, flow_frame, flow_tables
from tests.unit.test_reporting_tables import run

PUBLISHED = {step.column: step.published or 0 for step in STEPS}


def flow_of(**changed: int) -> dict[str, Any]:
    """flow.json of the published cohort, with some other counts."""
    return count_flow(PUBLISHED | changed, {}, CohortSettings(), {})


def text_of(flow: dict[str, Any], title: str) -> list[list[str]]:
    """The cells of one table."""
    tables = {table.title: table for table in flow_tables(flow, flow_frame(flow, "flow.json"))}
    return [[cell.text for cell in row.cells] for row in tables[title].rows] if title in tables else []


def test_every_step_that_differs_is_listed_with_how_much() -> None:
    flow = flow_of(images=377_100, kept=376_202)
    assert text_of(flow, "Where this cohort parts from the published one") == [
        ["images in the metadata", "377,100", "377,110", "−10", "−0.00265\N{NO-BREAK SPACE}%"],
        ["after dropping other views: the cohort", "376,202", "376,201", "+1", "+0.00027\N{NO-BREAK SPACE}%"],
    ]
    assert agreement(flow_frame(flow, "flow.json")).startswith(
        "2 of 19 counts differ from the published ones, first 'images in the metadata': 377,100 here, 377,110 published"
    )
    assert text_of(flow_of(), "Where this cohort parts from the published one") == []
    assert agreement(flow_frame(flow_of(), "flow.json")) == "All 19 counts that have a published one agree with it."


def test_synthetic_counts_say_that_the_generator_is_calibrated_to_the_published_ones() -> None:
    table = flow_tables(flow_of() | {"origin": SYNTHETIC}, flow_frame(flow_of(), "flow.json"))[0]
    assert any("calibrated to the published counts" in sentence for sentence in table.caption)
    assert not any(
        "synthetic" in sentence for sentence in flow_tables(flow_of(), flow_frame(flow_of(), "f"))[0].caption
    )


def test_what_each_linkage_rule_moves_is_a_table() -> None:
    found = {"covered by an admission": 10}
    linkage = {"rules": {"day": found, "time": {"covered by an admission": 8}}, "moved": {"mort: died to alive": 2}}
    assert text_of(flow_of() | {"linkage": linkage}, "How many images each linkage rule moves") == [
        ["covered by an admission", "10", "8", ""],
        ["mort: died to alive", "", "", "2"],
    ]


def drawn(flow: dict[str, Any], folder: Path, *more: str) -> str:
    """The diagram's SVG."""
    (folder / "flow.json").write_text(json.dumps(flow))
    files = ["--output-svg", folder / "flow.svg", "--output-png", folder / "flow.png"]
    run("flow-diagram", "--flow", folder / "flow.json", "--dataset", "mimic-cxr", *files, *more)
    assert (folder / "flow.png").read_bytes().startswith(b"\x89PNG")
    return (folder / "flow.svg").read_text()


def test_the_diagram_shows_steps_exclusions_and_splits_beside_the_published_counts(tmp_path: Path) -> None:
    svg = drawn(flow_of(kept=376_200, kept_validate=15_280), tmp_path, "--data-note", "Phantoms & no patients")
    for text in (
        "MIMIC-CXR: the cohort, step by step",
        "Phantoms &amp; no patients",
        "377,110",
        "sex unknown: patient not in MIMIC-IV",
        "published 889 ✓",
        "view not kept",
        "published 20 ≠ difference +1",
        "published 376,201 ≠ difference −1",
        "15,280",
        "published 36,625 ✓",
        "1 of 19 counts differ",
    ):
        assert text in svg, text
    assert svg == drawn(flow_of(kept=376_200, kept_validate=15_280), tmp_path, "--data-note", "Phantoms & no patients")


def test_a_flow_without_a_diagram_is_refused() -> None:
    with pytest.raises(UserError, match=r"flow\.json: no key 'diagram'; build the cohort again"):
        draw_flow({"steps": []}, "MIMIC-CXR", "", "flow.json")
