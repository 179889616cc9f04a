"""One paper table as numbers: every cell of ours, the published one, the difference, or why ours is empty."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import pandas as pd

from mmsn.methods import Method
from mmsn.paper.definitions import BACKBONES, Block, PaperRow, PaperTable
from mmsn.paper.reasons import why_empty
from mmsn.paper.sources import Measured
from mmsn.reporting.published import published
from mmsn.reporting.schemas import METRICS
from mmsn.study import Study
from mmsn.titles import title

OVERLAP: Final = "overlap"
APART: Final = "apart"
COLUMNS: Final = (
    *("table", "backbone", "backbone_name", "method", "row", "pretraining", "feature_set", "label_certain", "in_paper"),
    *("protocol", "dataset", "train_fraction", "metric", "value", "lo", "hi", "mark", "seeds", "reason"),
    *("published", "published_lo", "published_hi", "published_mark", "difference", "intervals"),
)


@dataclass(frozen=True)
class Part:
    """Rows of a table: a backbone of the study in a place of the paper's."""

    backbone: str
    """Id in the study."""
    name: str
    """Its title."""
    stands_for: str
    """The paper's backbone whose rows these are."""
    is_the_papers: bool
    """False for another backbone in the same layout: then no published values stand beside."""


def parts(table: PaperTable, study: Study) -> list[tuple[Part, ...]]:
    """Which backbones fill a table: the paper's own, or each of the study's in a table of its own.

    A study that has any of the paper's backbones gets the paper's tables, empty where it lacks the other one.
    """
    ids = {settings.title: name for name, settings in study.backbones.items() if settings.title in BACKBONES}
    if any(ids.get(name) in study.runs.backbones for name in BACKBONES):
        own = (Part(ids.get(name, name), name, name, is_the_papers=True) for name in table.backbones)
        return [tuple(own)]
    return [
        (Part(name, study.backbones[name].title, table.backbones[0], is_the_papers=False),)
        for name in study.runs.backbones
    ]


def fill(table: PaperTable, own: tuple[Part, ...], study: Study, measured: Measured) -> pd.DataFrame:
    """One row a cell, in the paper's order of rows, then what the study judged beside it.

    Returns:
        `COLUMNS`. `difference` is ours minus the published; `intervals` says whether the two intervals `overlap` or
        lie `apart`; both are empty for data or backbones that are not comparable.
    """
    cells = [
        _cell(table, part, row, block, metric, study, measured)
        for part in own
        for row in (*_of_paper(table, part), *_beyond(table, part, study, measured))
        for block in table.blocks
        for metric in METRICS
    ]
    return pd.DataFrame(cells, columns=list(COLUMNS))


@dataclass(frozen=True)
class _Row:
    method: Method
    of_paper: PaperRow | None


def _of_paper(table: PaperTable, part: Part) -> Iterator[_Row]:
    for row in table.rows:
        if row.backbone == part.stands_for:
            yield _Row(row.method, row)


def _beyond(table: PaperTable, part: Part, study: Study, measured: Measured) -> Iterator[_Row]:
    """Controls and other methods that the paper's table does not have, as far as they were judged."""
    if any(block.protocol == "supervised" for block in table.blocks):
        return
    known = {row.method for row in table.rows}
    for method in study.methods:
        places = [((block.judged_by, block.dataset, part.backbone), block.share) for block in table.blocks]
        if method not in known and any((*place, method.id, METRICS[0]) in measured.values for place in places):
            yield _Row(method, None)


def _cell(
    table: PaperTable, part: Part, row: _Row, block: Block, metric: str, study: Study, measured: Measured
) -> dict[str, Any]:
    place = block.judged_by, block.dataset, part.backbone
    ours = measured.values.get((place, block.share, row.method.id, metric))
    cell: dict[str, Any] = {
        "table": table.id,
        "backbone": part.backbone,
        "backbone_name": part.name,
        "method": row.method.id,
        "row": title(row.method),
        "pretraining": row.of_paper.pretraining if row.of_paper else "",
        "feature_set": row.method.feature_set or "",
        "label_certain": row.of_paper.label_certain if row.of_paper else True,
        "in_paper": row.of_paper is not None,
        "protocol": block.protocol,
        "dataset": block.dataset,
        "train_fraction": block.share,
        "metric": metric,
        "reason": "",
    }
    if ours is None or ours["missing"]:
        cell["reason"] = (ours or {}).get("missing") or why_empty(study, part.backbone, row.method, block)
    else:
        cell |= {name: ours[name] for name in ("value", "lo", "hi", "mark", "seeds")}
    if row.of_paper and part.is_the_papers:
        cell |= _published(table.id, row.of_paper, block, metric)
    return cell | _beside(cell, comparable=not study.note)


def _published(table: str, row: PaperRow, block: Block, metric: str) -> dict[str, Any]:
    key = table, row.backbone, row.pretraining, row.feature_set, block.dataset, block.share
    found = _published_rows().get(key)
    if found is None:
        return {}
    ends = {"published": "", "published_lo": "_lo", "published_hi": "_hi", "published_mark": "_mark"}
    return {name: found[metric + end] for name, end in ends.items()}


@cache
def _published_rows() -> dict[tuple[Any, ...], dict[str, Any]]:
    """The paper's rows by table, backbone, pretraining, feature set, data set, share."""
    key = ["table", "backbone", "pretraining", "feature_set", "dataset", "train_fraction"]
    records = [{str(name): value for name, value in row.items()} for row in published().to_dict("records")]
    return {tuple(row[name] for name in key): row for row in records}


def _beside(cell: dict[str, Any], comparable: bool) -> dict[str, Any]:
    """Difference and whether the intervals have a value in common."""
    if not comparable or pd.isna(cell.get("value")) or pd.isna(cell.get("published")):
        return {}
    beside: dict[str, Any] = {"difference": cell["value"] - cell["published"]}
    if not pd.isna(cell["lo"]):
        together = cell["lo"] <= cell["published_hi"] and cell["published_lo"] <= cell["hi"]
        beside["intervals"] = OVERLAP if together else APART
    return beside
