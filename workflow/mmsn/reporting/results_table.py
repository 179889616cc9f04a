"""The main table: every method's macro AUROC and AUPRC, the published values, the difference to the reference."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from mmsn.reporting.captions import (
    Setting,
    check_sentences,
    comparison_sentences,
    interval_sentence,
    missing_sentences,
    published_sentences,
    seed_sentences,
    test_set_sentences,
    uncompared_sentences,
)
from mmsn.reporting.layout import Cell, Column, Row, Table, with_highest_bold
from mmsn.reporting.number_format import decimal, p_value, percent, signed_with_interval, with_interval
from mmsn.reporting.published import INFERRED_MARK
from mmsn.reporting.schemas import METRIC_NAMES, METRICS, Facts

_METHOD: Final = ["method", "published", "feature_set"]
"""What makes a row's method; those that only the paper has share an empty `method`."""


@dataclass(frozen=True)
class _Shown:
    """One column below each metric's heading."""

    header: str
    source: str
    """The column is left out where this one has no values at all."""
    cell: Callable[[dict[str, Any]], Cell]
    best_is_bold: bool = False


def results_table(rows: pd.DataFrame, facts: Facts, setting: Setting) -> Table:
    """Lay out the joined summary of `beside_published`.

    A method with several seeds is shown by their mean. Bold: the highest value of a column, as shown.
    """
    shown = one_row_a_method(rows)
    reference = reference_name(rows, facts)
    columns = [column for column in _columns(reference, facts) if shown[column.source].notna().any()]
    methods = shown.drop_duplicates(_METHOD)
    blocks = [_block(shown[shown["metric"] == metric], columns) for metric in METRICS]
    table_rows = [
        Row((Cell(str(name)), *(cell for block in blocks for cell in block[place])), str(family))
        for place, (name, family) in enumerate(zip(methods["method_name"], methods["family"], strict=True))
    ]
    headers = [Column(one.header, METRIC_NAMES[metric]) for metric in METRICS for one in columns]
    return Table(
        title=setting.title,
        columns=(Column("Pretraining", numeric=False), *headers),
        rows=tuple(table_rows),
        note=setting.note,
        caption=tuple(_caption(rows, shown, facts, reference)),
    )


def one_row_a_method(rows: pd.DataFrame) -> pd.DataFrame:
    """Of a method with several seeds the row of their mean, of every other its only row; per metric."""
    scored = rows["seeds"].where(rows["missing"] == "", 0)
    key = [rows[name].fillna("") for name in (*_METHOD, "metric")]
    shown = rows[scored == scored.groupby(key).transform("max")]
    return shown.drop_duplicates([*_METHOD, "metric"]).reset_index(drop=True)


def reference_name(rows: pd.DataFrame, facts: Facts) -> str:
    """Name of the method that the others are compared with."""
    names = rows.loc[rows["method"] == facts.baseline, "method_name"]
    return str(names.iloc[0]) if len(names) else facts.baseline


def _columns(reference: str, facts: Facts) -> list[_Shown]:
    interval = f"({percent(facts.level)} CI)"
    return [
        _Shown(f"this study {interval}", "value", _value_cell, best_is_bold=True),
        _Shown(f"published {interval}", "published_value", _published_cell, best_is_bold=True),
        _Shown(f"vs {reference} {interval}", "difference", _difference_cell),
        _Shown("p (Holm)", "p_holm", _p_cell),
        _Shown("sd over seeds", "sd_seeds", _spread_cell),
        _Shown("p (seeds)", "p_seeds", _p_seeds_cell),
    ]


def _value_cell(row: dict[str, Any]) -> Cell:
    patients = with_interval(row["value"], row["lo_patient"], row["hi_patient"])
    hint = f"resampling patients: {patients}" if patients else row["missing"]
    text = with_interval(row["value"], row["lo"], row["hi"])
    return Cell(text, row["mark"], order=_order(row["value"]), hint=hint)


def _published_cell(row: dict[str, Any]) -> Cell:
    value = row["published_value"]
    if pd.isna(value):
        return Cell()
    inferred = "" if row["published_label_certain"] else INFERRED_MARK
    text = with_interval(value, row["published_lo"], row["published_hi"])
    return Cell(text, row["published_mark"] + inferred, order=_order(value), muted=True)


def _difference_cell(row: dict[str, Any]) -> Cell:
    text = signed_with_interval(row["difference"], row["difference_lo"], row["difference_hi"])
    return Cell(text, order=_order(row["difference"]))


def _p_cell(row: dict[str, Any]) -> Cell:
    if not p_value(row["p_paired"]):
        return Cell()
    hint = f"before Holm's correction: {p_value(row['p_paired'])}; permutation check: {p_value(row['p_permutation'])}"
    return Cell(p_value(row["p_holm"]), order=_order(row["p_holm"]), hint=hint)


def _spread_cell(row: dict[str, Any]) -> Cell:
    return Cell(decimal(row["sd_seeds"]), order=_order(row["sd_seeds"]))


def _p_seeds_cell(row: dict[str, Any]) -> Cell:
    if not p_value(row["p_seeds"]):
        return Cell()
    ends = signed_with_interval(row["difference"], row["difference_lo_seeds"], row["difference_hi_seeds"])
    hint = f"{ends}; after Holm's correction: {p_value(row['p_seeds_holm'])}"
    return Cell(p_value(row["p_seeds"]), order=_order(row["p_seeds"]), hint=hint)


def _order(value: float) -> float | None:
    return None if pd.isna(value) else float(value)


def _block(rows: pd.DataFrame, columns: Iterable[_Shown]) -> list[list[Cell]]:
    """The cells of one metric: one list a method."""
    records = [{str(key): value for key, value in row.items()} for row in rows.to_dict("records")]
    by_column = []
    for one in columns:
        cells = [one.cell(row) for row in records]
        by_column.append(with_highest_bold(cells) if one.best_is_bold else cells)
    return [list(cells) for cells in zip(*by_column, strict=True)]


def _caption(rows: pd.DataFrame, shown: pd.DataFrame, facts: Facts, reference: str) -> list[str]:
    return [
        *test_set_sentences(facts),
        interval_sentence(facts),
        *comparison_sentences(shown, facts, reference),
        *check_sentences(shown),
        *published_sentences(shown),
        *seed_sentences(shown),
        *missing_sentences(rows, shown),
        *uncompared_sentences(shown, reference),
        "Bold: highest in its column.",
    ]
