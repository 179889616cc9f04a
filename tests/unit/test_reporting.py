"""Statistics of stored predictions: the numbers behind every table."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from mmsn.errors import UserError
from mmsn.files import write_table
from mmsn.labels import LABELS
from mmsn.reporting.comparisons import Comparison
from mmsn.reporting.predictions import Predictions
from mmsn.reporting.runs import RunDescription, in_paper_order
from mmsn.reporting.schemas import LABELS as LABEL_SCHEMA
from mmsn.reporting.schemas import METRICS, SUMMARY, Facts
from mmsn.reporting.settings import StatisticsSettings
from mmsn.reporting.summary import MISSING, Statistics, summarise

IMAGES, PATIENTS = 150, 50
WITHOUT_POSITIVE = "Fracture"
FEW = StatisticsSettings(resamples=60, seed=3)


@dataclass(frozen=True)
class FakeStudy:
    """Made-up predictions of some runs on one test set."""

    runs: list[RunDescription]
    judged: list[tuple[RunDescription, Predictions]]

    def summarise(self, settings: StatisticsSettings = FEW) -> Statistics:
        return summarise(self.runs, self.judged, settings)

    def summary(self, settings: StatisticsSettings = FEW) -> pd.DataFrame:
        return self.summarise(settings).summary.to_pandas()

    def write(self, folder: Path) -> str:
        """Write predictions.parquet of every judged run; returns `--runs`."""
        for run, predictions in self.judged:
            write_table(folder / run.predictions, long_form(predictions))
        described = [run.model_copy(update={"predictions": folder / run.predictions}) for run in self.runs]
        return json.dumps([run.model_dump(mode="json") for run in described])


def fake_study(methods: dict[str, float | None], seeds: tuple[int, ...] = (0,), images: int = IMAGES) -> FakeStudy:
    """A study whose methods separate the classes as strongly as told; None: the run has no predictions."""
    rng = np.random.default_rng(0)
    targets = (rng.random((images, len(LABELS))) < rng.uniform(0.1, 0.4, len(LABELS))).astype(float)
    targets[rng.random(targets.shape) < 0.02] = np.nan
    targets[:, LABELS.index(WITHOUT_POSITIVE)] = 0
    patients = np.sort(rng.integers(PATIENTS, size=images)) + 10_000_000
    test_set = Predictions(
        np.array([f"image-{i:04d}" for i in range(images)], dtype=object), patients, LABELS, targets, targets
    )
    difficulty = rng.normal(size=targets.shape)
    runs, judged = [], []
    for method, strength in methods.items():
        for seed in seeds:
            run = describe(method, seed)
            runs.append(run)
            if strength is not None:
                noise = difficulty + 0.5 * rng.normal(size=targets.shape)
                scores = 1 / (1 + np.exp(-(strength * np.nan_to_num(targets) + noise)))
                judged.append((run, replace(test_set, scores=scores.astype(np.float32).astype(float))))
    return FakeStudy(runs, judged)


def describe(method: str, seed: int = 0) -> RunDescription:
    """A run's description as the workflow writes it; `msn+ehr.<set>` is named 'MSN + <set>'."""
    kind, _, rest = method.partition(".")
    feature_set, _, control = rest.partition(".")
    name = {"msn": "MSN"}.get(method, f"MSN + {feature_set} {control}".strip() if rest else method)
    return RunDescription(
        id=f"vit-small/{method}/seed{seed}",
        backbone="vit-small",
        backbone_name="ViT-S",
        method=method,
        method_name=name,
        feature_set=feature_set or None,
        control=control or None,
        published={"msn": "MSN", "msn+ehr": "MSN+EHR"}.get(kind) if not control else None,
        seed=seed,
        predictions=Path(f"{method}/seed{seed}/predictions.parquet"),
    )


def long_form(predictions: Predictions, seed: int = 0) -> pa.Table:
    """predictions.parquet of `evaluate`, in shuffled order."""
    images, labels = predictions.targets.shape
    order = np.random.default_rng(seed).permutation(images * labels)
    columns = {
        "dicom_id": np.repeat(predictions.images, labels)[order],
        "subject_id": np.repeat(predictions.patients, labels)[order],
        "label": pa.array(np.tile(predictions.labels, images)[order]).dictionary_encode(),
        "target": pa.array(predictions.targets.ravel()[order].astype(np.float32), from_pandas=True),
        "score": predictions.scores.ravel()[order].astype(np.float32),
    }
    return pa.table(columns)


