"""The numbers of a paper table as a reader sees them, in the paper's layout."""

from collections.abc import Callable
from typing import Any, Final

import pandas as pd

from mmsn.paper.cells import Part
from mmsn.paper.definitions import Block, PaperTable
from mmsn.paper.sources import ALL_IMAGES, Measured
from mmsn.reporting.captions import dataset_name, interval_sentence, test_set_sentences
from mmsn.reporting.layout import Cell, Column, Row, Table, with_highest_bold
from mmsn.reporting.number_format import percent, signed, with_interval
from mmsn.reporting.published import CITATION, INFERRED_MARK, STRONG_MARK, WEAK_MARK
from mmsn.reporting.schemas import METRIC_NAMES, METRICS, Metric

_Record = dict[str, Any]
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_CELL: Final = ["dataset", "train_fraction", "metric"]


def lay_out(table: PaperTable, cells: pd.DataFrame, own: tuple[Part, ...], measured: Measured, note: str) -> Table:
    """One table of `cells.fill`: methods down; AUROC and AUPRC of each block across.

    Args:
        table: what it is.
        cells: its numbers.
        own: the backbones in it.
        measured: for what a caption says of the test sets.
        note: what makes the data special.
    """
    letters = _footnotes(cells)
    columns, blocks = [Column("Pretraining", numeric=False)], []
    for block in table.blocks:
        for metric in METRICS:
            here = _of(cells, block, metric)
            for header, shown in _columns(here, letters).items():
                columns.append(Column(header, _heading(block, metric)))
                blocks.append(shown)
    names = cells.drop_duplicates(["backbone", "method"])
    rows = [
        Row((Cell(_row_name(name, len(own) > 1)), *(shown[place] for shown in blocks)), _group(name))
        for place, name in enumerate(_records(names))
    ]
    title = f"Table {table.id}. {table.title}, {' and '.join(part.name for part in own)}"
    return Table(title, tuple(columns), tuple(rows), note, tuple(_caption(table, cells, own, measured, letters, note)))


def _of(cells: pd.DataFrame, block: Block, metric: Metric) -> pd.DataFrame:
    return cells[(cells[_CELL] == [block.dataset, block.share, metric]).all(axis=1)]


def _columns(here: pd.DataFrame, letters: dict[str, str]) -> dict[str, list[Cell]]:
    columns: dict[str, Callable[[_Record], Cell]] = {"this study": lambda row: _ours(row, letters)}
    if here["published"].notna().any():
        columns["published"] = _published
    if here["difference"].notna().any():
        columns["difference"] = _difference
    shown = {header: [cell(row) for row in _records(here)] for header, cell in columns.items()}
    return {header: cells if header == "difference" else with_highest_bold(cells) for header, cells in shown.items()}


def _ours(row: _Record, letters: dict[str, str]) -> Cell:
    if row["reason"]:
        return Cell(mark=letters[row["reason"]], hint=row["reason"], muted=True)
    seeds = f"mean of {row['seeds']} seeds" if row["seeds"] > 1 else ""
    text = with_interval(row["value"], row["lo"], row["hi"])
    return Cell(text, row["mark"], order=float(row["value"]), hint=seeds)


def _published(row: _Record) -> Cell:
    if pd.isna(row["published"]):
        return Cell()
    mark = row["published_mark"] + ("" if row["label_certain"] else INFERRED_MARK)
    text = with_interval(row["published"], row["published_lo"], row["published_hi"])
    return Cell(text, mark, order=float(row["published"]), muted=True)


def _difference(row: _Record) -> Cell:
    if pd.isna(row["difference"]):
        return Cell()
    intervals = row["intervals"] if isinstance(row["intervals"], str) else ""
    return Cell(f"{signed(row['difference'])} {intervals}".strip(), order=float(row["difference"]))


def _row_name(row: _Record, with_backbone: bool) -> str:
    return f"{row['backbone_name']}: {row['row']}" if with_backbone else str(row["row"])


def _group(row: _Record) -> str:
    """Rules stand between baselines, MSN, MSN + EHR, and what only this study has; and between backbones."""
    kind = row["pretraining"] if str(row["pretraining"]).startswith("MSN") else "baseline"
    return f"{row['backbone']} {kind if row['in_paper'] else 'beyond'}"


def _heading(block: Block, metric: Metric) -> str:
    share = "" if block.share == ALL_IMAGES else f", {percent(block.share)} of training images"
    return f"{dataset_name(block.dataset)}{share}: {METRIC_NAMES[metric]}"


def _footnotes(cells: pd.DataFrame) -> dict[str, str]:
    """A letter for each reason, in the order of the table."""
    reasons = dict.fromkeys(cells.loc[cells["reason"] != "", "reason"])
    return {reason: _letter(place) for place, reason in enumerate(reasons)}


def _letter(place: int) -> str:
    """a to z, then aa, ab, ..."""
    before, last = divmod(place, len(_LETTERS))
    return (_LETTERS[before - 1] if before else "") + _LETTERS[last]


def _caption(
    table: PaperTable,
    cells: pd.DataFrame,
    own: tuple[Part, ...],
    measured: Measured,
    letters: dict[str, str],
    note: str,
) -> list[str]:
    sentences = [*_test_sets(table, own, measured), *([table.remark] if table.remark else [])]
    sentences += _of_published(cells, own, note)
    if any(isinstance(mark, str) and mark for mark in (*cells["mark"], *cells["published_mark"])):
        sentences.append(
            f"{STRONG_MARK} p < 0.001, {WEAK_MARK} p < 0.05: better than the reference by the published test, "
            "which nearly every difference passes; the tables of results have the right tests."
        )
    if (~cells["in_paper"]).any():
        sentences.append("Rows below the last rule are this study's own: the paper's table does not have them.")
    if letters:
        sentences.append(f"Empty cells: {'; '.join(f'{letter} {reason}' for reason, letter in letters.items())}.")
    return [*sentences, "Bold: highest in its column."]


def _test_sets(table: PaperTable, own: tuple[Part, ...], measured: Measured) -> list[str]:
    sentences = []
    for place in dict.fromkeys(
        (block.judged_by, block.dataset, part.backbone) for block in table.blocks for part in own
    ):
        if place in measured.judged and all(block.share == ALL_IMAGES for block in table.blocks):
            facts = measured.judged[place].facts
            name = f"{dataset_name(place[1])}: " if len(table.blocks) > 1 else ""
            sentences += [*(name + sentence for sentence in test_set_sentences(facts)), interval_sentence(facts)]
    return list(dict.fromkeys(sentences))


def _of_published(cells: pd.DataFrame, own: tuple[Part, ...], note: str) -> list[str]:
    if not all(part.is_the_papers for part in own):
        return [
            f"{own[0].name} is no backbone of the paper, so the table has the paper's layout and no published values."
        ]
    sentences = [f"Published: {CITATION}, table {cells['table'].iloc[0]}."]
    if not cells["label_certain"].all():
        sentences.append(f"{INFERRED_MARK} Feature set of the published row inferred from the order of its rows.")
    if note:
        return [*sentences, "No differences are shown, because these data are not the paper's."]
    return [
        *sentences,
        "Difference: this study minus published; overlap or apart: whether the two intervals have a value in common, "
        "which is no test of the difference.",
    ]


def _records(rows: pd.DataFrame) -> list[_Record]:
    return [{str(key): value for key, value in row.items()} for row in rows.to_dict("records")]
