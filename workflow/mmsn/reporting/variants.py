"""One encoder judged in several ways: each way beside another one of the same encoder, or beside the record alone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import Field

from mmsn.console import progress
from mmsn.errors import UserError
from mmsn.reporting.comparisons import holm_within
from mmsn.reporting.predictions import Predictions, check_same_test_set, check_same_training, refuse_empty
from mmsn.reporting.reader import Reader
from mmsn.reporting.runs import RunDescription
from mmsn.reporting.schemas import METRICS, Facts, Metric, required
from mmsn.reporting.scoring import Scored, Scorer, mean_over_seeds
from mmsn.reporting.settings import StatisticsSettings
from mmsn.reporting.summary import facts_of
from mmsn.statistics.bootstrap import percentile_interval
from mmsn.statistics.tests import FEWEST_SEEDS, Difference, paired_difference, paired_t_test

VARIANTS: Final = pa.schema(
    [
        *(required(name, pa.string()) for name in ("key", "method", "method_name", "variant")),
        pa.field("feature_set", pa.string()),
        *(required(name, pa.string()) for name in ("backbone", "backbone_name")),
        required("seeds", pa.int64()),
        pa.field("sd_seeds", pa.float64()),
        required("metric", pa.string()),
        *(pa.field(name, pa.float64()) for name in ("value", "lo", "hi", "lo_patient", "hi_patient")),
        *(required(name, pa.string()) for name in ("against", "reference")),  # as the table names it, its key
        *(pa.field(name, pa.float64()) for name in ("difference", "difference_lo", "difference_hi", "p_paired")),
        required("seeds_test", pa.string()),  # paired, one-sample, or empty
        *(pa.field(name, pa.float64()) for name in ("p_seeds", "difference_lo_seeds", "difference_hi_seeds")),
        *(pa.field(name, pa.float64()) for name in ("p_holm", "comparisons", "p_seeds_holm")),
    ]
)
"""One row a variant, metric and reference; `against` is empty where there is none."""
_NOT_COMPARED: Final = dict.fromkeys(("difference", "difference_lo", "difference_hi", "p_paired"), float("nan"))


class VariantRun(RunDescription):
    """One seed of one way to judge an encoder."""

    variant: str
    """The way, as the table names it, for example `class token + EHR sex`."""
    key: str
    """The same for every seed of the method and way, for example `msn/class+ehr.sex`."""
    reading: str | None = None
    """Which rows of its predictions are its own, where they have those of several readings."""
    against: dict[str, str] = Field(default_factory=dict)
    """What it is compared with, as the table names it -> that one's `key`."""


def judged_variants(runs: Sequence[VariantRun]) -> Iterator[tuple[VariantRun, Predictions]]:
    """Every run with the predictions that are its own."""
    reader = Reader()
    for run in progress(runs, "runs scored"):
        yield run, reader.read(run.predictions, run.reading)


def measure_variants(
    judged: Iterable[tuple[VariantRun, Predictions]], settings: StatisticsSettings, threads: int | None = None
) -> tuple[pd.DataFrame, Facts]:
    """Score every variant and compare it with what it is to be compared with, in the same resamples of patients.

    A variant with several seeds is the mean of their values, and so is what it is compared with. Holm's correction
    runs over the comparisons with the same kind of reference. From three seeds on a t-test over the seeds speaks of
    training again: paired where the reference has the same seeds, of one sample where it is one prediction of another
    method, which no seed changes (the EHR alone: its loss is convex). Of one encoder that was judged with unequal seeds
    there is none.

    Args:
        judged: every run with its predictions; consumed once.
        settings: resamples, level, seed.
        threads: as many as this process may use when left out.

    Returns:
        The columns of `VARIANTS`, and facts of the test set.

    Raises:
        UserError: runs judged on different images or taught other labels, a test set of one patient or without any
            label that has both classes, or a reference that is not among the runs.
    """
    runs, scored, facts = _scored(judged, settings, threads)
    means = {key: mean_over_seeds(ones) if len(ones) > 1 else ones[0] for key, ones in scored.items()}
    rows = [row for run in runs.values() for metric in METRICS for row in _rows(run, metric, means, settings.level)]
    table = pd.DataFrame(rows)
    table = table.assign(p_holm=float("nan"), comparisons=float("nan"), p_seeds_holm=float("nan"))
    compared = table["against"] != ""
    groups = list(zip(table.loc[compared, "against"], table.loc[compared, "metric"], strict=True))
    adjusted, sizes = holm_within(groups, table.loc[compared, "p_paired"].tolist())
    table.loc[compared, "p_holm"], table.loc[compared, "comparisons"] = adjusted, sizes
    of_seeds, _ = holm_within(groups, table.loc[compared, "p_seeds"].tolist())
    table.loc[compared, "p_seeds_holm"] = of_seeds
    return table, facts


