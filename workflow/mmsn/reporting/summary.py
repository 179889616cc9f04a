"""All runs of one protocol, data set and backbone -> the summary and the per-label table."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from mmsn.console import logger, progress
from mmsn.errors import UserError
from mmsn.reporting.comparisons import LabelComparisons, compare, holm_within
from mmsn.reporting.predictions import Predictions, check_same_test_set, check_same_training, refuse_empty
from mmsn.reporting.reader import Reader
from mmsn.reporting.replicates import replicates_table
from mmsn.reporting.runs import RunDescription, in_paper_order
from mmsn.reporting.schemas import LABELS, METRICS, SUMMARY, Facts, Metric, table_of
from mmsn.reporting.scoring import CONSTANT, Scored, Scorer, mean_over_seeds
from mmsn.reporting.settings import StatisticsSettings
from mmsn.statistics.bootstrap import percentile_interval

MISSING: Final = "no predictions"
_NAMES: Final = {"backbone", "backbone_name", "method", "method_name", "feature_set", "control", "published"}


@dataclass(frozen=True)
class Statistics:
    """The tables `schemas.SUMMARY`, `schemas.LABELS`, `replicates.REPLICATES`; their metadata hold `schemas.Facts`."""

    summary: pa.Table
    labels: pa.Table
    replicates: pa.Table


def summarise(
    runs: Sequence[RunDescription],
    judged: Iterable[tuple[RunDescription, Predictions]],
    settings: StatisticsSettings,
    threads: int | None = None,
) -> Statistics:
    """Score every run and compare it with the reference `settings.baseline` of the same seed.

    Rows come in the paper's order; a method with several seeds has a row a seed, then one for their mean.
    Runs without predictions keep a row that says so.

    Args:
        runs: every run that the tables shall show, all of one backbone.
        judged: the runs that have predictions; consumed once, only their scores are kept.
        settings: resamples, level, seed, reference.
        threads: as many as this process may use when left out.

    Raises:
        UserError: runs of two backbones, runs judged on different images, no predictions at all, a test set
            with fewer than two patients or without any label that has both classes.
    """
    backbones = sorted({run.backbone for run in runs})
    if len(backbones) > 1:
        raise UserError(f"--runs: backbones {', '.join(backbones)}; give the runs of one backbone at a time")
    test_set, scorer, scored = _score_all(judged, settings, threads)
    entries = _entries(in_paper_order(list(runs), settings.baseline), scored)
    facts = facts_of(test_set, next(iter(scored.values())), settings)
    summary = table_of(_summary_rows(entries, scorer, settings, facts), SUMMARY)
    labels = table_of(_label_rows(entries, test_set, scorer, settings), LABELS)
    metadata = facts.metadata() | test_set.split.metadata
    replicates = replicates_table(entry for entry in entries if isinstance(entry, Scored))
    return Statistics(*(table.replace_schema_metadata(metadata) for table in (summary, labels, replicates)))


def judged(runs: Sequence[RunDescription]) -> Iterator[tuple[RunDescription, Predictions]]:
    """Runs whose predictions exist; the others are named and keep an empty row in the tables."""
    reader = Reader()
    for run in progress(runs, "runs scored"):
        if run.predictions.exists():
            yield run, reader.read(run.predictions)
        else:
            logger.warning("%s has no predictions (%s): its row stays empty", run.id, run.predictions)


def _score_all(
    judged: Iterable[tuple[RunDescription, Predictions]], settings: StatisticsSettings, threads: int | None
) -> tuple[Predictions, Scorer, dict[str, Scored]]:
    """The common test set, what scores on it, and the runs by id."""
    first: tuple[str, Predictions, Scorer] | None = None
    scored = {}
    for run, predictions in judged:
        if first is None:
            refuse_empty(predictions, run.id)
            first = run.id, predictions, Scorer(predictions, settings, threads)
        check_same_test_set(first[1], predictions, (first[0], run.id))
        check_same_training(first[1], predictions, (first[0], run.id))
        scored[run.id] = first[2].score(run, predictions.scores)
        _warn_of_constant_scores(scored[run.id])
    if first is None:
        raise UserError("none of the runs has predictions; evaluate at least one of them first")
    return first[1], first[2], scored


def _warn_of_constant_scores(scored: Scored) -> None:
    constant = scored.labels.loc[scored.labels["remark"] == CONSTANT, "label"]
    if len(constant):
        logger.warning(
            "warning: run %s: every test image has one score for %s: AUROC is 0.5 there whatever the images show",
            *(scored.run.id, ", ".join(constant)),
        )


def _entries(runs: Sequence[RunDescription], scored: Mapping[str, Scored]) -> list[Scored | RunDescription]:
    """What becomes a row, in order: scored runs, means over seeds, runs without predictions."""
    entries: list[Scored | RunDescription] = []
    for method in dict.fromkeys(run.method for run in runs):
        own = [run for run in runs if run.method == method]
        entries += [scored.get(run.id, run) for run in own]
        seeds = [scored[run.id] for run in own if run.id in scored]
        if len(seeds) > 1:
            entries.append(mean_over_seeds(seeds))
    return entries


def facts_of(test_set: Predictions, scored: Scored, settings: StatisticsSettings) -> Facts:
    """What captions say of a test set, by any run scored on it."""
    excluded = scored.labels[scored.labels["excluded"] != ""]
    return Facts(
        images=len(test_set.images),
        patients=len(set(test_set.patients.tolist())),
        labels=len(test_set.labels),
        excluded=dict(zip(excluded["label"], excluded["excluded"], strict=True)),
        resamples=settings.resamples,
        level=settings.level,
        seed=settings.seed,
        baseline=settings.baseline,
        split=test_set.split.short,
        head_of=test_set.head_of,
    )


def _names(run: RunDescription, baseline: str) -> dict[str, Any]:
    names = run.model_dump(include=_NAMES)
    return {"run": run.id, "family": run.family(baseline), "seed": run.seed, "seeds": 1, **names}


def _summary_rows(
    entries: Sequence[Scored | RunDescription], scorer: Scorer, settings: StatisticsSettings, facts: Facts
) -> list[dict[str, Any]]:
    used = {"labels_used": facts.labels - len(facts.excluded), "labels_excluded": "; ".join(facts.excluded)}
    compared = _comparison_columns([entry for entry in entries if isinstance(entry, Scored)], scorer, settings)
    rows = []
    for entry in entries:
        for metric in METRICS:
            nothing = {"metric": metric, **used, "mark": "", "comparisons": 0, "not_tested": "", "missing": MISSING}
            if isinstance(entry, Scored):
                numbers = _metric_columns(entry, metric, settings.level)
                names = _names(entry.run, settings.baseline) | _seed_columns(entry)
                rows.append({**nothing, **names, **numbers, **compared.get((entry.run.id, metric), {})})
            else:
                rows.append({**nothing, **_names(entry, settings.baseline)})
    return rows


def _seed_columns(scored: Scored) -> dict[str, int | None]:
    return {"seed": None if scored.members else scored.run.seed, "seeds": len(scored.seeds)}


def _metric_columns(scored: Scored, metric: Metric, level: float) -> dict[str, Any]:
    lo, hi = percentile_interval(scored.of_images[metric], level)
    lo_patient, hi_patient = percentile_interval(scored.of_patients[metric], level)
    bounds = {"lo": lo, "hi": hi, "lo_patient": lo_patient, "hi_patient": hi_patient}
    values = [member.value[metric] for member in scored.members]
    spread = {"sd_seeds": float(np.std(values, ddof=1))} if len(values) > 1 else {}
    return {"value": scored.value[metric], **bounds, **spread, "missing": ""}


def _comparison_columns(
    scored: Sequence[Scored], scorer: Scorer, settings: StatisticsSettings
) -> dict[tuple[str, Metric], dict[str, Any]]:
    """Columns of every run and metric that has a reference of the same seed, with Holm within its family."""
    pairs = _pairs(scored, settings.baseline)
    keys = [(run, reference, metric) for run, reference in pairs for metric in METRICS]
    checks = {run.run.id: scorer.permutation_p(run, reference) for run, reference in progress(pairs, "runs compared")}
    tests = [
        compare(run, reference, metric, settings.level, checks[run.run.id][metric]) for run, reference, metric in keys
    ]
    groups = [(metric, run.run.family(settings.baseline), run.seeds) for run, _, metric in keys]
    adjusted, sizes = holm_within(groups, [test.p for test in tests])
    of_seeds, _ = holm_within(groups, [test.p_seeds for test in tests])
    return {
        (run.run.id, metric): {
            "p_published": test.p_published,
            "mark": test.mark,
            "difference": test.difference,
            "difference_lo": test.lo,
            "difference_hi": test.hi,
            "p_paired": test.p,
            "p_holm": float(p_holm),
            "comparisons": int(size),
            "p_seeds": test.p_seeds,
            "p_seeds_holm": float(p_seeds_holm),
            "difference_lo_seeds": test.lo_seeds,
            "difference_hi_seeds": test.hi_seeds,
            "p_permutation": test.p_permutation,
            "not_tested": test.not_tested,
        }
        for (run, _, metric), test, p_holm, size, p_seeds_holm in zip(
            keys, tests, adjusted, sizes, of_seeds, strict=True
        )
    }


def _pairs(scored: Sequence[Scored], baseline: str) -> list[tuple[Scored, Scored]]:
    """Each run with the reference of the same seed, each mean with the mean of the same seeds."""
    references = {one.seeds: one for one in scored if one.run.method == baseline}
    others = [one for one in scored if one.run.method != baseline]
    return [(one, references[one.seeds]) for one in others if one.seeds in references]


def _label_rows(
    entries: Sequence[Scored | RunDescription], test_set: Predictions, scorer: Scorer, settings: StatisticsSettings
) -> list[dict[str, Any]]:
    scored = [entry for entry in entries if isinstance(entry, Scored) and not entry.members]
    compared = _label_comparisons(scored, test_set, scorer, settings)
    rows = []
    for one in scored:
        columns = _with_comparison(one.labels, compared[one.run.id]) if one.run.id in compared else one.labels
        names = _names(one.run, settings.baseline)
        for row in columns.to_dict("records"):
            rows.append(names | {str(key): value for key, value in row.items()})
    return rows


def _with_comparison(labels: pd.DataFrame, compared: pd.DataFrame) -> pd.DataFrame:
    """Metrics and tests of a run's labels; `remark` also says why a label that has metrics has no test."""
    remarks = ["; ".join(filter(None, parts)) for parts in zip(labels["remark"], compared["not_tested"], strict=True)]
    return labels.join(compared.drop(columns="not_tested")).assign(remark=remarks)


