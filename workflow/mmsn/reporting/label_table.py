"""Per-label tables: AUROC, AUPRC and the AUROC difference to the reference; labels down, methods across."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final, TypeAlias

import pandas as pd

from mmsn.reporting.captions import Setting
from mmsn.reporting.layout import Cell, Column, Row, Table, with_highest_bold
from mmsn.reporting.number_format import count, decimal, p_value, percent, signed, with_interval
from mmsn.reporting.results_table import reference_name
from mmsn.reporting.schemas import METRIC_NAMES, METRICS, Facts, Metric

_ALPHA: Final = 0.05
_OF_ONE_SEED: Final = ("_lo", "_hi", "_patient", "p_delong", "p_holm")
"""Ends of the columns that a mean over seeds does not have."""
_Record: TypeAlias = dict[str, Any]


def label_tables(rows: pd.DataFrame, facts: Facts, setting: Setting) -> list[Table]:
    """Lay out `schemas.LABELS`: tables of AUROC, of AUPRC and, with a reference, of the difference to it.

    Of a method with several seeds the mean is shown, without intervals and p.
    """
    shown = _one_row_a_method(rows)
    tables = [_metric_table(shown, metric, facts, setting) for metric in METRICS]
    if shown["difference"].notna().any():
        tables.append(_difference_table(shown, facts, setting, reference_name(rows, facts)))
    return tables


def _one_row_a_method(rows: pd.DataFrame) -> pd.DataFrame:
    grouped = rows.groupby(["method", "label"], sort=False)
    seeds = grouped["seed"].transform("count")
    means = {name: grouped[name].transform("mean") for name in (*METRICS, "difference")}
    shown = rows.assign(seeds=seeds, **means)
    for name in shown.columns:
        if name.endswith(_OF_ONE_SEED):
            shown[name] = shown[name].mask(seeds > 1)
    return shown.drop_duplicates(["method", "label"]).reset_index(drop=True)


def _metric_table(rows: pd.DataFrame, metric: Metric, facts: Facts, setting: Setting) -> Table:
    def cell(row: _Record) -> Cell:
        interval = with_interval(row[metric], row[f"{metric}_lo_patient"], row[f"{metric}_hi_patient"])
        return Cell(decimal(row[metric]), order=_number(row[metric]), hint=interval or row["excluded"])

    table = _table(rows, f"{METRIC_NAMES[metric]} by label", cell, setting)
    best = [replace(row, cells=(*row.cells[:3], *with_highest_bold(row.cells[3:]))) for row in table.rows]
    hover = f"Hovering over a value shows its {percent(facts.level)} interval, resampling patients."
    caption = (*_label_sentences(rows, facts), "Bold: highest of the label.", hover)
    return replace(table, rows=tuple(best), caption=caption)


def _difference_table(rows: pd.DataFrame, facts: Facts, setting: Setting, reference: str) -> Table:
    compared = rows[rows["method"] != facts.baseline]
    largest = _scale(compared)

    def cell(row: _Record) -> Cell:
        difference = _number(row["difference"])
        if difference is None:
            return Cell(hint=row["excluded"])
        interval = f"{signed(row['difference_lo'])} to {signed(row['difference_hi'])}"
        p = f"p {p_value(row['p_delong'])}, after Holm {p_value(row['p_holm'])}"
        known = _number(row["p_delong"]) is not None
        clear = bool(row["p_holm"] < _ALPHA)
        hint = f"{interval}, {p}" if known else ""
        shade = max(-1.0, min(1.0, difference / largest))
        return Cell(signed(difference), bold=clear, order=difference, hint=hint, shade=shade)

    caption = (
        f"Orange: above {reference}, blue: below. Bold: p < {_ALPHA} by DeLong's test with patients as "
        "clusters, after Holm's correction over every label and method of the group (MSN + EHR, controls, "
        "other baselines).",
    )
    title = f"AUROC minus that of {reference} by label"
    return replace(_table(compared, title, cell, setting), caption=caption)


def _scale(compared: pd.DataFrame) -> float:
    """The difference with the full colour: the largest, without other baselines, which may lie far off."""
    known = compared[compared["difference"].notna()]
    close = known[known["family"] != "baseline"]
    return float((close if len(close) else known)["difference"].abs().max()) or 1.0


def _table(rows: pd.DataFrame, title: str, cell: Callable[[_Record], Cell], setting: Setting) -> Table:
    """Labels with their counts down, methods across."""
    body = []
    for label, own in rows.groupby("label", sort=False):
        records = [{str(key): value for key, value in record.items()} for record in own.to_dict("records")]
        counts = [Cell(count(records[0][name]), order=records[0][name]) for name in ("positives", "negatives")]
        name = Cell(str(label), muted=bool(records[0]["excluded"]), hint=records[0]["excluded"])
        body.append(Row((name, *counts, *map(cell, records))))
    methods = _columns(rows["method_name"][~rows["method"].duplicated()])
    return Table(f"{title}. {setting.title}", methods, tuple(body), note=setting.note)


def _columns(methods: Iterable[str]) -> tuple[Column, ...]:
    first = Column("Label", numeric=False), Column("positive images"), Column("negative images")
    return (*first, *(Column(name.replace(" + ", "\N{NO-BREAK SPACE}+ ")) for name in methods))


def _label_sentences(rows: pd.DataFrame, facts: Facts) -> list[str]:
    sentences = [f"{count(facts.images)} test images of {count(facts.patients)} patients."]
    if facts.excluded:
        reasons = ", ".join(f"{label} ({reason})" for label, reason in facts.excluded.items())
        sentences.append(f"Without a value: {reasons}.")
    if (rows["seeds"] > 1).any():
        sentences.append("Methods with several seeds: mean of the seeds' values.")
    return sentences


def _number(value: float) -> float | None:
    return None if pd.isna(value) else float(value)
