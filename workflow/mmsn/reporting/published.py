"""The paper's results, so that every table shows ours beside them."""

from functools import cache
from importlib.resources import files
from typing import Final

import pandas as pd

CITATION: Final = "Shurrab et al., Sci Rep 14:22516 (2024)"
STRONG_MARK: Final = "∗"
WEAK_MARK: Final = "†"
INFERRED_MARK: Final = "‡"
"""Ours, not the paper's: the row's feature set is inferred from row order (`label_certain` = 0)."""

_TABLE = ["protocol", "dataset", "backbone", "train_fraction"]
_ROW = ["pretraining", "feature_set"]


def published() -> pd.DataFrame:
    """All 246 published rows: table, backbone (ViT-S or ViT-T), protocol, dataset, train_fraction,
    pretraining, feature_set ("" where the method has none), label_certain, auroc, auprc, each with _lo, _hi
    and _mark.

    Source: tables 3, 4 and C1 to C7 of the paper. Where `label_certain` is False the feature set is inferred
    from the order of rows in the paper.
    """
    return _read().copy()


def published_table(protocol: str, dataset: str, backbone: str, train_fraction: float = 1.0) -> pd.DataFrame:
    """Published rows of one table, in the paper's order; empty where the paper has none."""
    rows = published()
    key = pd.Series([protocol, dataset, backbone, train_fraction], index=_TABLE)
    return rows[(rows[_TABLE] == key).all(axis=1)].reset_index(drop=True)


def published_order() -> dict[tuple[str, str], int]:
    """Rank of every (pretraining, feature_set) in the paper's table 3: baselines, MSN, feature sets."""
    rows = published_table("linear", "mimic-cxr", "ViT-S")[_ROW]
    return {(str(method), str(name)): rank for rank, (method, name) in enumerate(rows.to_numpy())}


@cache
def _read() -> pd.DataFrame:
    with files(__package__).joinpath("published_results.csv").open(encoding="utf-8") as file:
        rows = pd.read_csv(file, dtype={"label_certain": bool})
    text = ["feature_set", "auroc_mark", "auprc_mark"]
    return rows.assign(**{name: rows[name].fillna("") for name in text})