STRENGTHS = {
    "random-init": 0.2,
    "msn": 1.0,
    "msn+ehr.sex": 1.6,
    "msn+ehr.age": None,
    "msn+ehr.mort": 1.3,
    "msn+ehr.D & <set>": 0.5,
    "msn+g": 1.1,
    "msn+ehr.sex.shuffled": 1.1,
}


@pytest.fixture(scope="module")
def study() -> FakeStudy:
    return fake_study(STRENGTHS)


@pytest.fixture(scope="module")
def results(study: FakeStudy) -> Statistics:
    return study.summarise()


@pytest.fixture(scope="module")
def summary(results: Statistics) -> pd.DataFrame:
    return results.summary.to_pandas().set_index(["method", "metric"])


def test_macro_metrics_are_scikit_learns_means_over_the_labels_that_have_both_classes(
    study: FakeStudy, summary: pd.DataFrame
) -> None:
    for run, predictions in study.judged:
        expected = {"auroc": [], "auprc": []}
        for target, score in zip(predictions.targets.T, predictions.scores.T, strict=True):
            known = ~np.isnan(target)
            if target[known].min() < target[known].max():
                expected["auroc"].append(roc_auc_score(target[known], score[known]))
                expected["auprc"].append(average_precision_score(target[known], score[known]))
        for metric in METRICS:
            assert summary.loc[(run.method, metric), "value"] == pytest.approx(np.mean(expected[metric]), abs=1e-12)
            assert summary.loc[(run.method, metric), "labels_used"] == len(expected[metric]) == 13


def test_intervals_of_images_and_of_patients_surround_the_auroc_and_differ(summary: pd.DataFrame) -> None:
    rows = summary.xs("auroc", level="metric").dropna(subset="value")
    for end in ("", "_patient"):
        assert (rows[f"lo{end}"] < rows["value"]).all()
        assert (rows["value"] < rows[f"hi{end}"]).all()
    assert (rows["lo"] != rows["lo_patient"]).all()


def test_differences_are_to_the_reference_and_lie_in_their_intervals(summary: pd.DataFrame) -> None:
    for metric in METRICS:
        rows = summary.xs(metric, level="metric")
        compared = rows.dropna(subset="difference")
        assert set(compared.index) == {name for name, value in STRENGTHS.items() if value} - {"msn"}
        assert np.allclose(compared["difference"], compared["value"] - rows.loc["msn", "value"], atol=1e-12)
        assert (compared["difference_lo"] < compared["difference_hi"]).all()


def test_holm_counts_feature_sets_controls_and_other_baselines_apart(summary: pd.DataFrame) -> None:
    rows = summary.xs("auroc", level="metric")
    assert rows.loc["msn+g", "family"] == rows.loc["msn+ehr.sex.shuffled", "family"] == "control"
    sizes = rows.dropna(subset="p_holm").groupby("family")["comparisons"].unique().explode().to_dict()
    assert sizes == {"ehr": 3, "control": 2, "baseline": 1}
    smallest = rows[rows["family"] == "ehr"]["p_paired"].idxmin()
    assert rows.loc[smallest, "p_holm"] == pytest.approx(min(1, 3 * rows.loc[smallest, "p_paired"]))


@pytest.mark.parametrize(
    ("difference", "p", "mark"),
    [
        (0.01, 0.0009, "∗"),
        (0.01, 0.001, "†"),
        (0.01, 0.049, "†"),
        (0.01, 0.05, ""),
        (-0.01, 0.0, ""),
        (0.01, np.nan, ""),
    ],
)
def test_only_improvements_are_marked(difference: float, p: float, mark: str) -> None:
    nothing = float("nan")
    assert Comparison(difference, nothing, nothing, nothing, p, nothing).mark == mark


def test_rows_come_in_the_papers_order_with_controls_last() -> None:
    shuffled = [describe(name) for name in reversed(STRENGTHS)]
    order = [run.method for run in in_paper_order(shuffled, "msn")]
    assert order == [
        "random-init",
        "msn",
        "msn+ehr.sex",
        "msn+ehr.age",
        "msn+ehr.mort",
        "msn+ehr.D & <set>",
        "msn+g",
        "msn+ehr.sex.shuffled",
    ]


