"""Bad input of evaluation, through the verbs: one clear line or a reported exclusion, never a silent NaN."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors import safe_open
from safetensors.torch import load_file
from typer.testing import CliRunner

from mmsn.cli import app
from mmsn.evaluation.data import LabelledImages
from mmsn.evaluation.subsets import taught
from mmsn.files import write_table
from mmsn.labels import LABELS
from mmsn.lineage import UNTRAINED_LABELS
from mmsn.reporting.schemas import Facts
from mmsn.sealed import SEAL, write_sealed
from tests.unit.evaluation_parts import RUNS, evaluation_files, make_cohort
from tests.unit.test_reporting import describe, fake_study, long_form

LINEAR = json.dumps({"runs": RUNS, "views": {"resize": 20, "crop": 16}, "batch_size": 8, "max_epochs": 2})
PLACE = ("--protocol", "linear", "--dataset", "mimic-cxr")
FRACTURE = LABELS.index("Fracture")


def verb(*words, code=0):
    """Run a verb; returns what it printed, in one line."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output
    return " ".join(done.output.split())


@pytest.fixture
def cohort(tmp_path):
    return make_cohort(tmp_path)


def without(folder, *labels, split, value=0.0):
    """Give some labels one value in a split of images.parquet."""
    path = folder / "images.parquet"
    rows = pd.read_parquet(path)
    rows.loc[rows["split"] == split, list(labels)] = np.float32(value)
    write_table(path, pa.Table.from_pandas(rows, preserve_index=False))


def evaluate(folder, code=0, protocol="linear"):
    """Judge a small encoder, as a rule does."""
    files = evaluation_files(folder, "run")
    paths = ("--encoder", files.encoder, "--images", files.images, "--store", files.store)
    made = ("--output-predictions", files.predictions, "--output-runs", files.runs, "--checkpoint", files.checkpoint)
    said = verb("evaluate", protocol, *paths, *made, "--settings", LINEAR, "--seed", 0, "--device", "cpu", code=code)
    assert files.predictions.exists() == (code == 0)
    return said, files.predictions


def statistics(folder, runs, code=0):
    """The tables of stored runs: what was printed, the summary and the labels."""
    made = [folder / name for name in ("summary.parquet", "labels.parquet")]
    settings = ("--settings", '{"resamples": 40}', "--output-summary", made[0], "--output-labels", made[1])
    said = verb("report", "statistics", "--runs", runs, *settings, code=code)
    assert all(path.exists() == (code == 0) for path in made)
    return (said, *(pd.read_parquet(path) for path in made)) if code == 0 else said


def described(*runs):
    return json.dumps([describe(method).model_dump(mode="json") | {"predictions": str(path)} for method, path in runs])


def study(folder, change, methods=("msn", "msn+ehr.sex"), metadata=None):
    """Predictions of two models, the last one's changed; returns `--runs`."""
    judged = fake_study(dict.fromkeys(methods, 1.0)).judged
    stored = []
    for place, (run, predictions) in enumerate(judged):
        path, last = folder / f"{place}.parquet", place == len(judged) - 1
        write_table(path, long_form(change(predictions) if last else predictions), metadata if last else {})
        stored.append((run.method, path))
    return described(*stored)


def test_a_label_that_training_images_cannot_teach_is_left_out_and_said_everywhere(cohort, tmp_path):
    without(cohort, "Fracture", split="train")
    said, predictions = evaluate(cohort)
    assert "labels that the training images cannot teach are left out: Fracture (no positive image)" in said
    stored = json.loads(pq.read_schema(predictions).metadata[UNTRAINED_LABELS.encode()])
    assert stored == {"Fracture": "no positive image"}
    _, summary, labels = statistics(tmp_path, described(("msn", predictions)))
    row = labels[labels["label"] == "Fracture"].iloc[0]
    assert row["excluded"] == "no positive image to train on"
    assert row[["auroc", "auroc_lo", "auroc_hi_patient"]].isna().all()
    others = labels[labels["label"] != "Fracture"]
    assert set(summary["labels_excluded"]) == {"Fracture"}
    assert summary.loc[summary["metric"] == "auroc", "value"].item() == pytest.approx(others["auroc"].mean())


