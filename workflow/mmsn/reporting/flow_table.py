"""The cohort's counts beside the published ones, and what is known of every EHR variable."""

from typing import Any, Final

import pandas as pd

from mmsn.errors import UserError
from mmsn.reporting.layout import Cell, Column, Row, Table
from mmsn.reporting.number_format import count, signed_count

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
    """Lay out the steps and, where the file has them, the variables.

    Args:
        flow: `flow.json`.
        frame: `flow_frame` of it.
        note: what makes the data special.
    """
    rows = []
    for record in frame.to_dict("records"):
        numbers = {key: None if pd.isna(record[key]) else float(record[key]) for key in _COUNTS}
        shown = Cell(count(numbers["count"])), Cell(count(numbers["published"]), muted=True)
        difference = Cell(signed_count(numbers["difference"]), bold=bool(numbers["difference"]))
        rows.append(Row((Cell(str(record["step"])), *shown, difference), group=str(record["step"]).split(":")[0]))
    headers = Column("Step", numeric=False), Column("this cohort"), Column("published"), Column("difference")
    table = Table("Cohort, step by step", headers, tuple(rows), note, _caption(flow))
    variables = flow.get("variables") or {}
    return [table, _variables_table(variables)] if variables else [table]


def _caption(flow: dict[str, Any]) -> tuple[str, ...]:
    parts = flow.get("parts_at")
    agrees = (
        f"The first count that differs from the published one: {parts}."
        if parts
        else "Every count that has a published one agrees with it."
    )
    is_mimic = "variables" in flow  # the external data sets have no EHR variables
    counted = (
        "the released notebooks on MIMIC-IV 1.0 and MIMIC-CXR-JPG 2.0.0" if is_mimic else "the data set and the paper"
    )
    return f"Published: counts of {counted}; empty where nothing was published or another rule was chosen.", agrees


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