def _scored(
    judged: Iterable[tuple[VariantRun, Predictions]], settings: StatisticsSettings, threads: int | None
) -> tuple[dict[str, VariantRun], dict[str, list[Scored]], Facts]:
    """The first run of each key, every key's seeds, and the facts."""
    first: tuple[str, Predictions, Scorer] | None = None
    runs: dict[str, VariantRun] = {}
    scored: dict[str, list[Scored]] = {}
    for run, predictions in judged:
        if first is None:
            refuse_empty(predictions, run.id)
            first = run.id, predictions, Scorer(predictions, settings, threads)
        check_same_test_set(first[1], predictions, (first[0], run.id))
        check_same_training(first[1], predictions, (first[0], run.id))
        runs.setdefault(run.key, run)
        scored.setdefault(run.key, []).append(first[2].score(run, predictions.scores))
    if first is None:
        raise UserError("none of the runs has predictions; evaluate at least one of them first")
    return runs, scored, facts_of(first[1], next(iter(scored.values()))[0], settings)


def _rows(run: VariantRun, metric: Metric, means: Mapping[str, Scored], level: float) -> Sequence[dict[str, Any]]:
    own = means[run.key]
    lo, hi = percentile_interval(own.of_images[metric], level)
    lo_patient, hi_patient = percentile_interval(own.of_patients[metric], level)
    names = run.model_dump(
        include={"key", "method", "method_name", "variant", "feature_set", "backbone", "backbone_name"}
    )
    values = [member.value[metric] for member in own.members]
    row = {
        **names,
        "seeds": len(own.seeds),
        "sd_seeds": float(np.std(values, ddof=1)) if len(values) > 1 else float("nan"),
        "metric": metric,
        "value": own.value[metric],
        "lo": lo,
        "hi": hi,
        "lo_patient": lo_patient,
        "hi_patient": hi_patient,
    }
    if not run.against:
        return [{**row, "against": "", "reference": "", **_NOT_COMPARED, **_seed_columns("", None)}]
    return [{**row, **_compared(run, metric, means, name, key, level)} for name, key in run.against.items()]


def _compared(
    run: VariantRun, metric: Metric, means: Mapping[str, Scored], name: str, key: str, level: float
) -> dict[str, Any]:
    if key not in means:
        raise UserError(f"--runs: {run.key} is compared with {key}, which is not among the runs; add it")
    own, other = means[run.key], means[key]
    observed = own.value[metric] - other.value[metric]
    paired = paired_difference(own.of_patients[metric], other.of_patients[metric], observed, level)
    numbers = {"difference": observed, "difference_lo": paired.lo, "difference_hi": paired.hi, "p_paired": paired.p}
    return {"against": name, "reference": key, **numbers, **_seed_columns(*_over_seeds(own, other, metric, level))}


def _over_seeds(own: Scored, other: Scored, metric: Metric, level: float) -> tuple[str, Difference | None]:
    """Which t-test over the seeds there is, and what it finds."""
    ours, theirs = ([member.value[metric] for member in side.members] for side in (own, other))
    if len(ours) < FEWEST_SEEDS:
        return "", None
    if own.seeds == other.seeds:
        return "paired", paired_t_test(ours, theirs, level)
    if not theirs and own.run.method != other.run.method:
        return "one-sample", paired_t_test(ours, [other.value[metric]] * len(ours), level)
    return "", None


def _seed_columns(test: str, found: Difference | None) -> dict[str, Any]:
    numbers = (found.p, found.lo, found.hi) if found else (float("nan"),) * 3
    names = ("p_seeds", "difference_lo_seeds", "difference_hi_seeds")
    return {"seeds_test": test, **dict(zip(names, numbers, strict=True))}