def test_a_run_without_predictions_keeps_an_empty_row_with_the_reason(summary: pd.DataFrame) -> None:
    row = summary.loc[("msn+ehr.age", "auroc")]
    assert row["missing"] == MISSING
    assert row[["value", "lo", "hi", "difference", "p_holm"]].isna().all()
    assert summary["missing"].ne("").sum() == 2


def test_a_label_without_a_positive_is_reported_and_left_out(results: Statistics, summary: pd.DataFrame) -> None:
    assert set(summary["labels_excluded"]) == {WITHOUT_POSITIVE}
    facts = Facts.of(results.summary, "summary.parquet")
    assert (facts.images, facts.labels, facts.excluded) == (IMAGES, 14, {WITHOUT_POSITIVE: "no positive image"})
    labels = results.labels.to_pandas()
    excluded = labels[labels["label"] == WITHOUT_POSITIVE]
    assert (excluded["excluded"] == "no positive image").all()
    assert excluded[["auroc", "auprc", "auroc_lo", "p_delong"]].isna().all(axis=None)


def test_tables_have_their_schemas_and_no_row_of_an_image(study: FakeStudy, results: Statistics) -> None:
    assert results.summary.schema.equals(SUMMARY)
    assert results.labels.schema.equals(LABEL_SCHEMA)
    assert results.summary.num_rows == len(study.runs) * 2
    assert results.labels.num_rows == len(study.judged) * 14
    assert not {"dicom_id", "subject_id"} & {*SUMMARY.names, *LABEL_SCHEMA.names}


def test_the_same_seed_gives_the_same_tables_and_another_seed_other_intervals() -> None:
    study = fake_study({"msn": 0.8, "msn+ehr.sex": 1.2})
    first, again = study.summarise(), study.summarise()
    assert first.summary.equals(again.summary)
    assert first.labels.equals(again.labels)
    other = study.summary(FEW.model_copy(update={"seed": 4}))
    assert first.summary.to_pandas()["value"].equals(other["value"])
    assert not first.summary.to_pandas()["lo"].equals(other["lo"])


def test_seeds_are_compared_with_the_same_seed_and_averaged() -> None:
    rows = fake_study({"msn": 0.8, "msn+ehr.sex": 1.2}, seeds=(0, 1, 2)).summary()
    rows = rows[rows["metric"] == "auroc"]
    single, mean = rows[rows["seed"].notna()], rows[rows["seed"].isna()].set_index("method")
    values = single.pivot_table(index="seed", columns="method", values="value")
    assert np.allclose(mean["value"], values.mean()[mean.index])
    assert mean.loc["msn+ehr.sex", "seeds"] == 3
    expected = stats.ttest_rel(values["msn+ehr.sex"], values["msn"]).pvalue
    assert mean.loc["msn+ehr.sex", "p_seeds"] == pytest.approx(expected)
    differences = single[single["method"] != "msn"].set_index("seed")["difference"]
    assert np.allclose(differences, (values["msn+ehr.sex"] - values["msn"]))


def test_a_mean_over_other_seeds_than_the_references_is_not_compared() -> None:
    study = fake_study({"msn": 0.8, "msn+ehr.sex": 1.2}, seeds=(0, 1, 2))
    without = FakeStudy(study.runs, [item for item in study.judged if item[0].id != "vit-small/msn/seed2"])
    rows = without.summary()
    mean = rows[(rows["method"] == "msn+ehr.sex") & rows["seed"].isna()]
    assert mean["value"].notna().all()
    assert mean["difference"].isna().all()


def test_nothing_to_measure_is_an_error_that_says_so(study: FakeStudy) -> None:
    run, predictions = study.judged[0]
    no_positive = replace(predictions, targets=np.zeros_like(predictions.targets))
    with pytest.raises(UserError, match="no label has both"):
        summarise([run], [(run, no_positive)], FEW)
    with pytest.raises(UserError, match="none of the runs has predictions"):
        summarise([run], [], FEW)
    other = run.model_copy(update={"backbone": "vit-tiny", "id": "other"})
    with pytest.raises(UserError, match="vit-small, vit-tiny"):
        summarise([run, other], [], FEW)
