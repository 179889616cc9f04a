"""The table of models trained on few images: methods down, shares of the training images across."""

from collections.abc import Hashable
from typing import Any

import pandas as pd

from mmsn.reporting.captions import Setting, published_sentences, seed_sentences
from mmsn.reporting.layout import Cell, Column, Row, Table, with_highest_bold
from mmsn.reporting.low_data import excluded_labels
from mmsn.reporting.number_format import count, decimal, p_value, percent, signed_with_interval, with_interval
from mmsn.reporting.published import INFERRED_MARK
from mmsn.reporting.schemas import METRIC_NAMES, METRICS, Facts, Metric

_Record = dict[Hashable, Any]


def low_data_tables(rows: pd.DataFrame, labels: pd.DataFrame, facts: Facts, setting: Setting, by: str) -> list[Table]:
    """Lay out `low_data.with_published`: a table of AUROC and one of AUPRC.

    Args:
        rows: one a method, share and metric.
        labels: a row a model and label: share, label, excluded.
        facts: of the test set and the intervals.
        setting: of the comparison; its train_fraction is not used.
        by: `patient` or `image`, how subsets were drawn.
    """
    return [_table(rows[rows["metric"] == metric], metric, labels, facts, setting, by) for metric in METRICS]


def _table(
    rows: pd.DataFrame,
    metric: Metric,
    labels: pd.DataFrame,
    facts: Facts,
    setting: Setting,
    by: str,
) -> Table:
    methods = rows.drop_duplicates("method")
    columns, cells = [Column("Pretraining", numeric=False)], []
    for share in sorted(rows["share"].unique()):
        heading = f"{percent(float(share))} of training images"
        for header, column in _columns(rows[rows["share"] == share], facts.baseline).items():
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
        caption=tuple(_caption(rows, labels, facts, by)),
    )


def _columns(rows: pd.DataFrame, baseline: str) -> dict[str, list[Cell]]:
    """The cells of one share by heading, a column without a value left out."""
    records = rows.to_dict("records")
    draws = int(rows["draws"].max())
    columns = {f"best of {draws}": with_highest_bold([_best(row) for row in records])}
    if rows["published_value"].notna().any():
        columns["published"] = with_highest_bold([_published(row) for row in records])
    columns["mean"] = with_highest_bold([_mean(row) for row in records])
    if draws > 1:
        columns["sd"] = [Cell(decimal(row["sd"]), order=row["sd"]) for row in records]
    if rows["difference"].notna().any():
        columns[f"mean vs {_reference(rows, baseline)}"] = [_difference(row) for row in records]
        columns["p (Holm)"] = [_p(row) for row in records]
    if rows["sd_seeds"].notna().any():
        columns["sd over seeds"] = [Cell(decimal(row["sd_seeds"]), order=row["sd_seeds"]) for row in records]
    if rows["p_seeds"].notna().any():
        columns["p (seeds)"] = [_p_seeds(row) for row in records]
    return columns


def _reference(rows: pd.DataFrame, baseline: str) -> str:
    names = rows.loc[rows["method"] == baseline, "method_name"]
    return str(names.iloc[0]) if len(names) else baseline


def _best(row: _Record) -> Cell:
    text = with_interval(row["best"], row["best_lo_patient"], row["best_hi_patient"])
    images = with_interval(row["best"], row["best_lo"], row["best_hi"])
    return Cell(text, order=row["best"], hint=f"draw {row['best_draw']}; resampling images, as published: {images}")


def _published(row: _Record) -> Cell:
    if pd.isna(row["published_value"]):
        return Cell()
    text = with_interval(row["published_value"], row["published_lo"], row["published_hi"])
    mark = "" if row["published_label_certain"] else INFERRED_MARK
    return Cell(text, mark, order=row["published_value"], muted=True)


def _mean(row: _Record) -> Cell:
    text = with_interval(row["mean"], row["mean_lo_patient"], row["mean_hi_patient"])
    return Cell(text, order=row["mean"])


def _difference(row: _Record) -> Cell:
    if pd.isna(row["difference"]):
        return Cell()
    text = signed_with_interval(row["difference"], row["difference_lo"], row["difference_hi"])
    return Cell(text, order=row["difference"])


def _p(row: _Record) -> Cell:
    if pd.isna(row["p_holm"]):
        return Cell()
    over_draws = f"; paired t-test over draws: {p_value(row['p_draws'])}" if not pd.isna(row["p_draws"]) else ""
    hint = f"before Holm's correction: {p_value(row['p_paired'])}{over_draws}"
    return Cell(p_value(row["p_holm"]), order=row["p_holm"], hint=hint)


def _p_seeds(row: _Record) -> Cell:
    if pd.isna(row["p_seeds"]):
        return Cell()
    ends = signed_with_interval(row["difference"], row["difference_lo_seeds"], row["difference_hi_seeds"])
    hint = f"{ends}; after Holm's correction: {p_value(row['p_seeds_holm'])}"
    return Cell(p_value(row["p_seeds"]), order=row["p_seeds"], hint=hint)


def _caption(rows: pd.DataFrame, labels: pd.DataFrame, facts: Facts, by: str) -> list[str]:
    units = "whole patients" if by == "patient" else "single images, as published"
    sentences = [
        f"Trained on random subsets of {units}, the smaller share inside the larger, every method on the same ones, "
        "with the setting that was best on validation with all training images.",
        f"Macro means over {_used(rows)} labels in {count(facts.images)} test images of {count(facts.patients)} "
        "patients.",
        "Best: the subset with the highest AUROC on the test set, as published. It is chosen on the images that it is "
        "judged on, so judge by the mean; sd is the standard deviation over the subsets.",
        f"In brackets: {percent(facts.level)} percentile bootstrap interval from {count(facts.resamples)} "
        "resamples of test patients, the same for every model; the published ones, and best_lo and best_hi in the csv "
        "file, resample images. They speak of other test patients with these models, not of other training "
        "subsets, and that of the best not of its choice.",
    ]
    if rows["difference"].notna().any():
        sentences.append(
            "p (Holm): paired bootstrap of patients of the difference of means, after Holm's correction within the "
            "group (MSN + EHR, controls, other baselines) and share. In the csv file also a paired t-test over the "
            "subsets (p_draws), which speaks of other training subsets."
        )
    for share in sorted(rows["share"].unique()):
        left_out = excluded_labels(labels, float(share))
        reasons = ", ".join(f"{label} ({reason})" for label, reason in left_out.items())
        sentences += [f"Left out of every mean of {percent(float(share))}: {reasons}."] if left_out else []
    if (rows["seeds"] > 1).any():
        sentences.append(
            "With several seeds, each subset's value is the mean over them, and each seed's that over its subsets."
        )
        sentences += seed_sentences(rows, single_seeds="")
    return sentences + published_sentences(rows)


def _used(rows: pd.DataFrame) -> str:
    numbers = sorted({int(number) for number in rows["labels_used"]})
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
