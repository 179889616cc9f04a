"""The tables of `reporting.variants`: encoders and what is read of them down, differences across."""

from collections.abc import Hashable
from typing import Any

import pandas as pd

from mmsn.reporting.captions import interval_sentence, test_set_sentences
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
    for name in references:
        columns += [Column("difference", f"vs {name}"), Column("p (Holm)", f"vs {name}")]
        of_name = rows[rows["against"] == name].set_index("key")
        own = [of_name.loc[key].to_dict() if key in of_name.index else None for key in shown["key"]]
        cells += [[_difference(row) for row in own], [_p(row) for row in own]]
    lines = [
        Row((Cell(str(method)), Cell(str(variant)), *(column[place] for column in cells)), str(method))
        for place, (method, variant) in enumerate(zip(shown["method_name"], shown["variant"], strict=True))
    ]
    caption = [*about, *test_set_sentences(facts), interval_sentence(facts), *_comparisons(rows, facts)]
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


def _comparisons(rows: pd.DataFrame, facts: Facts) -> list[str]:
    compared = rows[rows["against"] != ""]
    if compared.empty:
        return []
    sizes = compared.groupby("against", sort=False)["comparisons"].max()
    counts = ", ".join(f"{int(size)} with {name}" for name, size in sizes.items())
    sentences = [
        f"Differences: within the same encoder, with the {percent(facts.level)} interval of a bootstrap of patients in "
        f"which both see the same resamples; p (Holm) after Holm's correction ({counts}).",
    ]
    if (rows["seeds"] > 1).any():
        sentences.append("With several seeds, values are means over them.")
    return sentences
