"""The tables of this stage as a reader sees them: methods down, measures across."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from mmsn.reporting.captions import Setting
from mmsn.reporting.layout import Cell, Column, Row, Table
from mmsn.reporting.number_format import count, percent, with_interval
from mmsn.representation.attributes import PROBED
from mmsn.representation.calibration import MEASURES
from mmsn.representation.intervals import COVERAGE
from mmsn.representation.measured import ATTRIBUTES, CALIBRATION, MACRO, REPRESENTATION, MeasuredFacts
from mmsn.representation.subgroups import GAP, UNKNOWN, VARIABLES

SUBGROUPS: Final = "subgroups"
KINDS: Final = (REPRESENTATION, ATTRIBUTES, SUBGROUPS, CALIBRATION)
_OF_PREDICTIONS: Final = (SUBGROUPS, CALIBRATION)
_EXCLUDED: Final = "excluded"
_MINUS: Final = "\N{MINUS SIGN}"
_TITLES: Final = {
    REPRESENTATION: "Embeddings as they are",
    ATTRIBUTES: "What a linear probe reads from the embeddings",
    CALIBRATION: "Calibration",
}
_READING: Final = {
    REPRESENTATION: (
        "Higher is better but for Davies-Bouldin; RankMe near 1 is a collapse. k-NN stands beside the linear head, "
        "whose numbers are the result."
    ),
    ATTRIBUTES: (
        "AUROC 0.5 and R² 0: nothing. What an encoder that never saw the record tells as well is in the pictures, so "
        "compare with MSN and the random initialisation."
    ),
    SUBGROUPS: (
        "Gap: largest minus smallest group. Chance alone leaves some gap: where its interval begins at 0, no "
        "difference is shown."
    ),
    CALIBRATION: (
        "Brier score and calibration error (ECE): 0 is best, chance alone leaves some error. Slope: 1 is right, below "
        "1 probabilities are too extreme. Intercept, the slope held at 1: 0 is right, above 0 they are too low."
    ),
}
_SHIFTED_AND_NARROW: Final = (
    "Those of clusters and rank are laid around the value, because resampling itself shifts them. They hold the "
    "truth less often than their name says: of 100 simulated test sets of 120 patients, intervals of 95 % held the "
    f"population's {', '.join(f'{name} {times}' for name, times in COVERAGE.items())} times; Calinski-Harabasz was not "
    "measured. RankMe also grows with the number of images."
)


@dataclass(frozen=True)
class _Shown:
    """One column: which rows of the table of measures it shows, and how."""

    group: str
    measure: str
    header: str
    heading: str
    digits: int = 3


_REPRESENTATION: Final = (
    _Shown("clusters", "silhouette", "silhouette", "Clusters of single labels"),
    _Shown("clusters", "davies_bouldin", "Davies-Bouldin", "Clusters of single labels", 1),
    _Shown("clusters", "calinski_harabasz", "Calinski-Harabasz", "Clusters of single labels", 1),
    _Shown("rank", "rankme", "RankMe", "Effective rank", 1),
    *(
        _Shown(classifier, metric, metric.upper(), classifier)
        for classifier in ("k-NN", "linear head")
        for metric in ("auroc", "auprc")
    ),
)
_ATTRIBUTES: Final = (
    *(_Shown(attribute.name, "auroc", attribute.name, "AUROC") for attribute in PROBED),
    _Shown("Age", "r2", "R²", "Age"),
    _Shown("Age", "mae", "mean error, years", "Age", 1),
)
_CALIBRATION_HEADERS: Final = {"brier": "Brier score", "slope": "slope", "intercept": "intercept", "ece": "ECE"}
_CALIBRATION: Final = tuple(_Shown(MACRO, name, _CALIBRATION_HEADERS[name], "Mean over labels") for name in MEASURES)


def topics_of(kind: str) -> tuple[str, ...]:
    """The topics whose rows a kind of table shows."""
    return tuple(VARIABLES) if kind == SUBGROUPS else (kind,)


def measure_tables(rows: pd.DataFrame, facts: MeasuredFacts, kind: str, setting: Setting) -> list[Table]:
    """Lay out one kind of table; of subgroups one table a variable.

    Args:
        rows: of `measured.SCHEMA`, those of the kind's topics.
        facts: what captions say.
        kind: one of `KINDS`.
        setting: protocol, data set, backbone, note.
    """
    if kind == REPRESENTATION:
        return [_table(rows, _REPRESENTATION, _TITLES[kind], kind, facts, setting)]
    if kind == ATTRIBUTES:
        return [_table(rows, _ATTRIBUTES, _TITLES[kind], kind, facts, setting)]
    if kind == CALIBRATION:
        return [_table(rows, _CALIBRATION, _TITLES[kind], kind, facts, setting)]
    return [
        _table(own, _group_columns(own), f"AUROC by {VARIABLES[str(variable)].lower()}", kind, facts, setting)
        for variable, own in rows.groupby("topic", sort=False)
    ]


def _group_columns(rows: pd.DataFrame) -> list[_Shown]:
    names = [name for name in dict.fromkeys(rows["group"]) if name != GAP]
    shown = [_Shown(name, "auroc", "not known" if name == UNKNOWN else name, "Macro AUROC") for name in names]
    return [*shown, *([_Shown(GAP, "auroc", GAP, "Largest - smallest")] if GAP in set(rows["group"]) else [])]


def _table(
    rows: pd.DataFrame, columns: Sequence[_Shown], title: str, kind: str, facts: MeasuredFacts, setting: Setting
) -> Table:
    runs = rows.drop_duplicates("run")
    cells = {(row["run"], row["group"], row["measure"]): row for row in rows.to_dict("records")}
    several = runs["method"].duplicated(keep=False)
    body = []
    for (_, run), repeated in zip(runs.iterrows(), several, strict=True):
        name = f"{run['method_name']}, seed {run['seed']}" if repeated else str(run["method_name"])
        own = [_cell(cells[run["run"], one.group, one.measure], one) for one in columns]
        body.append(Row((Cell(name), *own), str(run["family"])))
    headers = (Column("Pretraining", numeric=False), *(Column(one.header, one.heading) for one in columns))
    caption = (*facts.sentences.get(str(rows["topic"].iloc[0]), []), *_caption(rows, columns, kind, facts))
    where = setting.title if kind in _OF_PREDICTIONS else f"{setting.backbone_name} on {setting.dataset_name}"
    return Table(f"{title}. {where}", headers, tuple(body), setting.note, caption)


def _cell(row: dict[Any, Any], shown: _Shown) -> Cell:
    if row["excluded"]:
        return Cell(_EXCLUDED, muted=True, hint=row["excluded"])
    hint = f"{count(row['images'])} images of {count(row['patients'])} patients"
    return Cell(_text(row, shown.digits), order=float(row["value"]), hint=hint)


def _text(row: dict[Any, Any], digits: int) -> str:
    if digits == 3:
        return with_interval(row["value"], row["lo"], row["hi"])
    value, low, high = (f"{row[name]:,.{digits}f}".replace("-", _MINUS) for name in ("value", "lo", "hi"))
    return f"{value} ({low}, {high})"


def _caption(rows: pd.DataFrame, columns: Sequence[_Shown], kind: str, facts: MeasuredFacts) -> list[str]:
    interval = (
        f"In brackets: {percent(facts.level)} bootstrap interval from {count(facts.resamples)} resamples of test "
        "patients, the same for every method."
    )
    shifted = {
        REPRESENTATION: _SHIFTED_AND_NARROW,
        SUBGROUPS: "That of the gap holds for all differences between two groups at once.",
        CALIBRATION: "They are laid around the value, because resampling itself raises the calibration error.",
    }
    why = _exclusions(rows, columns)
    return [_READING[kind], interval, *([shifted[kind]] if kind in shifted else []), *([why] if why else [])]


def _exclusions(rows: pd.DataFrame, columns: Sequence[_Shown]) -> str:
    """Which cells are excluded and why; methods are named where it is not all of them."""
    runs = rows["run"].nunique()
    excluded = rows[rows["excluded"] != ""]
    parts = []
    for one in columns:
        these = excluded[(excluded["group"] == one.group) & (excluded["measure"] == one.measure)]
        for reason, own in these.groupby("excluded", sort=False):
            whose = "" if len(own) == runs else f" of {', '.join(dict.fromkeys(own['method_name']))}"
            parts.append(f"{one.header}{whose} ({reason})")
    labels = excluded[(excluded["topic"] == CALIBRATION) & (excluded["measure"] == MEASURES[0])]
    parts += [
        f"{label} ({reason})"
        for label, reason in dict.fromkeys(zip(labels["group"], labels["excluded"], strict=True))
        if label != MACRO
    ]
    return f"Excluded: {'; '.join(parts)}." if parts else ""
