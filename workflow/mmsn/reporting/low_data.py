"""Models trained on few images: the best of the random subsets, as published, and their mean with spread."""

import json
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from mmsn.errors import UserError
from mmsn.lineage import UNTRAINED_LABELS
from mmsn.reporting.predictions import Predictions, check_same_test_set, from_table
from mmsn.reporting.published import published_table
from mmsn.reporting.runs import RunDescription, in_paper_order
from mmsn.reporting.schemas import METRICS
from mmsn.statistics.metrics import label_metrics

_METHOD: Final = ["backbone", "backbone_name", "method", "method_name", "family", "feature_set", "control", "published"]


@dataclass(frozen=True)
class MeasuredSubsets:
    """Metrics of every subset."""

    labels: pd.DataFrame
    """One row a run, share, draw and label: auroc, auprc, and `excluded`, empty or why the label does not count."""
    images: int
    """Of the test set."""
    patients: int


def percent_of(share: float) -> str:
    """A share as paths and headings have it: 1 for 0.01."""
    return f"{100 * share:g}"


def subset_path(run: RunDescription, share: float, draw: int) -> Path:
    """Where a run's predictions of a subset lie: `{percent}` and `{draw}` in its path filled in."""
    return Path(str(run.predictions).format(percent=percent_of(share), draw=draw))


def measure_subsets(
    runs: Sequence[RunDescription],
    shares: Sequence[float],
    draws: int,
    baseline: str,
    read: Callable[[Path], pa.Table],
) -> MeasuredSubsets:
    """Score every label of every subset, in the paper's order of methods.

    Args:
        runs: their `predictions` have `{percent}` and `{draw}`.
        shares: of the training images.
        draws: subsets of each share.
        baseline: the reference method, for the order of rows.
        read: a table of predictions by its path.

    Raises:
        UserError: predictions that are damaged or of another test set.
    """
    subsets = [
        (run, share, draw) for run in in_paper_order(list(runs), baseline) for share in shares for draw in range(draws)
    ]
    test_set: tuple[str, Predictions] | None = None
    parts = []
    for run, share, draw in subsets:
        path = subset_path(run, share, draw)
        table = read(path)
        predictions = from_table(table, str(path))
        test_set = test_set or (str(path), predictions)
        check_same_test_set(test_set[1], predictions, (test_set[0], str(path)))
        names = {name: getattr(run, name) for name in _METHOD if name != "family"}
        place = {"family": run.family(baseline), "seed": run.seed, "share": share, "draw": draw}
        parts.append(_measured_labels(predictions, table).assign(**names, **place))
    assert test_set is not None  # parse_runs refuses an empty list
    patients = len(set(test_set[1].patients.tolist()))
    return MeasuredSubsets(pd.concat(parts, ignore_index=True), len(test_set[1].images), patients)


def _measured_labels(predictions: Predictions, table: pa.Table) -> pd.DataFrame:
    """Metrics by label; a label that the subset could not teach is excluded like one that cannot be judged."""
    measured = label_metrics(predictions.targets, predictions.scores, predictions.labels)
    untrained = json.loads((table.schema.metadata or {}).get(UNTRAINED_LABELS.encode(), b"{}"))
    not_taught = [f"{untrained[label]} to train on" if label in untrained else "" for label in measured["label"]]
    return measured.assign(excluded=measured["excluded"].mask(measured["excluded"] == "", pd.Series(not_taught)))


def summarise_subsets(labels: pd.DataFrame) -> pd.DataFrame:
    """One row a method, share and metric: the best draw, as published, the mean of the draws and their spread.

    A label that any subset of a share could not teach, or that the test set cannot judge, is left out of all macro
    means of that share, so that draws and methods are compared on the same labels. With several seeds a draw's value is
    the mean over them. The best draw is the one with the highest AUROC on the test set; its AUPRC is the best row's.

    Returns:
        `labels`' names of the method, share, metric, draws, seeds, best, best_draw, mean, sd (of the draws, n - 1;
        null for one), labels_used, labels_excluded, and the paper's published_value, _lo and _hi.

    Raises:
        UserError: when no label is left of a share.
    """
    methods, shares = (list(dict.fromkeys(labels[name])) for name in ("method", "share"))
    rows: list[dict[str, object]] = []
    for share in map(float, shares):
        left_out = excluded_labels(labels, share)
        used = labels[(labels["share"] == share) & ~labels["label"].isin(list(left_out))]
        if used.empty:
            raise UserError(
                f"{percent_of(share)} % of the training images: no label is left that every subset can teach and the "
                "test set can judge; raise low_data.shares"
            )
        for method in methods:
            rows += _rows_of_method(used[used["method"] == method], "; ".join(left_out))
    return pd.DataFrame(rows)


def _rows_of_method(used: pd.DataFrame, left_out: str) -> list[dict[str, object]]:
    """Both metrics of one method and share."""
    names = {name: used[name].iloc[0] for name in (*_METHOD, "share")}
    macro = used.groupby(["draw", "seed"])[list(METRICS)].mean().groupby("draw").mean()
    best = int(macro["auroc"].to_numpy().argmax())
    labels_used = {"labels_used": used["label"].nunique(), "labels_excluded": left_out}
    counts = {"draws": len(macro), "seeds": used["seed"].nunique(), "best_draw": macro.index[best]}
    return [
        {
            **names,
            "metric": metric,
            **counts,
            "best": macro[metric].iloc[best],
            "mean": macro[metric].mean(),
            "sd": macro[metric].std(),
            **labels_used,
        }
        for metric in METRICS
    ]


def excluded_labels(labels: pd.DataFrame, share: float) -> dict[str, str]:
    """Labels left out of a share's macro means, and why."""
    out = labels[(labels["share"] == share) & (labels["excluded"] != "")].drop_duplicates("label")
    return dict(zip(out["label"], out["excluded"], strict=True))


def with_published(rows: pd.DataFrame, protocol: str, dataset: str) -> pd.DataFrame:
    """Add published_value, _lo, _hi, _table and published_label_certain; null where the paper has none."""
    found = [_published_row(row, protocol, dataset) for row in rows.to_dict("records")]
    return rows.join(pd.DataFrame(found, index=rows.index))


def _published_row(row: dict[Hashable, Any], protocol: str, dataset: str) -> dict[str, object]:
    paper = published_table(protocol, dataset, row["backbone_name"], row["share"])
    feature_set = row["feature_set"] if isinstance(row["feature_set"], str) else ""
    found = paper[(paper["pretraining"] == row["published"]) & (paper["feature_set"] == feature_set)]
    metric = row["metric"]
    columns = {"value": metric, "lo": f"{metric}_lo", "hi": f"{metric}_hi", "table": "table"}
    columns["label_certain"] = "label_certain"
    return {f"published_{name}": found[column].iloc[0] if len(found) else None for name, column in columns.items()}