def test_the_head_learns_nothing_of_a_label_that_it_cannot_learn():
    targets = np.tile([[0.0, 1.0, 0.0]], (6, 1)).astype(np.float32)
    targets[0, 0] = 1
    ids = np.arange(6)
    drawn = taught(LabelledImages(ids.astype(object), ids, targets, ids, ("A", "B", "C")))
    assert drawn.untrained == {"B": "no negative image", "C": "no positive image"}
    assert np.isnan(drawn.images.targets[:, 1:]).all()
    assert targets[0].tolist() == [1, 1, 0]  # the whole split stays as it was


def test_models_that_learned_other_labels_are_not_compared(tmp_path):
    untrained = {UNTRAINED_LABELS: json.dumps({"Edema": "no positive image"})}
    said = statistics(tmp_path, study(tmp_path, lambda predictions: predictions, metadata=untrained), code=2)
    assert "were not trained on the same labels: only one of them had both classes of Edema" in said


def test_training_images_of_one_class_stop_an_evaluation(cohort):
    without(cohort, *LABELS, split="train")
    assert "none of the labels has both classes among the training images: enlarge that split" in evaluate(cohort, 2)[0]


@pytest.mark.parametrize("protocol", ["linear", "finetune"])
def test_a_label_that_validation_images_lack_has_no_part_in_the_choice_and_is_named(cohort, protocol):
    without(cohort, "Edema", split="validate")
    without(cohort, "Pneumonia", split="validate", value=1.0)
    said, predictions = evaluate(cohort, protocol=protocol)
    assert "Edema (no positive image), Pneumonia (no negative image)" in said
    assert "no part in the validation AUROC" in said
    assert UNTRAINED_LABELS.encode() not in (pq.read_schema(predictions).metadata or {})


def test_validation_images_of_one_class_stop_an_evaluation(cohort):
    without(cohort, *LABELS, split="validate")
    assert "no label has a positive and a negative among the validation images: enlarge" in evaluate(cohort, 2)[0]


def test_a_label_that_test_images_lack_is_excluded_with_the_reason(cohort, tmp_path):
    without(cohort, "Edema", split="test")
    _, predictions = evaluate(cohort)
    _, summary, labels = statistics(tmp_path, described(("msn", predictions)))
    assert labels.set_index("label").loc["Edema", "excluded"] == "no positive image"
    assert set(summary["labels_excluded"]) == {"Edema"}
    assert summary["value"].notna().all()
    assert Facts.of(pq.read_table(tmp_path / "summary.parquet"), "").excluded == {"Edema": "no positive image"}


def test_an_encoder_that_gives_no_numbers_is_one_line(cohort):
    evaluation_files(cohort, "run")
    path = cohort / "encoder.safetensors"

    with safe_open(path, framework="pt") as opened:
        metadata = opened.metadata()
    weights = load_file(path)
    weights["norm.weight"][0] = float("nan")
    del metadata[SEAL]  # it would say so first
    write_sealed(path, weights, metadata)
    files = {"--encoder": path, "--images": cohort / "images.parquet", "--store": cohort}
    made = {f"--{name}": cohort / f"x-{name}" for name in ("output-predictions", "output-runs", "checkpoint")}
    words = [word for pair in (files | made).items() for word in pair]
    said = verb("evaluate", "linear", *words, "--settings", LINEAR, "--seed", 0, "--device", "cpu", code=2)
    assert "scores of validation images are not finite" in said
    assert not (cohort / "x-output-predictions").exists()


def test_a_test_set_of_one_patient_is_one_line(cohort, tmp_path):
    def alone(predictions):
        return replace(predictions, patients=np.full(len(predictions.images), 7))

    runs = study(tmp_path, alone, methods=("msn",))
    assert "1 patient in the test set; intervals need at least two: enlarge it" in statistics(tmp_path, runs, code=2)
    made = ("--output", tmp_path / "groups.parquet", "--images", _cohort_of(tmp_path, patients=[7]))
    assert "1 patient in the test set" in verb("represent", "groups", "--runs", runs, *made, code=2)


def test_a_constant_score_is_half_an_auroc_and_named(tmp_path):
    def constant(predictions):
        scores = predictions.scores.copy()
        scores[:, LABELS.index("Edema")] = 0.25
        return replace(predictions, scores=scores)

    said, summary, labels = statistics(tmp_path, study(tmp_path, constant))
    assert "every test image has one score for Edema" in said
    row = labels[(labels["method"] == "msn+ehr.sex") & (labels["label"] == "Edema")].iloc[0]
    assert (row["auroc"], row["auroc_lo"], row["auroc_hi"], row["remark"]) == (0.5, 0.5, 0.5, "constant score")
    assert row[["p_delong", "p_delong_images", "p_permutation"]].between(0, 1).all()
    assert summary.loc[summary["method"] == "msn+ehr.sex", "p_paired"].between(0, 1).all()
    table = _label_table(tmp_path)
    assert "One score for every image, so an AUROC of 0.5 whatever they show: Edema of MSN + sex." in table


