"""The tables of `reporting.variants`: encoders and what is read of them down, differences across."""

from collections.abc import Hashable
from typing import Any

import pandas as pd

from mmsn.reporting.captions import interval_sentence, seed_sentences, test_set_sentences
from mmsn.reporting.layout import Cell, Column, Row, Table, with_highest_bold
from mmsn.reporting.number_format import decimal, p_value, percent, signed_with_interval, with_interval
from mmsn.reporting.schemas import METRIC_NAMES, METRICS, Facts, Metric

_Record = dict[Hashable, Any]


def variants_tables(rows: pd.DataFrame, facts: Facts, title: str, about: list[str], note: str = "") -> list[Table]:
    """A table of AUROC and one of AUPRC.

    Args:
        rows: of `measure_variants`.
        facts: of the test set.
        title: what follows the metric's name.
        about: sentences on what is compared.
        note: what makes the data special.
    """
    return [_table(rows[rows["metric"] == metric], metric, facts, title, about, note) for metric in METRICS]


def _table(rows: pd.DataFrame, metric: Metric, facts: Facts, title: str, about: list[str], note: str) -> Table:
    shown = rows.drop_duplicates("key")
    references = [name for name in dict.fromkeys(rows["against"]) if name]
    columns = [Column("Pretraining", numeric=False), Column("Head reads", numeric=False), Column("this study")]
    cells = [with_highest_bold([_value(row) for row in shown.to_dict("records")])]
    if shown["sd_seeds"].notna().any():
        columns.append(Column("sd over seeds"))
        cells.append([_spread(row) for row in shown.to_dict("records")])
    for name in references:
        columns += [Column("difference", f"vs {name}"), Column("p (Holm)", f"vs {name}")]
        of_name = rows[rows["against"] == name].set_index("key")
        own = [of_name.loc[key].to_dict() if key in of_name.index else None for key in shown["key"]]
        cells += [[_difference(row) for row in own], [_p(row) for row in own]]
        if of_name["p_seeds"].notna().any():
            columns.append(Column("p (seeds)", f"vs {name}"))
            cells.append([_p_seeds(row) for row in own])
    lines = [
        Row((Cell(str(method)), Cell(str(variant)), *(column[place] for column in cells)), str(method))
        for place, (method, variant) in enumerate(zip(shown["method_name"], shown["variant"], strict=True))
    ]
    caption = [*about, *test_set_sentences(facts), interval_sentence(facts), *_comparisons(rows, facts)]
    caption += _seeds(rows)
    return Table(f"{METRIC_NAMES[metric]}. {title}", tuple(columns), tuple(lines), note, tuple(caption))


def _value(row: _Record) -> Cell:
    return Cell(with_interval(row["value"], row["lo"], row["hi"]), order=row["value"])


def _difference(row: _Record | None) -> Cell:
    if row is None:
        return Cell()
    text = signed_with_interval(row["difference"], row["difference_lo"], row["difference_hi"])
    return Cell(text, order=row["difference"])


def _p(row: _Record | None) -> Cell:
    return Cell() if row is None else Cell(p_value(row["p_holm"]), order=row["p_holm"], hint=decimal(row["p_paired"]))


def _spread(row: _Record) -> Cell:
    return Cell(decimal(row["sd_seeds"]), order=_order(row["sd_seeds"]))


def _p_seeds(row: _Record | None) -> Cell:
    if row is None or pd.isna(row["p_seeds"]):
        return Cell()
    ends = signed_with_interval(row["difference"], row["difference_lo_seeds"], row["difference_hi_seeds"])
    hint = f"{row['seeds_test']} t-test; {ends}; after Holm's correction: {p_value(row['p_seeds_holm'])}"
    return Cell(p_value(row["p_seeds"]), order=row["p_seeds"], hint=hint)


def _order(value: float) -> float | None:
    return None if pd.isna(value) else float(value)


def _comparisons(rows: pd.DataFrame, facts: Facts) -> list[str]:
    compared = rows[rows["against"] != ""]
    if compared.empty:
        return []
    sizes = compared.groupby("against", sort=False)["comparisons"].max()
    counts = ", ".join(f"{int(size)} with {name}" for name, size in sizes.items())
    return [
        f"Differences: within the same encoder, with the {percent(facts.level)} interval of a bootstrap of patients in "
        f"which both see the same resamples; p (Holm) after Holm's correction ({counts}).",
    ]


def _seeds(rows: pd.DataFrame) -> list[str]:
    """What several seeds change, also of a reference that no seed changes."""
    fixed = dict.fromkeys(rows.loc[rows["seeds_test"] == "one-sample", "against"])
    one_sample = (
        f"Training {' and '.join(fixed)} again gives the same, so there p (seeds) is a one-sample t-test of the seeds "
        "against its value."
    )
    return [*seed_sentences(rows, single_seeds=""), *([one_sample] if fixed else [])]
