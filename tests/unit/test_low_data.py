"""Few training images: subsets drawn by patient or image, nested, and what the table makes of them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score
from typer.testing import CliRunner

from mmsn.cli import app
from mmsn.errors import UserError
from mmsn.evaluation.data import LabelledImages
from mmsn.evaluation.settings import Subset
from mmsn.evaluation.subsets import draw_rows, draw_subset, missing_classes
from mmsn.evaluation.tables import predictions_table
from mmsn.files import write_table
from mmsn.labels import LABELS
from mmsn.lineage import UNTRAINED_LABELS
from mmsn.reporting.low_data import measure_subsets, subset_path, summarise_subsets, with_published
from mmsn.study import load_study
from mmsn.study_command import merged
from tests.unit.test_reporting import describe

ROOT = Path(__file__).parents[2]
SHARES = (0.01, 0.05, 0.1)


def _images(patients, seed=0):
    """Images of patients with between one and nine each, in random order."""
    random = np.random.default_rng(seed)
    subjects = random.permutation(np.repeat(np.arange(patients) + 10_000_000, random.integers(1, 10, patients)))
    ids = np.array([f"d{i:05d}" for i in range(len(subjects))], dtype=object)
    targets = random.integers(0, 2, (len(subjects), len(LABELS))).astype(np.float32)
    return LabelledImages(ids, subjects, targets, np.arange(len(subjects)))


@given(patients=st.integers(1, 60), draw=st.integers(0, 9), by=st.sampled_from(["patient", "image"]))
@settings(max_examples=60, deadline=None)
def test_smaller_shares_lie_inside_larger_ones(patients, draw, by):
    images = _images(patients, seed=draw)
    parts = [set(draw_subset(images, Subset(share=share, draw=draw, by=by)).images.dicom_ids) for share in SHARES]
    assert parts[0] <= parts[1] <= parts[2]
    assert parts[0]


@given(patients=st.integers(2, 60), share=st.floats(0.01, 0.9), draw=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_a_patient_is_drawn_with_all_images_or_not_at_all(patients, share, draw):
    images = _images(patients)
    drawn = draw_subset(images, Subset(share=share, draw=draw)).images
    inside = np.isin(images.subject_ids, drawn.subject_ids)
    assert set(images.dicom_ids[inside]) == set(drawn.dicom_ids)
    wanted = max(1, round(share * len(images)))
    assert wanted <= len(drawn) < wanted + 9  # the last patient has nine images at most


def test_by_image_the_share_is_exact_and_patients_are_cut_apart():
    images = _images(300)
    drawn = draw_subset(images, Subset(share=0.1, draw=0, by="image")).images
    assert len(drawn) == round(0.1 * len(images))
    others = np.setdiff1d(images.dicom_ids, drawn.dicom_ids)
    assert np.isin(images.subject_ids[np.isin(images.dicom_ids, others)], drawn.subject_ids).any()


def test_a_draw_is_a_seed():
    images = _images(300)
    drawn = [set(draw_subset(images, Subset(share=0.1, draw=draw)).images.dicom_ids) for draw in (0, 0, 1, 2)]
    assert drawn[0] == drawn[1]
    assert len({frozenset(one) for one in drawn}) == 3


def test_the_order_of_rows_does_not_matter():
    images = _images(100)
    shuffled = np.random.default_rng(1).permutation(len(images))
    rows = draw_rows(images.subject_ids, 0.1, 3)
    again = draw_rows(images.subject_ids[shuffled], 0.1, 3)
    assert set(images.dicom_ids[rows]) == set(images.dicom_ids[shuffled][again])


def test_every_image_is_equally_likely():
    units = np.arange(40)
    counts = np.zeros(40)
    for draw in range(2000):
        counts[draw_rows(units, 0.1, draw)] += 1
    assert counts.sum() == 2000 * 4
    assert np.abs(counts - 200).max() < 5 * np.sqrt(200 * 0.9)


def test_a_label_without_a_positive_is_left_out_and_said():
    images = _images(100)
    images.targets[:, LABELS.index("Fracture")] = 0
    images.targets[:, LABELS.index("Edema")] = 1
    images.targets[:, LABELS.index("Pneumonia")] = np.nan
    drawn = draw_subset(images, Subset(share=0.5, draw=0))
    expected = {"Edema": "no negative image", "Fracture": "no positive image", "Pneumonia": "no positive image"}
    assert drawn.untrained == expected
    silent = np.isnan(drawn.images.targets).all(axis=0)
    assert {LABELS[label] for label in np.flatnonzero(silent)} == set(expected)
    assert not np.isnan(images.targets[:, LABELS.index("Fracture")]).any()  # the whole split stays as it was


def test_a_split_with_all_classes_has_nothing_missing():
    assert missing_classes(np.array([[0] * 14, [1] * 14], np.float32)) == {}


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
    return pq.read_table(path)


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
    runs = json.dumps([run.model_dump(mode="json") for run in stored])
    given = ("--runs", runs, "--settings", '{"shares": [0.01, 0.1], "draws": 3}', "--baseline", "msn")
    more = ("--protocol", "finetune", "--dataset", "mimic-cxr", "--output-html", str(tmp_path / "table.html"))
    done = CliRunner().invoke(app, ["report", "low-data", *given, *more, *made])
    assert done.exit_code == 0, done.output
    text = (tmp_path / "table.md").read_text()
    assert "best of 3" in text
    assert "mean ± sd" in text
    assert "Fracture (no positive image to train on)" in text
    assert len(pd.read_csv(tmp_path / "table.csv")) == 8


def test_a_missing_subset_is_named(stored, tmp_path):
    runs = json.dumps([run.model_dump(mode="json") for run in stored])
    given = ("--runs", runs, "--settings", '{"shares": [0.05], "draws": 1}', "--baseline", "msn")
    more = ("--protocol", "finetune", "--dataset", "mimic-cxr", "--output-html", str(tmp_path / "table.html"))
    made = ("--output-csv", str(tmp_path / "t.csv"), "--output-markdown", str(tmp_path / "t.md"))
    done = CliRunner().invoke(app, ["report", "low-data", *given, *more, *made])
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
