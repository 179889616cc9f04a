"""Few training images: what statistics, table and curves make of models trained on subsets."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import ttest_rel
from sklearn.metrics import average_precision_score, roc_auc_score
from typer.testing import CliRunner

from mmsn.cli import app
from mmsn.errors import UserError
from mmsn.evaluation.data import LabelledImages
from mmsn.evaluation.tables import predictions_table
from mmsn.figures.learning_curves import curves
from mmsn.files import write_table
from mmsn.labels import LABELS
from mmsn.lineage import UNTRAINED_LABELS
from mmsn.reporting.captions import Setting
from mmsn.reporting.low_data import (
    excluded_labels,
    measure_subsets,
    subset_path,
    summarise_subsets,
    with_published,
)
from mmsn.reporting.low_data_draws import replicates_of_draws
from mmsn.reporting.low_data_intervals import with_intervals
from mmsn.reporting.low_data_stored import LABELS as LABELS_KEPT
from mmsn.reporting.low_data_stored import SUMMARY
from mmsn.reporting.low_data_table import low_data_tables
from mmsn.reporting.predictions import from_table
from mmsn.reporting.schemas import Facts, read_stored
from mmsn.reporting.settings import StatisticsSettings
from mmsn.statistics.bootstrap import image_resamples, patient_resamples
from mmsn.study import load_study
from mmsn.study_command import merged
from tests.unit.test_evaluation_subsets import SHARES
from tests.unit.test_reporting import describe

ROOT = Path(__file__).parents[2]


METHODS = ("msn", "msn+ehr.sex")


@pytest.fixture
def stored(tmp_path):
    """Predictions of two methods, two shares, three draws; draw 1 of 1 % could not teach Fracture."""
    random = np.random.default_rng(0)
    test_set = LabelledImages(
        np.array([f"t{i:02d}" for i in range(60)], dtype=object),
        np.arange(60) // 2,
        random.integers(0, 2, (60, 14)).astype(np.float32),
        np.arange(60),
    )
    test_set.targets[:, LABELS.index("Pleural Other")] = 0
    runs = [
        describe(method).model_copy(
            update={"predictions": tmp_path / "{percent}pct" / f"draw{{draw}}-{method}.parquet"}
        )
        for method in METHODS
    ]
    for run in runs:
        for share in (0.01, 0.1):
            for draw in range(3):
                noise = random.random((60, 14)).astype(np.float32)
                table = predictions_table(test_set, 0.3 * test_set.targets * share * 10 + noise * 0.7)
                untrained = {UNTRAINED_LABELS: json.dumps({"Fracture": "no positive image"})}
                metadata = untrained if (share, draw) == (0.01, 1) else {}
                write_table(subset_path(run, share, draw), table, metadata)
    return runs


def _read(path):
    return from_table(pq.read_table(path), str(path))


def _macro(run, share, draw, left_out, measure):
    rows = pd.read_parquet(subset_path(run, share, draw))
    rows = rows[~rows.label.isin(left_out)]
    return np.mean([measure(own.target, own.score) for _, own in rows.groupby("label", observed=True)])


def test_the_table_is_what_scikit_learn_makes_of_every_subset(stored):
    rows = summarise_subsets(measure_subsets(stored, (0.01, 0.1), 3, "msn", _read).labels)
    assert len(rows) == 2 * 2 * 2
    for share, left_out in ((0.01, ["Fracture", "Pleural Other"]), (0.1, ["Pleural Other"])):
        for run in stored:
            auroc, auprc = (
                [_macro(run, share, draw, left_out, measure) for draw in range(3)]
                for measure in (roc_auc_score, average_precision_score)
            )
            own = rows[(rows.method == run.method) & (rows.share == share)].set_index("metric")
            best = int(np.argmax(auroc))
            assert set(own.best_draw) == {best}
            for metric, values in (("auroc", auroc), ("auprc", auprc)):
                shown = own.loc[metric, ["best", "mean", "sd"]].astype(float)
                expected = [values[best], np.mean(values), np.std(values, ddof=1)]
                np.testing.assert_allclose(shown, expected, atol=1e-12)
            assert set(own.labels_excluded.str.split("; ").map(sorted).map(tuple)) == {tuple(left_out)}
            assert set(own.labels_used) == {14 - len(left_out)}


def test_a_label_one_subset_cannot_teach_leaves_every_mean_of_its_share(stored):
    labels = measure_subsets(stored, (0.01, 0.1), 3, "msn", _read).labels
    fracture = labels[labels.label == "Fracture"]
    assert set(fracture[fracture.excluded != ""].draw) == {1}
    assert "no positive image to train on" in set(fracture.excluded)


def test_nothing_left_to_judge_is_one_clear_line(stored):
    labels = measure_subsets(stored, (0.01,), 1, "msn", _read).labels.assign(excluded="no positive image")
    with pytest.raises(UserError, match=r"1 % of the training images: no label is left .* raise low_data\.shares"):
        summarise_subsets(labels)


def test_published_values_stand_beside_the_papers_shares(stored):
    rows = summarise_subsets(measure_subsets(stored, (0.01, 0.1), 3, "msn", _read).labels)
    joined = with_published(rows, "finetune", "mimic-cxr").set_index(["method", "share", "metric"])
    assert joined.published_value.notna().all()
    assert joined.published_value["msn", 0.01, "auroc"] == 0.707
    assert joined.published_value["msn+ehr.sex", 0.1, "auprc"] == 0.329
    assert set(joined.published_table) == {"C3"}
    assert with_published(rows, "linear", "mimic-cxr").published_value.isna().all()


def test_the_verb_writes_every_form_and_says_what_is_left_out(stored, tmp_path):
    made = [f"--output-{name}={tmp_path / 'table'}.{end}" for name, end in (("csv", "csv"), ("markdown", "md"))]
    assert _statistics(stored, tmp_path, '{"shares": [0.01, 0.1], "draws": 3}').exit_code == 0
    kept = [f"--{name}={tmp_path / name}.parquet" for name in ("summary", "labels")]
    more = ("--protocol", "finetune", "--dataset", "mimic-cxr", "--output-html", str(tmp_path / "table.html"))
    done = CliRunner().invoke(app, ["report", "low-data", "--settings", "{}", *kept, *more, *made])
    assert done.exit_code == 0, done.output
    text = (tmp_path / "table.md").read_text()
    for heading in ("best of 3", "mean", "sd", "mean vs MSN", "p (Holm)"):
        assert f" {heading} |" in text
    assert "Fracture (no positive image to train on)" in text
    assert len(pd.read_csv(tmp_path / "table.csv")) == 8


def _statistics(stored, folder, settings):
    """Of the runs, whose first subset of the largest share stands for that of all training images."""
    made = [f"--output-{name}={folder / name}.parquet" for name in ("summary", "labels", "replicates")]
    patterns = {str(run.predictions).replace(run.method, "{run}") for run in stored}
    assert len(patterns) == 1
    whole = [run.model_copy(update={"id": run.method, "predictions": subset_path(run, 0.1, 0)}) for run in stored]
    runs = json.dumps([run.model_dump(mode="json") for run in whole])
    given = ("--runs", runs, "--subset-predictions", *patterns, "--settings", settings, "--baseline", "msn")
    drawn = ("--statistics", '{"resamples": 40, "seed": 4}')
    return CliRunner().invoke(app, ["report", "low-data-statistics", *given, *drawn, *made])


def test_what_is_kept_is_what_was_measured(stored, tmp_path):
    assert _statistics(stored, tmp_path, '{"shares": [0.01, 0.1], "draws": 3}').exit_code == 0
    rows, measured = _with_intervals(stored)
    kept, facts = read_stored(tmp_path / "summary.parquet", SUMMARY)
    assert list(kept) == list(rows)
    empty = ["feature_set", "control"]  # null where a method has none
    pd.testing.assert_frame_equal(kept.drop(columns=empty), rows.drop(columns=empty), check_dtype=False)
    assert (kept[empty].fillna("") == rows[empty].fillna("")).all(axis=None)
    labels, _ = read_stored(tmp_path / "labels.parquet", LABELS_KEPT)
    assert excluded_labels(labels, 0.01) == excluded_labels(measured.labels, 0.01) != {}
    few = labels[labels.share < 1].reset_index(drop=True)
    pd.testing.assert_frame_equal(few, measured.labels[list(labels)], check_dtype=False)
    assert (facts.images, facts.patients) == (measured.images, measured.patients)
    assert (facts.resamples, facts.baseline) == (40, "msn")


def test_the_hundred_percent_of_the_curves_come_from_the_predictions_with_all_images(stored, tmp_path):
    assert _statistics(stored, tmp_path, '{"shares": [0.01, 0.1], "draws": 3}').exit_code == 0
    labels, _ = read_stored(tmp_path / "labels.parquet", LABELS_KEPT)
    own = labels[labels.label != "Fracture"].set_index(["method", "label"])
    given = own[(own.share == 0.1) & (own.draw == 0)].auroc
    assert own[own.share == 1].auroc.equals(given)
    rows, out = curves(labels)
    assert rows.groupby("share")["draw"].nunique().to_dict() == {0.01: 3, 0.1: 3, 1.0: 1}
    assert set(out) == {"Fracture", "Pleural Other"}


def test_models_of_all_images_judged_on_other_ones_are_refused(stored, tmp_path):
    table = pq.read_table(subset_path(stored[0], 0.1, 0)).to_pandas()
    fewer = table[table.dicom_id != table.dicom_id.iloc[0]]
    write_table(tmp_path / "whole.parquet", pa.Table.from_pandas(fewer, preserve_index=False))
    whole = [stored[0].model_copy(update={"predictions": tmp_path / "whole.parquet"})]
    with pytest.raises(UserError, match="not judged on the same test set"):
        measure_subsets(stored[:1], (0.01,), 1, "msn", _read, whole=whole)


@pytest.mark.parametrize("swapped", ["labels", "replicates"])
def test_another_file_is_not_taken_for_kept_statistics(stored, tmp_path, swapped):
    assert _statistics(stored, tmp_path, '{"shares": [0.01, 0.1], "draws": 3}').exit_code == 0
    with pytest.raises(UserError, match=r"column .* is missing, so it is another file of statistics"):
        read_stored(tmp_path / f"{swapped}.parquet", SUMMARY)


def test_a_file_that_is_no_statistics_or_is_not_there_is_named(tmp_path):
    write_table(tmp_path / "other.parquet", pa.table({"share": [0.1]}))
    with pytest.raises(UserError, match=r"other\.parquet: not a table of"):
        read_stored(tmp_path / "other.parquet", SUMMARY)
    with pytest.raises(UserError, match=r"absent\.parquet does not exist"):
        read_stored(tmp_path / "absent.parquet", SUMMARY)


STATISTICS = StatisticsSettings(resamples=40, seed=4)
FACTS = Facts(500, 200, 14, {}, 40, 0.95, 4, "msn")


def _with_intervals(runs, statistics=STATISTICS):
    measured = measure_subsets(runs, (0.01, 0.1), 3, "msn", _read, statistics)
    return with_intervals(summarise_subsets(measured.labels), measured, "msn", statistics.level), measured


def _scores_of(run, share, draw):
    """Targets and scores [N, L] of a subset's predictions, images by name, labels of that share alone."""
    predictions = from_table(pq.read_table(subset_path(run, share, draw)), "")
    left_out = ["Fracture", "Pleural Other"] if share == 0.01 else ["Pleural Other"]
    kept = [name not in left_out for name in predictions.labels]
    return predictions.targets[:, kept], predictions.scores[:, kept], predictions.patients


