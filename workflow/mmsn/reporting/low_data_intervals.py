"""Few training images: intervals of the best subset and of their mean, and every method against the reference."""

from typing import Any, Final

import pandas as pd

from mmsn.reporting.comparisons import holm_within
from mmsn.reporting.low_data import MeasuredSubsets
from mmsn.reporting.low_data_draws import Draws, draws_of
from mmsn.reporting.schemas import METRICS
from mmsn.statistics.bootstrap import percentile_interval
from mmsn.statistics.tests import FEWEST_SEEDS, paired_difference, paired_t_test

_COMPARED: Final = ("difference", "difference_lo", "difference_hi", "p_paired", "p_draws")
_OF_SEEDS: Final = ("p_seeds", "difference_lo_seeds", "difference_hi_seeds")


def with_intervals(rows: pd.DataFrame, measured: MeasuredSubsets, baseline: str, level: float) -> pd.DataFrame:
    """Add intervals, and the comparison of every method's mean over the subsets with the reference's.

    Args:
        rows: `low_data.summarise_subsets`.
        measured: what they come from, with replicates.
        baseline: the reference method.
        level: of the intervals.

    Returns:
        The rows with best_lo and best_hi (resampling images, as published), best_lo_patient, best_hi_patient,
        mean_lo_patient and mean_hi_patient (resampling patients); difference of the means with difference_lo,
        difference_hi, p_paired (paired bootstrap of patients), p_holm (over the comparisons of the same family, share
        and metric), p_draws (paired t-test over the subsets), p_seeds (paired t-test over three or more seeds, of their
        means over the subsets) with p_seeds_holm, difference_lo_seeds and difference_hi_seeds. Null for the reference,
        and where it has not the same seeds. Also sd_seeds: standard deviation of the seeds' means, null for one.
    """
    found = {
        (method, share, metric): draws_of(measured, method, share, metric)
        for method, share in rows[["method", "share"]].drop_duplicates().itertuples(index=False, name=None)
        for metric in METRICS
    }
    records = [{str(key): value for key, value in row.items()} for row in rows.to_dict("records")]
    added = []
    for row in records:
        place = row["share"], row["metric"]
        own, reference = found[row["method"], *place], found.get((baseline, *place))
        compared = reference is not None and row["method"] != baseline and reference.seeds == own.seeds
        added.append(_intervals(own, row, level) | (_compared(own, reference, level) if compared and reference else {}))
    empty = dict.fromkeys((*_COMPARED, *_OF_SEEDS), float("nan"))
    joined = rows.join(pd.DataFrame([empty | columns for columns in added], index=rows.index))
    groups = [(row["family"], row["share"], row["metric"]) for row in records]
    adjusted, of_seeds = (holm_within(groups, joined[name].tolist())[0] for name in ("p_paired", "p_seeds"))
    return joined.assign(p_holm=adjusted, p_seeds_holm=of_seeds)


def _intervals(own: Draws, row: dict[str, Any], level: float) -> dict[str, float]:
    best = own.numbers.index(int(row["best_draw"]))
    by_seed = own.values.mean(axis=0)
    bounds = {"sd_seeds": float(by_seed.std(ddof=1)) if by_seed.size > 1 else float("nan")}
    bounds["best_lo"], bounds["best_hi"] = percentile_interval(own.of_images, level)
    for what, values in (("best", own.of_patients[best]), ("mean", own.of_patients.mean(axis=0))):
        bounds[f"{what}_lo_patient"], bounds[f"{what}_hi_patient"] = percentile_interval(values, level)
    return bounds


def _compared(own: Draws, reference: Draws, level: float) -> dict[str, float]:
    """The mean over the subsets minus the reference's, on the same resamples of patients."""
    ours, theirs = own.values.mean(axis=1), reference.values.mean(axis=1)
    replicates = [one.of_patients.mean(axis=0) for one in (own, reference)]
    paired = paired_difference(replicates[0], replicates[1], float(ours.mean() - theirs.mean()), level)
    p_draws = paired_t_test(ours, theirs, level).p if len(ours) >= FEWEST_SEEDS else float("nan")
    found = dict(zip(_COMPARED, (paired.difference, paired.lo, paired.hi, paired.p, p_draws), strict=True))
    return found | _over_seeds(own, reference, level)


def _over_seeds(own: Draws, reference: Draws, level: float) -> dict[str, float]:
    """The seeds' means over the subsets, seed by seed: what training again changes."""
    if len(own.seeds) < FEWEST_SEEDS:
        return {}
    tested = paired_t_test(own.values.mean(axis=0), reference.values.mean(axis=0), level)
    return dict(zip(_OF_SEEDS, (tested.p, tested.lo, tested.hi), strict=True))
