"""The summary with the paper's values in the same row."""

from typing import Final

import pandas as pd

from mmsn.methods import Method
from mmsn.reporting.runs import FAMILIES, Family, row_rank
from mmsn.reporting.schemas import METRICS
from mmsn.titles import title

NOT_IN_STUDY: Final = "not in this study"
_KEY: Final = ["pretraining", "feature_set", "metric"]
_FAMILIES: Final[dict[str, Family]] = {"MSN": "reference", "MSN+EHR": "ehr"}


def beside_published(summary: pd.DataFrame, paper: pd.DataFrame, complete: bool) -> pd.DataFrame:
    """Join the summary with one published table, in the paper's order of rows.

    Args:
        summary: rows of `schemas.SUMMARY`.
        paper: `published.published_table(...)`; may be empty.
        complete: whether rows that only the paper has are added, with the reason why ours are empty.

    Returns:
        The summary's columns, then published_value, _lo, _hi, _mark, _table and published_label_certain. Rows
        that the paper does not have are null there.
    """
    values = _long(paper)
    keys = summary["published"].fillna(""), summary["feature_set"].fillna(""), summary["metric"]
    found = values.set_index(_KEY).reindex(pd.MultiIndex.from_arrays(keys)).set_axis(summary.index)
    joined = summary.join(found)
    if complete and len(paper):
        joined = pd.concat([joined, _paper_only(summary, values)], ignore_index=True)
    return _in_order(joined)


def _long(paper: pd.DataFrame) -> pd.DataFrame:
    """One row a published row and metric."""
    parts = []
    for metric in METRICS:
        part = paper[["pretraining", "feature_set"]].assign(metric=metric)
        for end in ("", "_lo", "_hi", "_mark"):
            part[f"published{end or '_value'}"] = paper[metric + end]
        part["published_table"] = paper["table"]
        part["published_label_certain"] = paper["label_certain"]
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _paper_only(summary: pd.DataFrame, values: pd.DataFrame) -> pd.DataFrame:
    known = set(zip(summary["published"].fillna(""), summary["feature_set"].fillna(""), strict=True))
    keys = zip(values["pretraining"], values["feature_set"], strict=True)
    rows = values[[key not in known for key in keys]]
    first = summary.iloc[0]
    shared = ("backbone", "backbone_name", "labels_used", "labels_excluded")
    return rows.rename(columns={"pretraining": "published"}).assign(
        **{name: first[name] for name in shared},
        run="",
        method="",
        method_name=[_title(*key) for key in zip(rows["pretraining"], rows["feature_set"], strict=True)],
        family=[_FAMILIES.get(name, "baseline") for name in rows["pretraining"]],
        seeds=0,
        mark="",
        comparisons=0,
        missing=NOT_IN_STUDY,
    )


def _title(pretraining: str, feature_set: str) -> str:
    return title(Method("msn+ehr", feature_set)) if feature_set else pretraining


def _in_order(rows: pd.DataFrame) -> pd.DataFrame:
    """Stable: rows that rank alike, such as seeds, keep their order."""

    def text(value: object) -> str | None:
        return value if isinstance(value, str) and value else None

    columns = ("published", "feature_set", "control")
    ranks = [
        row_rank(FAMILIES[FAMILIES.index(row["family"])], *(text(row[name]) for name in columns))
        for row in rows.to_dict("records")
    ]
    order = sorted(range(len(rows)), key=ranks.__getitem__)
    return rows.iloc[order].reset_index(drop=True)
