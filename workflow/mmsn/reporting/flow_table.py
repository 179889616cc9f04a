"""The cohort's counts beside the published ones, what linkage changes, and what is known of every EHR variable."""

from typing import Any, Final

import pandas as pd

from mmsn.errors import UserError
from mmsn.reporting.layout import Cell, Column, Row, Table
from mmsn.reporting.number_format import count, signed_count, signed_percent

_COUNTS: Final = ("count", "published", "difference")


def flow_frame(flow: dict[str, Any], source: str) -> pd.DataFrame:
    """The steps of `flow.json` as rows: step, count, published, difference (nullable integers).

    Raises:
        UserError: the file has no steps, or one lacks a key.
    """
    steps = flow.get("steps")
    if not isinstance(steps, list) or not steps:
        raise UserError(f"{source}: no key 'steps'; build the cohort again")
    for place, step in enumerate(steps, start=1):
        missing = [key for key in ("step", *_COUNTS) if key not in step]
        if missing:
            raise UserError(f"{source}: step {place}: no key {missing[0]!r}; build the cohort again")
    frame = pd.DataFrame(steps)[["step", *_COUNTS]]
    return frame.astype(dict.fromkeys(_COUNTS, "Int64"))


def flow_tables(flow: dict[str, Any], frame: pd.DataFrame, note: str = "") -> list[Table]:
    """Lay out the steps and, where the file has them, the steps that differ, the linkage rules and the variables.

    Args:
        flow: `flow.json`.
        frame: `flow_frame` of it.
        note: what makes the data special.
    """
    rows = [_step_row(record) for record in frame.to_dict("records")]
    headers = Column("Step", numeric=False), Column("this cohort"), Column("published"), Column("difference")
    tables = [Table("Cohort, step by step", headers, tuple(rows), note, _caption(flow, frame))]
    differing = frame[frame["difference"].fillna(0) != 0]
    if len(differing):
        tables.append(_differing_table(differing))
    if flow.get("linkage"):
        tables.append(_linkage_table(flow["linkage"]))
    if flow.get("variables"):
        tables.append(_variables_table(flow["variables"]))
    return tables


def agreement(frame: pd.DataFrame) -> str:
    """Where and by how much the counts part from the published ones, in a sentence."""
    compared = int(frame["published"].notna().sum())
    differing = frame[frame["difference"].fillna(0) != 0]
    if not compared:
        return "No count has a published one beside it."
    if differing.empty:
        return f"All {compared} counts that have a published one agree with it."
    first = differing.iloc[0]
    return (
        f"{len(differing)} of {compared} counts differ from the published ones, first '{first['step']}':"
        f" {count(first['count'])} here, {count(first['published'])} published ({signed_count(first['difference'])})."
    )


def _step_row(record: dict[Any, Any]) -> Row:
    numbers = {key: None if pd.isna(record[key]) else float(record[key]) for key in _COUNTS}
    shown = Cell(count(numbers["count"])), Cell(count(numbers["published"]), muted=True)
    difference = Cell(signed_count(numbers["difference"]), bold=bool(numbers["difference"]))
    return Row((Cell(str(record["step"])), *shown, difference), group=str(record["step"]).split(":")[0])


def _caption(flow: dict[str, Any], frame: pd.DataFrame) -> tuple[str, ...]:
    is_mimic = "variables" in flow  # the external data sets have no EHR variables
    counted = (
        "the released notebooks on MIMIC-IV 1.0 and MIMIC-CXR-JPG 2.0.0" if is_mimic else "the data set and the paper"
    )
    origin = [flow["origin"]] if flow.get("origin") else []
    return (
        f"Published: counts of {counted}; empty where nothing was published or another rule was chosen.",
        agreement(frame),
        *origin,
    )


def _differing_table(differing: pd.DataFrame) -> Table:
    """Every step that differs, in order: what follows a step that differs is another population."""
    rows = []
    for step, here, published in differing[["step", "count", "published"]].itertuples(index=False):
        change = here - published
        share = Cell(signed_percent(change / published) if published else "", order=float(abs(change)))
        rows.append(
            Row((Cell(step), Cell(count(here)), Cell(count(published)), Cell(signed_count(change), bold=True), share))
        )
    headers = (
        Column("Step", numeric=False),
        Column("this cohort"),
        Column("published"),
        Column("difference"),
        Column("of the published"),
    )
    return Table("Where this cohort parts from the published one", headers, tuple(rows))


def _linkage_table(linkage: dict[str, Any]) -> Table:
    """What either linkage rule finds, and the images whose flag the choice between them moves."""
    day, time = linkage["rules"]["day"], linkage["rules"]["time"]
    rows = [Row((Cell(what), Cell(count(day[what])), Cell(count(time[what])), Cell()), "found") for what in day]
    rows += [
        Row((Cell(change), Cell(), Cell(), Cell(count(images), bold=True)), "moved")
        for change, images in linkage["moved"].items()
    ]
    headers = Column("Images", numeric=False), Column("day"), Column("time"), Column("moved from day to time")
    caption = (
        "Counted over every image of the metadata, whichever rule the cohort uses. day: released rule, an admission or"
        " ICU stay covers the study's calendar day; of several admissions the last in file order wins. time: it covers"
        " the study's minute, time in the emergency department included.",
    )
    return Table("How many images each linkage rule moves", headers, tuple(rows), caption=caption)


def _variables_table(variables: dict[str, dict[str, Any]]) -> Table:
    rows = []
    for name, summary in variables.items():
        known = [Cell(count(summary[key]), order=float(summary[key])) for key in ("known", "unknown")]
        rows.append(Row((Cell(name), *known, Cell(_values(summary)))))
    headers = (
        Column("Variable", numeric=False),
        Column("known"),
        Column("unknown"),
        Column("values", numeric=False),
    )
    caption = ("Counts of images before exclusions; unknown values are imputed later.",)
    return Table("EHR variables", headers, tuple(rows), caption=caption)


def _values(summary: dict[str, Any]) -> str:
    if "values" in summary:
        return ", ".join(f"{value} {count(times)}" for value, times in summary["values"].items())
    if summary.get("min") is None:
        return ""
    return f"{summary['min']:g} to {summary['max']:g}"
