"""`mmsn represent ...`: from an encoder and predictions to embeddings, measures and tables."""

import json
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from typer.testing import CliRunner

from mmsn.encoder_file import save_encoder
from mmsn.files import write_table
from mmsn.images.settings import EvalViewSettings
from mmsn.images.store import PixelStore
from mmsn.images.views import TestTransform
from mmsn.labels import LABELS
from mmsn.lineage import Split
from mmsn.models.vit import class_embedding, create_encoder
from mmsn.representation.command import app
from mmsn.representation.embeddings import Embedded, from_table, to_table
from mmsn.training.settings import BackboneSettings
from tests.unit.test_reporting import describe, long_form

IMAGES, SIDE = 400, 20
VIEWS = {"resize": SIDE, "crop": 16}
BACKBONE = BackboneSettings(
    title="ViT",
    architecture="vit_tiny_patch16_224",
    options={"img_size": 16, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2},
)
METHODS = ("random-init", "msn", "msn+g")
STATISTICS = json.dumps({"resamples": 40})
RUNS = [{"schedule": "cosine", "learning_rate": 1e-2}, {"schedule": "plateau", "learning_rate": 1e-3}]
LINEAR = {"measure": ("--linear", json.dumps({"runs": RUNS, "max_epochs": 10, "batch_size": 16})), "groups": ()}
KINDS = {"measure": ("representation", "attributes"), "groups": ("subgroups", "calibration")}


