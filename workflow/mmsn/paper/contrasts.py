"""One group of models against another, on the same resamples of patients: means of groups, interval and p."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mmsn.paper.sources import Judged
from mmsn.reporting.results_table import one_row_a_method
from mmsn.statistics.tests import FEWEST_SEEDS, paired_difference, paired_t_test


@dataclass(frozen=True)
class Model:
    """One method's macro metric: the mean of its seeds."""

    name: str
    value: float
    by_seed: Mapping[int, float]
    replicates: NDArray[np.float64]
    """[R] in the resamples of patients."""


@dataclass(frozen=True)
class Effect:
    """The mean of one group of models minus the mean of another."""

    difference: float
    lo: float
    hi: float
    p: float
    """Two-sided, paired bootstrap of patients."""
    seeds: int
    """Of pretraining, common to all models."""
    p_seeds: float = float("nan")
    """Paired t-test over the seeds, NaN below three."""
    lo_seeds: float = float("nan")
    hi_seeds: float = float("nan")


def models(judged: Judged, metric: str) -> dict[str, Model]:
    """Every judged method by id; of several seeds the mean."""
    shown = one_row_a_method(judged.rows).query("metric == @metric and missing == ''")
    found = {}
    for row in shown.to_dict("records"):
        replicates = judged.replicates.get((row["run"], metric))
        if replicates is not None:
            by_seed = _by_seed(judged.rows, row["method"], metric)
            found[row["method"]] = Model(row["method_name"], row["value"], by_seed, replicates)
    return found


def _by_seed(rows: pd.DataFrame, method: str, metric: str) -> dict[int, float]:
    own = rows.query("method == @method and metric == @metric and missing == ''").dropna(subset=["seed"])
    return {int(seed): float(value) for seed, value in zip(own["seed"], own["value"], strict=True)}


def models_of_subsets(rows: Iterable[Mapping[str, Any]], share: float, metric: str) -> dict[str, Model]:
    """Every method trained on one share of the images, averaged over its random subsets.

    Args:
        rows: of `reporting.low_data_draws.REPLICATES`.
        share: of the training images.
        metric: `auroc` or `auprc`.
    """
    return {
        row["method"]: Model(
            name=row["method_name"],
            value=float(np.mean(row["values"])),
            by_seed=dict(zip(row["seeds"], row["values"], strict=True)),
            replicates=np.asarray(row["of_patients"], dtype=np.float64),
        )
        for row in rows
        if (row["share"], row["metric"]) == (share, metric)
    }


def same_seeds(group: Iterable[Model]) -> bool:
    """Whether all models are of the same seeds, without which their differences are of other things too."""
    return len({frozenset(model.by_seed) for model in group}) == 1


def effect(first: Sequence[Model], second: Sequence[Model], level: float) -> Effect:
    """Mean of `first` minus mean of `second`, resample by resample.

    Args:
        first: models of the same seeds as `second`, judged on the same resamples.
        second: likewise.
        level: of the intervals.
    """
    ours, theirs = (np.mean([model.replicates for model in group], axis=0) for group in (first, second))
    observed = float(np.mean([model.value for model in first]) - np.mean([model.value for model in second]))
    tested = paired_difference(ours, theirs, observed, level)
    seeds = sorted(first[0].by_seed)
    if len(seeds) < FEWEST_SEEDS:
        return Effect(observed, tested.lo, tested.hi, tested.p, len(seeds))
    by_seed = [[np.mean([model.by_seed[seed] for model in group]) for seed in seeds] for group in (first, second)]
    again = paired_t_test(by_seed[0], by_seed[1], level)
    return Effect(observed, tested.lo, tested.hi, tested.p, len(seeds), again.p, again.lo, again.hi)