def test_intervals_are_percentiles_of_scikit_learns_macro_means_in_resamples_of_patients(stored):
    rows, _ = _with_intervals(stored)
    row = rows[(rows.method == "msn") & (rows.share == 0.1) & (rows.metric == "auroc")].iloc[0]
    expected = []
    for draw in range(3):
        targets, scores, patients = _scores_of(stored[0], 0.1, draw)
        weights = patient_resamples(patients, 40, seed=4)
        expected.append([roc_auc_score(targets, scores, sample_weight=weight) for weight in weights])
    assert np.quantile(expected[row.best_draw], [0.025, 0.975]) == pytest.approx(
        [row.best_lo_patient, row.best_hi_patient]
    )
    assert np.quantile(np.mean(expected, axis=0), [0.025, 0.975]) == pytest.approx(
        [row.mean_lo_patient, row.mean_hi_patient]
    )
    assert row.mean_lo_patient < row["mean"] < row.mean_hi_patient
    targets, scores, _ = _scores_of(stored[0], 0.1, row.best_draw)
    published = [
        roc_auc_score(targets, scores, sample_weight=weight) for weight in image_resamples(len(targets), 40, 4)
    ]
    assert np.quantile(published, [0.025, 0.975]) == pytest.approx([row.best_lo, row.best_hi])


