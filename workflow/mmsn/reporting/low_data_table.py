"""The table of models trained on few images: methods down, shares of the training images across."""

from collections.abc import Hashable
from typing import Any

import pandas as pd

from mmsn.reporting.captions import Setting, published_sentences
from mmsn.reporting.layout import Cell, Column, Row, Table, with_highest_bold
from mmsn.reporting.low_data import MeasuredSubsets, excluded_labels
from mmsn.reporting.number_format import count, decimal, percent, with_interval
from mmsn.reporting.published import INFERRED_MARK
from mmsn.reporting.schemas import METRIC_NAMES, METRICS, Metric

_Record = dict[Hashable, Any]


def low_data_tables(rows: pd.DataFrame, measured: MeasuredSubsets, setting: Setting, by: str) -> list[Table]:
    """Lay out `low_data.with_published`: a table of AUROC and one of AUPRC.

    Args:
        rows: one a method, share and metric.
        measured: what they come from.
        setting: of the comparison; its train_fraction is not used.
        by: `patient` or `image`, how subsets were drawn.
    """
    return [_table(rows[rows["metric"] == metric], metric, measured, setting, by) for metric in METRICS]


def _table(rows: pd.DataFrame, metric: Metric, measured: MeasuredSubsets, setting: Setting, by: str) -> Table:
    methods = rows.drop_duplicates("method")
    columns, cells = [Column("Pretraining", numeric=False)], []
    for share in sorted(rows["share"].unique()):
        heading = f"{percent(float(share))} of training images"
        for header, column in _columns(rows[rows["share"] == share]).items():
            columns.append(Column(header, heading))
            cells.append(column)
    table_rows = [
        Row((Cell(str(name)), *(column[place] for column in cells)), str(family))
        for place, (name, family) in enumerate(zip(methods["method_name"], methods["family"], strict=True))
    ]
    return Table(
        title=f"{METRIC_NAMES[metric]} with few training images. {setting.title}",
        columns=tuple(columns),
        rows=tuple(table_rows),
        note=setting.note,
        caption=tuple(_caption(rows, measured, by)),
    )


def _columns(rows: pd.DataFrame) -> dict[str, list[Cell]]:
    """The cells of one share by heading, a column without a value left out."""
    records = rows.to_dict("records")
    draws = int(rows["draws"].max())
    columns = {f"best of {draws}": with_highest_bold([_best(row) for row in records])}
    if rows["published_value"].notna().any():
        columns["published"] = with_highest_bold([_published(row) for row in records])
    columns["mean ± sd"] = with_highest_bold([_mean(row) for row in records])
    return columns


def _best(row: _Record) -> Cell:
    return Cell(decimal(row["best"]), order=row["best"], hint=f"draw {row['best_draw']}")


def _published(row: _Record) -> Cell:
    if pd.isna(row["published_value"]):
        return Cell()
    text = with_interval(row["published_value"], row["published_lo"], row["published_hi"])
    mark = "" if row["published_label_certain"] else INFERRED_MARK
    return Cell(text, mark, order=row["published_value"], muted=True)


def _mean(row: _Record) -> Cell:
    spread = f" ± {decimal(row['sd'])}" if row["draws"] > 1 else ""
    return Cell(decimal(row["mean"]) + spread, order=row["mean"])


def _caption(rows: pd.DataFrame, measured: MeasuredSubsets, by: str) -> list[str]:
    units = "whole patients" if by == "patient" else "single images, as published"
    sentences = [
        f"Trained on random subsets of {units}, the smaller share inside the larger, every method on the same ones, "
        "with the setting that was best on validation with all training images.",
        f"Macro means over {_used(rows)} labels in {count(measured.images)} test images of {count(measured.patients)} "
        "patients.",
        "Best: the subset with the highest AUROC on the test set, as published. It is chosen on the images that it is "
        "judged on, so judge by the mean; sd is the standard deviation over the subsets.",
    ]
    for share in sorted(rows["share"].unique()):
        left_out = excluded_labels(measured.labels, float(share))
        reasons = ", ".join(f"{label} ({reason})" for label, reason in left_out.items())
        sentences += [f"Left out of every mean of {percent(float(share))}: {reasons}."] if left_out else []
    if (rows["seeds"] > 1).any():
        sentences.append("With several seeds, each subset's value is the mean over them.")
    return sentences + published_sentences(rows)


def _used(rows: pd.DataFrame) -> str:
    numbers = sorted({int(number) for number in rows["labels_used"]})
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