def run(*arguments, code=0):
    """Run a verb; returns what it printed."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def cohort():
    """100 patients of four images, 60 for training, 10 for validation; a third are women, labels are noise."""
    rng = np.random.default_rng(0)
    patient = np.arange(IMAGES) // 4
    rows = {
        "dicom_id": [f"image-{place:03d}" for place in rng.permutation(IMAGES)],
        "subject_id": patient + 10_000_000,
        "split": np.where(patient < 60, "train", np.where(patient < 70, "validate", "test")),
        "labelled": np.ones(IMAGES, dtype=bool),
        "sex": np.where(patient % 3, "M", "F"),
        "age": (20.0 + patient).astype(float),
        "view": rng.choice(["AP", "PA", "LATERAL"], IMAGES),
        **{label: (rng.random(IMAGES) < 0.3).astype(np.float32) for label in LABELS},
    }
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def files(cohort, tmp_path_factory):
    """A cohort, a store, embeddings whose first number is sex, and predictions, as the workflow has them."""
    folder = tmp_path_factory.mktemp("files")
    write_table(folder / "images.parquet", pa.Table.from_pandas(cohort, preserve_index=False))
    rng = np.random.default_rng(1)
    np.save(folder / "p10.npy", rng.integers(0, 255, (IMAGES, SIDE, SIDE), dtype=np.uint8))
    keys = {"dicom_id": cohort["dicom_id"], "subject_id": cohort["subject_id"]}
    write_table(folder / "index.parquet", pa.table({**keys, "shard": ["p10"] * IMAGES, "row": list(range(IMAGES))}))
    torch.manual_seed(0)
    save_encoder(
        folder / "encoder.safetensors", create_encoder(BACKBONE.architecture, BACKBONE.options), BACKBONE, "msn"
    )
    for method in METHODS:
        features = rng.normal(size=(IMAGES, 8)).astype(np.float32)
        features[:, 0] += 4 * (cohort["sex"] == "F") * (method != "random-init")
        write_table(folder / f"{method}.parquet", to_table(embedded(cohort, features)))
        write_table(folder / f"{method}-predictions.parquet", predictions(cohort, rng))
    return folder


def embedded(cohort, features):
    ordered = pd.concat(
        [cohort[cohort["split"] == name].sort_values("dicom_id") for name in ("train", "validate", "test")]
    )
    return Embedded(
        *(ordered[name].to_numpy() for name in ("dicom_id", "subject_id", "split")),
        features[ordered.index],
    )


def predictions(cohort, rng):
    from mmsn.reporting.predictions import Predictions

    test = cohort[cohort["split"] == "test"].sort_values("dicom_id")
    targets = test[list(LABELS)].to_numpy(float)
    scores = 1 / (1 + np.exp(1 - targets - rng.normal(size=targets.shape)))
    ids, patients = (test[name].to_numpy() for name in ("dicom_id", "subject_id"))
    return long_form(Predictions(ids, patients, LABELS, targets, scores))


def described(folder, embedded=True, **changes):
    runs = []
    for method in METHODS:
        one = describe(method).model_dump(mode="json") | {"predictions": str(folder / f"{method}-predictions.parquet")}
        runs.append(one | ({"embeddings": str(folder / f"{method}.parquet")} if embedded else {}) | changes)
    return json.dumps(runs)


@pytest.fixture(scope="module")
def measured(files):
    """Both tables of measures, and the tables made of them."""
    cohort = ("--images", files / "images.parquet", "--statistics", STATISTICS)
    for verb, kinds in KINDS.items():
        measures = files / f"{verb}-measures.parquet"
        run(verb, "--runs", described(files, verb == "measure"), *cohort, *LINEAR[verb], "--output", measures)
        place = (
            "--output-folder",
            files / "tables",
            "--suffix",
            "x",
            "--dataset",
            "mimic-cxr",
            "--data-note",
            "Made up.",
        )
        run("tables", "--measures", measures, *place)
        assert all(
            (files / f"tables/{kind}_x.{end}").exists() for kind in kinds for end in ("csv", "md", "tex", "html")
        )
    return files


def test_an_embedding_is_the_class_token_of_the_test_view(files, tmp_path):
    output = tmp_path / "embeddings.parquet"
    paths = ("--encoder", files / "encoder.safetensors", "--images", files / "images.parquet", "--store", files)
    run("embed", *paths, "--views", json.dumps(VIEWS), "--output", output)
    found = from_table(pq.read_table(output), str(output))
    torch.manual_seed(0)
    encoder, store = create_encoder(BACKBONE.architecture, BACKBONE.options).eval(), PixelStore(files)
    view = TestTransform(EvalViewSettings(**VIEWS))
    for place in (0, 100, IMAGES - 1):
        with torch.no_grad():
            expected = class_embedding(encoder, view(store.batch(store.rows_of([found.images[place]]))))[0]
        np.testing.assert_allclose(found.features[place], expected.numpy(), atol=1e-5)
    assert (found.splits == "train").sum() == 240
    assert list(found.images[280:]) == sorted(found.images[280:])
    assert (found.splits == "validate").sum() == 40
    assert pq.read_schema(output).field("embedding").type == pa.list_(pa.float32(), 16)
    again = tmp_path / "again.parquet"
    run("embed", *paths, "--views", json.dumps(VIEWS), "--output", again)
    assert again.read_bytes() == output.read_bytes()


def test_fewer_training_images_are_whole_patients_and_all_test_images(files, tmp_path):
    output = tmp_path / "embeddings.parquet"
    paths = ("--encoder", files / "encoder.safetensors", "--images", files / "images.parquet", "--store", files)
    run("embed", *paths, "--views", json.dumps(VIEWS), "--train-images", 50, "--output", output)
    found = from_table(pq.read_table(output), str(output))
    train = found.splits == "train"
    assert [(found.splits == name).sum() for name in ("train", "validate", "test")] == [48, 40, 120]
    assert set(np.unique(found.patients[train], return_counts=True)[1]) == {4}


def test_a_patient_in_two_splits_is_refused(files, cohort, tmp_path):
    shared = cohort.assign(subject_id=cohort["subject_id"].replace(10_000_080, 10_000_001))
    write_table(tmp_path / "images.parquet", pa.Table.from_pandas(shared, preserve_index=False))
    paths = ("--encoder", files / "encoder.safetensors", "--images", tmp_path / "images.parquet", "--store", files)
    said = run("embed", *paths, "--views", json.dumps(VIEWS), "--output", tmp_path / "x.parquet", code=2)
    assert "1 patients are in train and in test" in said


def test_what_was_planted_is_read_from_the_embeddings_that_have_it(measured):
    rows = pd.read_csv(measured / "tables/attributes_x.csv").set_index(["method", "group", "measure"])
    assert rows.loc[("msn", "Sex: F or M", "auroc"), "lo"] > 0.95
    assert abs(rows.loc[("random-init", "Sex: F or M", "auroc"), "value"] - 0.5) < 0.2
    assert rows.loc[("msn", "In an ICU", "auroc"), "excluded"] == "the study has no variable icu"


def test_k_nn_stands_beside_the_linear_head_and_does_not_replace_it(measured):
    rows = pd.read_csv(measured / "tables/representation_x.csv").set_index(["method", "group", "measure"])
    for method in METHODS:
        head, neighbours = (rows.loc[(method, group, "auroc")] for group in ("linear head", "k-NN"))
        assert head["lo"] > 0.6 > neighbours["value"]  # labels are noise to the embeddings, not to the scores
        assert head["images"] == neighbours["images"] == 120


def test_no_cell_is_empty_without_a_reason(measured):
    for path in (measured / "tables").glob("*.csv"):
        rows = pd.read_csv(path)
        assert (rows["value"].isna() == rows["excluded"].notna()).all(), path
        assert (rows["lo"] <= rows["value"])[rows["value"].notna()].all(), path


def test_tables_name_their_exclusions_their_note_and_their_methods(measured):
    subgroups = (measured / "tables/subgroups_x.md").read_text()
    assert "F (10 patients, fewer than 20)" in subgroups
    assert "gap (fewer than two groups to compare)" in subgroups
    for path in (measured / "tables").glob("*.md"):
        text = path.read_text()
        assert "**Made up.**" in text
        assert re.search(r"^\| MSN \|", text, re.M), path
        assert "bootstrap interval from 40 resamples of test patients" in text
    held = "intervals of 95 % held the population's silhouette 92, Davies-Bouldin 94, RankMe 79 times"
    assert held in (measured / "tables/representation_x.md").read_text()


def test_the_same_inputs_give_the_same_bytes(measured, tmp_path):
    output = tmp_path / "again.parquet"
    cohort = ("--images", measured / "images.parquet", "--statistics", STATISTICS)
    run("measure", "--runs", described(measured), *cohort, *LINEAR["measure"], "--output", output)
    assert output.read_bytes() == (measured / "measure-measures.parquet").read_bytes()


def test_a_run_of_other_images_is_refused(files, cohort, tmp_path):
    fewer = embedded(cohort, np.zeros((IMAGES, 8), dtype=np.float32))
    kept = np.arange(IMAGES) != 5
    write_table(
        tmp_path / "fewer.parquet",
        to_table(Embedded(fewer.images[kept], fewer.patients[kept], fewer.splits[kept], fewer.features[kept])),
    )
    runs = json.loads(described(files))
    runs[1]["embeddings"] = str(tmp_path / "fewer.parquet")
    complaint = _complaint("measure", json.dumps(runs), files, tmp_path)
    assert "its embedded train images are not those of other runs; embed all again" in complaint


def test_embeddings_of_another_split_are_refused(files, cohort, tmp_path):
    table = pa.Table.from_pandas(cohort, preserve_index=False)
    write_table(tmp_path / "images.parquet", table, Split("mimic-cxr", "a" * 64).metadata)
    theirs = to_table(embedded(cohort, np.zeros((IMAGES, 8), dtype=np.float32)))
    write_table(tmp_path / "other.parquet", theirs, Split("mimic-cxr", "b" * 64).metadata)
    runs = described(files, embeddings=str(tmp_path / "other.parquet"))
    complaint = _complaint("measure", runs, tmp_path, tmp_path)
    assert "was made under split bbbbbbbbbbbb" in complaint
    assert "embed it again" in complaint


def test_numbers_that_are_not_finite_are_refused(files, cohort, tmp_path):
    broken = np.zeros((IMAGES, 8), dtype=np.float32)
    broken[3, 2] = np.nan
    write_table(tmp_path / "broken.parquet", to_table(embedded(cohort, broken)))
    runs = described(files, embeddings=str(tmp_path / "broken.parquet"))
    complaint = _complaint("measure", runs, files, tmp_path)
    assert "column embedding: 1 images with numbers that are not finite" in complaint


def test_scores_that_are_no_probabilities_are_refused(files, cohort, tmp_path):
    table = pq.read_table(files / "msn-predictions.parquet")
    scores = pa.array(table["score"].to_numpy() * 3)
    write_table(tmp_path / "scores.parquet", table.set_column(table.column_names.index("score"), "score", scores))
    runs = described(files, embedded=False, predictions=str(tmp_path / "scores.parquet"))
    assert "values outside 0..1 are no probabilities" in _complaint("groups", runs, files, tmp_path)


@pytest.mark.parametrize(
    ("verb", "changes", "complaint"),
    [
        ("measure", {"embeddings": "nowhere.parquet"}, "nowhere.parquet does not exist; embed run"),
        ("groups", {"predictions": "nowhere.parquet"}, "nowhere.parquet does not exist; evaluate run"),
        ("measure", {"embedding": "x"}, "--runs: run 1: embedding: Extra inputs are not permitted"),
    ],
)
def test_a_missing_file_or_a_wrong_key_is_one_line(files, tmp_path, verb, changes, complaint):
    assert complaint in _complaint(verb, described(files, verb == "measure", **changes), files, tmp_path)


@pytest.mark.parametrize(
    ("option", "value", "complaint"),
    [
        ("--settings", '{"neighbors": 5}', "--settings: config: neighbors: unknown key; did you mean neighbours?"),
        ("--settings", '{"neighbours": 500}', "500 neighbours asked for, 240 training images; lower it"),
        ("--statistics", '{"resamples": 1}', "--statistics: config: resamples: 1 is not allowed"),
        ("--images", "nowhere.parquet", "nowhere.parquet does not exist; build the cohort first"),
    ],
)
def test_a_wrong_setting_is_one_line(files, tmp_path, option, value, complaint):
    arguments = ["measure", "--runs", described(files), *LINEAR["measure"], "--output", tmp_path / "x.parquet"]
    arguments += ["--images", files / "images.parquet"] if option != "--images" else []
    assert complaint in run(*arguments, option, value, code=2).replace("\n", " ")


def test_a_table_of_another_verb_is_refused(files):
    place = ("--output-folder", files, "--suffix", "x", "--dataset", "mimic-cxr")
    assert "not a table of `mmsn represent`" in run("tables", "--measures", files / "images.parquet", *place, code=2)


def _complaint(verb, runs, folder, tmp_path):
    """What a verb says of runs that it refuses."""
    output = (*LINEAR[verb], "--output", tmp_path / "refused.parquet")
    said = run(verb, "--runs", runs, "--images", folder / "images.parquet", *output, "--statistics", STATISTICS, code=2)
    assert "Traceback" not in said
    assert not (tmp_path / "refused.parquet").exists()
    return said