def test_means_over_the_same_subsets_are_compared_with_the_reference(stored):
    rows, measured = _with_intervals(stored)
    compared = rows[rows.method != "msn"]
    assert rows[rows.method == "msn"].difference.isna().all()
    for row in compared.itertuples():
        theirs = rows[(rows.method == "msn") & (rows.share == row.share) & (rows.metric == row.metric)].iloc[0]
        assert row.difference == pytest.approx(row.mean - theirs["mean"])
        assert row.difference_lo < row.difference < row.difference_hi
        assert row.p_holm == row.p_paired  # one comparison a share
        draws = [
            [
                _macro(run, row.share, draw, ["Fracture", "Pleural Other"][row.share > 0.05 :], measure)
                for draw in range(3)
            ]
            for run in stored[::-1]
            for measure in [roc_auc_score if row.metric == "auroc" else average_precision_score]
        ]
        assert row.p_draws == pytest.approx(ttest_rel(*draws).pvalue)
    assert len(measured.of_patients) == 2 * 2 * 3
    assert len(measured.of_images) == 2 * 2  # of the best draws


def _three_seeds(stored, folder):
    """Every method with three seeds, whose predictions differ by noise of their own."""
    random, runs = np.random.default_rng(7), []
    for run in stored:
        for seed in range(3):
            path = folder / f"seed{seed}" / "{percent}pct" / f"draw{{draw}}-{run.method}.parquet"
            runs.append(run.model_copy(update={"seed": seed, "id": f"{run.id}-{seed}", "predictions": path}))
            for share in (0.01, 0.1):
                for draw in range(3):
                    table = pq.read_table(subset_path(run, share, draw)).to_pandas()
                    scores = (0.9 * table.score + 0.1 * random.random(len(table))).astype(np.float32)
                    write_table(subset_path(runs[-1], share, draw), pa.table(table.assign(score=scores)))
    return runs


