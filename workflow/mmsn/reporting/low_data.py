"""Models trained on few images: the best of the random subsets, as published, and their mean with spread."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pandas as pd

from mmsn.console import progress
from mmsn.errors import UserError
from mmsn.reporting.predictions import Predictions, check_same_test_set
from mmsn.reporting.published import published_table
from mmsn.reporting.runs import RunDescription, in_paper_order
from mmsn.reporting.schemas import METRICS
from mmsn.reporting.settings import StatisticsSettings
from mmsn.statistics.bootstrap import Replicates, Resamples, bootstrap_ranked, image_draws, patient_draws
from mmsn.statistics.metrics import label_metrics
from mmsn.statistics.ranking import Ranking, checked, rank_all

WHOLE: Final = 1.0
"""The share of all training images."""
_METHOD: Final = ["backbone", "backbone_name", "method", "method_name", "family", "feature_set", "control", "published"]


@dataclass(frozen=True)
class Subset:
    """Which model: a method's seed, trained on one draw of a share of the training images."""

    method: str
    seed: int
    share: float
    draw: int


@dataclass(frozen=True)
class MeasuredSubsets:
    """Metrics of every subset."""

    labels: pd.DataFrame
    """One row a run, share, draw and label: auroc, auprc, and `excluded`, empty or why the label does not count."""
    images: int
    """Of the test set."""
    patients: int
    names: tuple[str, ...] = ()
    """The labels, in the order of the replicates."""
    of_patients: dict[Subset, Replicates] = field(default_factory=dict)
    """Metrics of every subset in the resamples of patients, which all of them share; empty without."""
    of_images: dict[Subset, Replicates] = field(default_factory=dict)
    """The same in the resamples of images, of the best draws alone: those are the paper's intervals."""
    split: str = ""
    """First digits of the hash of the split under which every model was trained and judged."""
    whole: pd.DataFrame = field(default_factory=pd.DataFrame)
    """As `labels`, of the same runs trained on all images: `WHOLE` is their share."""


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
    read: Callable[[Path], Predictions],
    statistics: StatisticsSettings | None = None,
    threads: int | None = None,
    whole: Sequence[RunDescription] = (),
) -> MeasuredSubsets:
    """Score every label of every subset, in the paper's order of methods.

    Args:
        runs: their `predictions` have `{percent}` and `{draw}`.
        shares: of the training images.
        draws: subsets of each share.
        baseline: the reference method, for the order of rows.
        read: predictions by their path.
        statistics: of the resamples; without them nothing is resampled.
        threads: as many as this process may use when None.
        whole: the runs with their predictions of all training images.

    Raises:
        UserError: predictions that are damaged or of another test set, or whose test set has one patient alone.
    """
    subsets = [
        (run, share, draw) for run in in_paper_order(list(runs), baseline) for share in shares for draw in range(draws)
    ]
    test_set: tuple[str, Predictions] | None = None
    patients: Resamples | None = None
    of_patients: dict[Subset, Replicates] = {}
    parts = []
    for run, share, draw in progress(subsets, "subsets scored"):
        path = subset_path(run, share, draw)
        predictions = read(path)
        if test_set is None:
            test_set = str(path), predictions
            patients = _patient_draws(predictions, str(path), statistics) if statistics else None
        check_same_test_set(test_set[1], predictions, (test_set[0], str(path)))
        rankings = rank_all(*checked(predictions.targets, predictions.scores))
        parts.append(_measured_labels(predictions, rankings).assign(**_place(run, baseline, share, draw)))
        if patients:
            of_patients[Subset(run.method, run.seed, share, draw)] = bootstrap_ranked(rankings, patients, threads)
    assert test_set is not None  # parse_runs refuses an empty list
    labels, first = pd.concat(parts, ignore_index=True), test_set[1]
    of_whole = []
    for run in in_paper_order(list(whole), baseline):
        predictions = read(run.predictions)
        check_same_test_set(first, predictions, (test_set[0], str(run.predictions)))
        rankings = rank_all(*checked(predictions.targets, predictions.scores))
        of_whole.append(_measured_labels(predictions, rankings).assign(**_place(run, baseline, WHOLE, 0)))
    of_images = _best_in_images(runs, labels, read, statistics, threads) if statistics else {}
    counted = len(set(first.patients.tolist()))
    return MeasuredSubsets(
        labels=labels,
        images=len(first.images),
        patients=counted,
        names=first.labels,
        of_patients=of_patients,
        of_images=of_images,
        split=first.split.short,
        whole=pd.concat(of_whole, ignore_index=True) if of_whole else labels.iloc[:0],
    )


def _place(run: RunDescription, baseline: str, share: float, draw: int) -> dict[str, Any]:
    """Which run and subset the labels are of."""
    names = {name: getattr(run, name) for name in _METHOD if name != "family"}
    return {**names, "family": run.family(baseline), "seed": run.seed, "share": share, "draw": draw}


def _patient_draws(test_set: Predictions, source: str, statistics: StatisticsSettings) -> Resamples:
    patients = len(set(test_set.patients.tolist()))
    if patients < 2:
        raise UserError(f"{source}: {patients} patient in the test set; intervals need at least two: enlarge it")
    return patient_draws(test_set.patients, statistics.resamples, statistics.seed)


def _best_in_images(
    runs: Sequence[RunDescription],
    labels: pd.DataFrame,
    read: Callable[[Path], Predictions],
    statistics: StatisticsSettings,
    threads: int | None,
) -> dict[Subset, Replicates]:
    """The best draw of each method and share, which is known when all are scored, in the resamples of images."""
    best = summarise_subsets(labels)[["method", "share", "best_draw"]].drop_duplicates()
    found: dict[Subset, Replicates] = {}
    images: Resamples | None = None
    for method, share, draw in best.itertuples(index=False, name=None):
        for run in (run for run in runs if run.method == method):
            predictions = read(subset_path(run, share, draw))
            images = images or image_draws(len(predictions.images), statistics.resamples, statistics.seed)
            rankings = rank_all(*checked(predictions.targets, predictions.scores))
            found[Subset(run.method, run.seed, share, draw)] = bootstrap_ranked(rankings, images, threads)
    return found


def _measured_labels(predictions: Predictions, rankings: Sequence[Ranking]) -> pd.DataFrame:
    """Metrics by label; a label that the subset could not teach is excluded like one that cannot be judged."""
    measured = label_metrics(predictions.targets, predictions.scores, predictions.labels, rankings)
    untrained = predictions.untrained
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
