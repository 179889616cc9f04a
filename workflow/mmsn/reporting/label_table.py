"""Per-label tables: AUROC, AUPRC and the AUROC difference to the reference; labels down, methods across."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final, TypeAlias

import pandas as pd

from mmsn.reporting.captions import Setting, label_recommendation
from mmsn.reporting.layout import Cell, Column, Row, Table, with_highest_bold
from mmsn.reporting.number_format import count, decimal, p_value, percent, signed, with_interval
from mmsn.reporting.results_table import reference_name
from mmsn.reporting.schemas import METRIC_NAMES, METRICS, Facts, Metric
from mmsn.reporting.scoring import CONSTANT

_ALPHA: Final = 0.05
FEW_PATIENTS: Final = 20
"""With fewer who have the label DeLong's test has too many false positives (`recommended.SOURCE`)."""
_SEVERAL_SEEDS: Final = "Of methods with several seeds the csv file has every p, a seed at a time."
_FEW_MARK: Final = "\N{SECTION SIGN}"
_OF_ONE_SEED: Final = (
    "_lo",
    "_hi",
    "_patient",
    "p_delong",
    "p_holm",
    "_labels",
    "_delong_images",
    "_permutation",
    "_permutation_holm",
)
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
    if (shown["difference"].notna() & (shown["seeds"] == 1)).any():
        tables.append(_p_table(shown, facts, setting, reference_name(rows, facts)))
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
        clear = bool(row["p_holm"] < _ALPHA) and row["positive_patients"] >= FEW_PATIENTS
        hint = f"{interval}, {_p_hint(row)}" if _number(row["p_delong"]) is not None else row["remark"]
        shade = max(-1.0, min(1.0, difference / largest))
        return Cell(signed(difference), bold=clear, order=difference, hint=hint, shade=shade)

    caption = (
        f"Orange: above {reference}, blue: below. Bold: p < {_ALPHA} by DeLong's test with patients as "
        "clusters, after Holm's correction over every label and method of the group (MSN + EHR, controls, "
        f"other baselines), where at least {FEW_PATIENTS} patients have the label.",
        *([_SEVERAL_SEEDS] if (rows["seeds"] > 1).any() else []),
    )
    title = f"AUROC minus that of {reference} by label"
    return replace(_table(compared, title, cell, setting), caption=caption)


def _p_hint(row: _Record) -> str:
    """Every p of a label's difference."""
    return (
        f"p {p_value(row['p_delong'])} with patients as clusters; after Holm over the method's labels "
        f"{p_value(row['p_holm_labels'])}, over every label and method {p_value(row['p_holm'])}; images as independent "
        f"{p_value(row['p_delong_images'])}; permutation of patients {p_value(row['p_permutation'])}, after Holm "
        f"{p_value(row['p_permutation_holm'])}; {count(row['positive_patients'])} patients have the label"
    )


def _few_sentence() -> str:
    return (
        f"{_FEW_MARK} fewer than {FEW_PATIENTS} patients have the label: DeLong's test then finds too much, so judge "
        "by the permutation of patients."
    )


def _p_table(rows: pd.DataFrame, facts: Facts, setting: Setting, reference: str) -> Table:
    compared = rows[rows["method"] != facts.baseline]

    def cell(row: _Record) -> Cell:
        if _number(row["p_delong"]) is None:
            return Cell(hint=row["excluded"] or row["remark"])
        few = row["positive_patients"] < FEW_PATIENTS
        clear = bool(row["p_holm_labels"] < _ALPHA) and not few
        p = row["p_holm_labels"]
        return Cell(p_value(p), _FEW_MARK if few else "", clear, muted=few, order=p, hint=_p_hint(row))

    caption = [
        "p of DeLong's test with patients as clusters (Obuchowski 1997) after Holm's correction over the labels of "
        f"each method; bold: below {_ALPHA}. {_few_sentence()} In the csv file also before correction (p_delong), over "
        "every label and method of the group (p_holm), without clusters (p_delong_images, which takes a patient's "
        "images as independent), and by permutation of patients, before and after Holm (p_permutation, "
        "p_permutation_holm).",
        label_recommendation(),
    ]
    if (rows["seeds"] > 1).any():
        caption.append(_SEVERAL_SEEDS)
    tested = compared[(compared["seeds"] == 1) & (compared["excluded"] == "") & compared["difference"].notna()]
    untested = tested[tested["p_delong"].isna()]
    if len(untested):
        reasons = dict.fromkeys(
            f"{row['label']} of {row['method_name']} ({row['remark']})" for row in untested.to_dict("records")
        )
        caption.append(f"Without a p: {'; '.join(reasons)}.")
    title = f"p of the AUROC difference to {reference} by label"
    return replace(_table(compared, title, cell, setting), caption=tuple(caption))


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
    constant = rows[rows["remark"].str.startswith(CONSTANT)]
    if len(constant):
        found = "; ".join(
            f"{label} of {', '.join(dict.fromkeys(own['method_name']))}"
            for label, own in constant.groupby("label", sort=False)
        )
        sentences.append(f"One score for every image, so an AUROC of 0.5 whatever they show: {found}.")
    return sentences


def _number(value: float) -> float | None:
    return None if pd.isna(value) else float(value)