def test_a_test_that_is_not_possible_says_why_in_place_of_its_p(tmp_path):
    """One model right about everything, the other about nothing: no variance to compare them by."""
    judged = fake_study({"msn": 1.0, "msn+ehr.sex": 1.0}).judged
    perfect = np.nan_to_num(judged[0][1].targets)
    runs = []
    for (run, predictions), scores in zip(judged, (perfect, np.full_like(perfect, 0.5)), strict=True):
        write_table(tmp_path / f"{run.method}.parquet", long_form(replace(predictions, scores=scores)))
        runs.append((run.method, tmp_path / f"{run.method}.parquet"))
    _, summary, labels = statistics(tmp_path, described(*runs))
    compared = labels[(labels["method"] == "msn+ehr.sex") & (labels["excluded"] == "")]
    assert compared["p_delong"].isna().all()
    assert set(compared["remark"]) == {"constant score; the estimated variance is zero"}
    assert "Cardiomegaly of MSN + sex (constant score; the estimated variance is zero)" in _label_table(tmp_path)
    row = summary[(summary["method"] == "msn+ehr.sex") & (summary["metric"] == "auroc")].iloc[0]
    assert np.isnan(row["p_published"])
    assert row["not_tested"] == "published t-test: no resample changes either value"
    assert row["p_paired"] == pytest.approx(2 / 41)


@pytest.mark.parametrize("method", ["statistics", "groups", "low-data"])
def test_scores_that_are_not_numbers_are_one_line(tmp_path, method):
    def broken(predictions):
        scores = predictions.scores.copy()
        scores[4, FRACTURE] = np.nan
        return replace(predictions, scores=scores)

    runs = study(tmp_path, broken)
    expected = "column score, label Fracture: 1 values are not finite"
    if method == "statistics":
        assert expected in statistics(tmp_path, runs, code=2)
    elif method == "groups":
        made = ("--output", tmp_path / "groups.parquet", "--images", _cohort_of(tmp_path))
        assert expected in verb("represent", "groups", "--runs", runs, *made, code=2)
    else:
        assert expected in _low_data(tmp_path, runs)


@pytest.mark.parametrize("method", ["statistics", "low-data"])
def test_predictions_for_another_label_set_are_not_compared(tmp_path, method):
    def other(predictions):
        return replace(predictions, labels=("Hernia", *predictions.labels[1:]))

    runs = study(tmp_path, other)
    said = statistics(tmp_path, runs, code=2) if method == "statistics" else _low_data(tmp_path, runs)
    assert "not judged on the same test set: only one of them has the labels Atelectasis, Hernia" in said


def _low_data(folder, runs):
    """What it says to runs that it must refuse."""
    made = [f"--output-{name}={folder / name}" for name in ("summary", "labels", "replicates")]
    one = ("--settings", '{"shares": [0.5], "draws": 1}', "--baseline", "msn")
    for run in json.loads(runs):
        few = folder / "few" / f"{run['id']}.parquet"
        few.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(run["predictions"], few)
    same = ("--subset-predictions", folder / "few" / "{run}.parquet")
    return verb("report", "low-data-statistics", "--runs", runs, *same, *one, *made, code=2)


def _cohort_of(folder, patients=None):
    """images.parquet of the fake study's test set."""
    predictions = fake_study({"msn": 1.0}).judged[0][1]
    rows = pd.DataFrame(np.nan_to_num(predictions.targets), columns=list(LABELS))
    given = {"dicom_id": predictions.images, "subject_id": predictions.patients, "split": "test", "labelled": True}
    table = rows.assign(**given, sex="F")
    if patients:
        table["subject_id"] = patients[0]
    write_table(folder / "images.parquet", pa.Table.from_pandas(table, preserve_index=False))
    return folder / "images.parquet"


def _label_table(folder):
    made = [f"--output-{name}={folder / name}" for name in ("csv", "markdown", "html")]
    verb("report", "labels", "--labels", folder / "labels.parquet", *PLACE, *made)
    return (folder / "markdown").read_text()
