"""Tables 1 and 2 of the paper: sizes of the splits, and the feature sets."""

from typing import Any, Final

import pandas as pd

from mmsn.paper.definitions import DATASETS, DIMENSIONS, MIMIC, SPLIT_SIZES
from mmsn.paper.sources import Measured
from mmsn.reporting.captions import dataset_name
from mmsn.reporting.layout import Cell, Column, Row, Table
from mmsn.reporting.number_format import count, signed_count
from mmsn.reporting.published import CITATION
from mmsn.study import Study

_SPLITS: Final = {"train": "training", "validate": "validation", "test": "test"}
_STEP: Final = {MIMIC: "before exclusions: with labels, {split}"}
_STEP_ELSEWHERE: Final = "kept: {split}"
_FOLDERS: Final = {"chexpert": "chexpert", "nih-14": "nih_14"}


def split_sizes(study: Study, measured: Measured) -> pd.DataFrame:
    """Table 1: table, dataset, split, value, published, difference (ours minus published), reason."""
    return pd.DataFrame([_size(dataset, split, study, measured) for dataset in DATASETS for split in _SPLITS])


def _size(dataset: str, split: str, study: Study, measured: Measured) -> dict[str, Any]:
    paper = SPLIT_SIZES[dataset].get(split)
    size: dict[str, Any] = {"table": "1", "dataset": dataset, "split": split, "value": None, "published": paper}
    wanted = _STEP.get(dataset, _STEP_ELSEWHERE).format(split=split)
    steps = measured.flows.get(dataset, {}).get("steps", ())
    found = next((step["count"] for step in steps if step["step"] == wanted), None)
    reason = "" if found is not None else _why_no_counts(dataset, study)
    difference = None if found is None or paper is None or study.note else found - paper
    return size | {"value": found, "difference": difference, "reason": reason}


def _why_no_counts(dataset: str, study: Study) -> str:
    folder = _FOLDERS.get(dataset)
    if folder is not None and getattr(study.data, folder) is None:
        return f"data.{folder} is not set"
    return "not counted"


def split_table(sizes: pd.DataFrame, note: str) -> Table:
    """Lay out `split_sizes`."""
    columns = [Column("Data set", numeric=False)]
    columns += [Column(what, split) for split in _SPLITS.values() for what in ("this study", "published", "difference")]
    rows = []
    for dataset, own in sizes.groupby("dataset", sort=False):
        cells = [cell for row in own.to_dict("records") for cell in _size_cells(row)]
        rows.append(Row((Cell(dataset_name(str(dataset))), *cells)))
    caption = (
        f"Images with labels in each split. Published: {CITATION}; empty where the paper gives no number.",
        "MIMIC-CXR is counted before exclusions, as the published numbers are. CheXpert's official test set has 668 "
        "images; the paper says 688.",
        *(["No differences are shown, because these data are not the paper's."] if note else []),
    )
    return Table("Table 1. Data sets and splits", tuple(columns), tuple(rows), note, caption)


def _size_cells(row: dict[Any, Any]) -> tuple[Cell, Cell, Cell]:
    ours, paper, difference = (
        None if pd.isna(row[name]) else float(row[name]) for name in ("value", "published", "difference")
    )
    return (
        Cell(row["reason"], muted=True) if row["reason"] else Cell(count(ours), order=ours),
        Cell(count(paper), muted=True, order=paper),
        Cell(signed_count(difference), bold=bool(difference), order=difference),
    )


def feature_sets(study: Study) -> pd.DataFrame:
    """Table 2: table, feature_set, variables, columns (names), value (their number), published, difference, reason."""
    rows = []
    for name in (*DIMENSIONS, *(name for name in study.feature_sets if name not in DIMENSIONS)):
        known = name in study.feature_sets
        columns = study.columns(name) if known else ()
        paper = DIMENSIONS.get(name)
        rows.append(
            {
                "table": "2",
                "feature_set": name,
                "variables": ", ".join(study.feature_sets.get(name, ())),
                "columns": ", ".join(columns),
                "value": len(columns) if known else None,
                "published": paper,
                "difference": len(columns) - paper if known and paper is not None else None,
                "reason": "" if known else f"{name} is not in feature_sets",
            }
        )
    return pd.DataFrame(rows)


def feature_table(sets: pd.DataFrame, note: str) -> Table:
    """Lay out `feature_sets`."""
    headers = (
        *(Column(name, numeric=False) for name in ("Feature set", "variables", "columns")),
        *(Column(name, "dimension") for name in ("this study", "published", "difference")),
    )
    rows = []
    for row in sets.to_dict("records"):
        numbers = {
            name: None if pd.isna(row[name]) else float(row[name]) for name in ("value", "published", "difference")
        }
        variables = Cell(row["reason"], muted=True) if row["reason"] else Cell(row["variables"])
        shown = (
            Cell(count(numbers["value"])),
            Cell(count(numbers["published"]), muted=True),
            Cell(signed_count(numbers["difference"]), bold=bool(numbers["difference"])),
        )
        group = "single" if "," not in str(row["variables"]) else "combined"
        rows.append(Row((Cell(str(row["feature_set"])), variables, Cell(row["columns"]), *shown), group))
    caption = (f"Columns that the EHR branch reads, in their order. Published: {CITATION}.",)
    return Table("Table 2. EHR feature sets", headers, tuple(rows), note, caption)