def test_several_seeds_have_a_spread_and_a_paired_t_test_in_csv_table_and_caption(stored, tmp_path):
    runs = _three_seeds(stored, tmp_path)
    rows, measured = _with_intervals(runs)
    own = rows[(rows.share == 0.1) & (rows.metric == "auroc")].set_index("method")
    left_out = ["Pleural Other"]
    by_seed = {
        method: [
            np.mean([_macro(run, 0.1, draw, left_out, roc_auc_score) for draw in range(3)])
            for run in runs
            if run.method == method
        ]
        for method in METHODS
    }
    for method, values in by_seed.items():
        assert own.sd_seeds[method] == pytest.approx(np.std(values, ddof=1))
    expected = ttest_rel(by_seed["msn+ehr.sex"], by_seed["msn"])
    assert own.p_seeds["msn+ehr.sex"] == pytest.approx(expected.pvalue)
    ends = own.loc["msn+ehr.sex", ["difference_lo_seeds", "difference_hi_seeds"]].astype(float)
    assert ends.tolist() == pytest.approx(list(expected.confidence_interval(0.95)))
    assert np.isnan(own.p_seeds["msn"])
    joined = with_published(rows, "finetune", "mimic-cxr")
    setting = Setting("finetune", "mimic-cxr", "ViT-S")
    table = low_data_tables(joined, measured.labels, FACTS, setting, "patient")[0]
    assert {"sd over seeds", "p (seeds)"} < {column.header for column in table.columns}
    assert "not of training again" in " ".join(table.caption)