def _label_comparisons(
    scored: Sequence[Scored], test_set: Predictions, scorer: Scorer, settings: StatisticsSettings
) -> dict[str, pd.DataFrame]:
    """DeLong's test of every label by run, with Holm over every label and run of a family and seed, and of the run."""
    pairs = _pairs(scored, settings.baseline)
    references = {reference.run.id: reference for _, reference in pairs}
    tests = LabelComparisons(test_set)
    components = {name: tests.components(one) for name, one in references.items()}
    tested = [
        tests.compare(run, tests.components(run), components[reference.run.id], settings.level).assign(
            run=run.run.id,
            group=f"{run.run.family(settings.baseline)} {run.seeds}",
            p_permutation=scorer.permutation_p_labels(run, reference),
        )
        for run, reference in pairs
    ]
    if not tested:
        return {}
    together = pd.concat(tested)
    adjusted, _ = holm_within(together["group"], together["p_delong"].tolist())
    by_run, checked = (
        holm_within(together["run"], together[name].tolist())[0] for name in ("p_delong", "p_permutation")
    )
    together = together.assign(p_holm=adjusted, p_holm_labels=by_run, p_permutation_holm=checked)
    return {str(run): rows.drop(columns=["run", "group"]) for run, rows in together.groupby("run", sort=False)}