def test_one_seed_has_neither_spread_nor_t_test_over_seeds(stored):
    rows, measured = _with_intervals(stored)
    assert rows[["sd_seeds", "p_seeds", "p_seeds_holm"]].isna().all(axis=None)
    joined = with_published(rows, "finetune", "mimic-cxr")
    table = low_data_tables(joined, measured.labels, FACTS, Setting("finetune", "mimic-cxr", "ViT-S"), "patient")[0]
    assert not {"sd over seeds", "p (seeds)"} & {column.header for column in table.columns}


def test_kept_replicates_give_the_difference_and_interval_of_the_table(stored):
    rows, measured = _with_intervals(stored)
    kept = {(row["method"], row["share"], row["metric"]): row for row in replicates_of_draws(measured).to_pylist()}
    compared = rows[rows.method != "msn"]
    assert len(kept) == len(rows)
    for row in compared.itertuples():
        own, reference = (kept[method, row.share, row.metric] for method in (row.method, "msn"))
        assert np.mean(own["values"]) - np.mean(reference["values"]) == pytest.approx(row.difference)
        differences = np.subtract(own["of_patients"], reference["of_patients"])
        assert np.quantile(differences, [0.025, 0.975]) == pytest.approx([row.difference_lo, row.difference_hi])


def test_one_test_patient_has_no_interval_and_says_so(stored, tmp_path):
    for share in (0.01, 0.1):
        for draw in range(3):
            path = subset_path(stored[0], share, draw)
            table = pq.read_table(path)
            alone = table.set_column(1, table.schema.field(1), pa.array(np.ones(len(table), np.int64)))
            pq.write_table(alone, path)
    with pytest.raises(UserError, match="1 patient in the test set; intervals need at least two: enlarge it"):
        measure_subsets(stored[:1], (0.01, 0.1), 3, "msn", _read, STATISTICS)


def test_a_missing_subset_is_named(stored, tmp_path):
    done = _statistics(stored, tmp_path, '{"shares": [0.05], "draws": 1}')
    assert done.exit_code == 2
    assert "5pct/draw0-msn.parquet does not exist" in done.output


@pytest.fixture
def config():
    return merged([ROOT / "config.yaml"])


def test_the_full_study_has_the_papers_shares_and_draws(config):
    study = load_study(config)
    assert (study.low_data.shares, study.low_data.draws) == (SHARES, 5)
    assert study.low_data_methods("finetune") == study.evaluated("finetune")
    assert study.low_data_methods("linear") == ()


def test_few_images_need_the_best_setting_of_all_images(config):
    low_data = {"protocols": ["linear", "finetune"], "methods": ["dino"]}
    with pytest.raises(UserError, match=r"low_data\.methods: 'dino' is not among the methods to choose from: msn"):
        load_study({**config, "finetune": {"methods": ["msn"]}, "low_data": low_data})
    study = load_study({**config, "low_data": low_data})
    assert [method.id for method in study.low_data_methods("linear")] == ["dino"]


@pytest.mark.parametrize("shares", [[0.1, 0.1], [1.0], [0.0], []])
def test_shares_are_parts_and_each_is_named_once(config, shares):
    with pytest.raises(UserError, match=r"low_data\.shares"):
        load_study({**config, "low_data": {"shares": shares}})
