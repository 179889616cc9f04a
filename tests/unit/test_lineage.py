"""The split: every later stage records it, a stage of another split is refused, a leak stops the run."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from mmsn.cli import app
from mmsn.encoder_file import split_of_encoder
from mmsn.files import read_json, read_table, write_table
from mmsn.labels import LABELS
from mmsn.lineage import ENCODER_DIGEST, Split
from mmsn.methods import method_from_id
from mmsn.reporting.schemas import Facts
from tests.unit.test_reporting import describe
from tests.unit.training_parts import BACKBONE, settings_of

SPLIT = Split("mimic-cxr", "ab" * 32)
OTHER = Split("mimic-cxr", "cd" * 32)
METHOD = "msn+ehr.sex"
IMAGES = 60


def cohort(**changed: list[object]) -> pa.Table:
    """Sixty images of thirty patients; label 0 is in both classes of every split."""
    random = np.random.default_rng(0)
    numbers = range(IMAGES)
    columns = {
        "dicom_id": [f"d{i:02d}" for i in numbers],
        "subject_id": [10_000_000 + i // 2 for i in numbers],
        "study_id": [50_000_000 + i for i in numbers],
        "path": [f"d{i:02d}.png" for i in numbers],
        "split": ["train"] * 30 + ["validate"] * 14 + ["test"] * 16,
        "labelled": [True] * IMAGES,
        "sex": [None if i % 9 == 0 else "MF"[i % 2] for i in numbers],
    }
    labels = {name: random.integers(0, 2, IMAGES).astype(np.float32) for name in LABELS}
    return pa.table(columns | labels | changed).replace_schema_metadata(SPLIT.metadata)


class Study:
    """The stages after the cohort, each verb really called, in a folder."""

    def __init__(self, folder: Path, table: pa.Table) -> None:
        self.folder, self.images, self.said = folder, folder / "images.parquet", ""
        write_table(self.images, table)
        if not (folder / "d00.png").exists():
            random = np.random.default_rng(1)
            for i in range(IMAGES):
                Image.fromarray(random.integers(0, 255, (20, 20), np.uint8)).save(folder / f"d{i:02d}.png")

    def verb(self, *arguments: object) -> int:
        done = CliRunner().invoke(app, [str(argument) for argument in arguments])
        self.said = done.output
        return done.exit_code

    def features(self) -> None:
        variables = json.dumps({"sex": {"kind": "categorical", "values": ["M", "F"]}})
        settings = '{"model": "classifier", "fit_on": "train"}'
        made = ("--output-variables", self.folder / "variables.parquet", "--output-report", self.folder / "report.json")
        given = ("--records", self.images, "--variables", variables, "--settings", settings)
        assert self.verb("ehr", "impute", *given, *made) == 0, self.said
        given = ("--variables-table", self.folder / "variables.parquet", "--variables", variables)
        assert self.verb("ehr", "encode", *given, "--output", self.folder / "sex.parquet") == 0, self.said

    def store(self) -> None:
        settings = '{"side": 20}'
        made = ("--output-array", self.folder / "p10.npy", "--output-index", self.folder / "p10.parquet")
        given = ("--images", self.images, "--root", self.folder, "--shard", "p10", "--settings", settings)
        assert self.verb("images", "shard", *given, *made) == 0, self.said
        made = ("--output-index", self.folder / "index.parquet", "--output-quarantine", self.folder / "q.parquet")
        given = ("--shards", self.folder / "p10.parquet", "--images", self.images, "--settings", settings)
        assert self.verb("images", "index", *given, *made) == 0, self.said

    def pretrain(self, method: str = METHOD, **settings: object) -> int:
        chosen = settings_of(method_from_id(method), epochs=1, early_stop_patience=0, **settings).model_dump_json()
        given = ("--backbone", BACKBONE.model_dump_json(), "--settings", chosen, "--seed", 0, "--images", self.images)
        files = ("--store", self.folder, "--checkpoint", self.folder / "unfinished.safetensors", "--device", "cpu")
        if "ehr" in method:
            files += ("--features", self.folder / "sex.parquet")
        made = [("encoder", "safetensors"), ("history", "parquet"), ("resolved", "yaml"), ("card", "md")]
        outputs = [word for name, end in made for word in (f"--output-{name}", self.folder / f"{name}.{end}")]
        return self.verb("pretrain", "--method", method, *given, *files, *outputs)

    def evaluate(self) -> int:
        runs = [{"schedule": "cosine", "learning_rate": 1e-2}]
        settings = json.dumps({"runs": runs, "views": {"resize": 20, "crop": 16}, "batch_size": 8, "max_epochs": 1})
        given = ("--encoder", self.folder / "encoder.safetensors", "--images", self.images, "--store", self.folder)
        made = (
            "--output-predictions",
            self.folder / "predictions.parquet",
            "--output-runs",
            self.folder / "runs.parquet",
        )
        more = ("--settings", settings, "--seed", 0, "--checkpoint", self.folder / "unfinished", "--device", "cpu")
        return self.verb("evaluate", "linear", *given, *made, *more)

    def statistics(self, *predictions: Path) -> int:
        runs = [
            describe(method).model_copy(update={"predictions": path}).model_dump(mode="json")
            for method, path in zip((METHOD, "msn"), predictions, strict=False)
        ]
        made = ("--output-summary", self.folder / "summary.parquet", "--output-labels", self.folder / "labels.parquet")
        return self.verb("report", "statistics", "--runs", json.dumps(runs), "--settings", '{"resamples": 20}', *made)

    @property
    def error(self) -> str:
        (line,) = [line for line in self.said.splitlines() if line.startswith("error:")]
        assert "Traceback" not in self.said
        return line


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Every stage run once."""
    made = Study(tmp_path_factory.mktemp("lineage"), cohort())
    made.features()
    made.store()
    assert made.pretrain() == 0, made.said
    assert made.evaluate() == 0, made.said
    assert made.statistics(made.folder / "predictions.parquet") == 0, made.said
    return made


@pytest.fixture
def again(study: Study, tmp_path: Path) -> Study:
    """The same files in a folder of their own, for a test to spoil."""
    for path in study.folder.iterdir():
        (tmp_path / path.name).hardlink_to(path)
    (tmp_path / "images.parquet").unlink()
    return Study(tmp_path, cohort())


@pytest.mark.parametrize(
    "name",
    ["variables", "sex", "index", "predictions", "runs", "summary", "labels"],
    ids=lambda name: f"{name}.parquet",
)
def test_every_table_after_the_cohort_carries_the_split(study: Study, name: str) -> None:
    assert Split.of_file(study.folder / f"{name}.parquet") == SPLIT


def test_what_is_no_table_carries_it_too(study: Study) -> None:
    assert split_of_encoder(study.folder / "encoder.safetensors") == SPLIT
    assert read_json(study.folder / "report.json")["split_sha256"] == SPLIT.sha256
    resolved = yaml.safe_load((study.folder / "resolved.yaml").read_text())
    assert (resolved["rows"], resolved["split_sha256"]) == ("train", SPLIT.sha256)
    assert Facts.of(read_table(study.folder / "summary.parquet"), "summary.parquet").split == SPLIT.short
    for name in ("predictions", "runs"):
        metadata = read_table(study.folder / f"{name}.parquet").schema.metadata
        assert len(metadata[ENCODER_DIGEST.encode()]) == 16


class TestAnotherSplit:
    """Files of two splits do not meet."""

    def test_features_of_another_split_are_not_trained_on(self, again: Study) -> None:
        write_table(again.images, cohort(), OTHER.metadata)
        assert again.pretrain() == 2
        assert "sex.parquet was made under split abababababab" in again.error
        assert "images.parquet has split cdcdcdcdcdcd" in again.error

    def test_an_encoder_of_another_split_is_not_evaluated(self, again: Study) -> None:
        write_table(again.images, cohort(), OTHER.metadata)
        assert again.evaluate() == 2
        assert "encoder.safetensors was made under split abababababab" in again.error
        assert "pretrain it again" in again.error

    def test_an_encoder_may_be_judged_on_another_data_set(self, again: Study) -> None:
        write_table(again.images, cohort(), Split("chexpert", "ef" * 32).metadata)
        assert again.evaluate() == 0, again.said

    def test_predictions_of_two_splits_are_not_compared(self, again: Study) -> None:
        predictions = again.folder / "predictions.parquet"
        write_table(again.folder / "other.parquet", read_table(predictions), OTHER.metadata)
        assert again.statistics(predictions, again.folder / "other.parquet") == 2
        assert "their splits differ (split_sha256 abababababab and cdcdcdcdcdcd)" in again.error
        write_table(again.folder / "silent.parquet", read_table(predictions).replace_schema_metadata(None))
        assert again.statistics(predictions, again.folder / "silent.parquet") == 2
        assert "(split_sha256 abababababab and none recorded)" in again.error


class TestPlantedLeaks:
    """A patient who is tested on must not be trained on; each way of doing it stops the run."""

    def test_a_test_patients_image_among_the_rows_to_pretrain_on(self, again: Study) -> None:
        split = cohort()["split"].to_pylist()
        split[44] = "train"  # whose other image stays in the test split
        write_table(again.images, cohort(split=split))
        assert again.pretrain("msn") == 2
        assert "1 images to pretrain on are of validation or test patients, such as subject_id 10000022" in again.error
        assert "who is in test" in again.error

    def test_a_choice_of_rows_that_goes_wrong(self, again: Study, monkeypatch: pytest.MonkeyPatch) -> None:
        """The check does not trust the selection: it looks at what the pixel store is about to hand out."""
        monkeypatch.setattr("mmsn.training.data.pc.equal", lambda values, _: pa.array([True] * len(values)))
        assert again.pretrain("msn") == 2
        assert "30 images to pretrain on are of validation or test patients" in again.error

    def test_pretraining_on_every_split_is_said_loudly_and_recorded(self, again: Study) -> None:
        (again.folder / "resolved.yaml").unlink()
        (again.folder / "encoder.safetensors").unlink()
        assert again.pretrain("msn", rows="all") == 0, again.said
        assert "warning: pretraining sees every split" in again.said
        assert "30 of 60 images are of validation and test patients" in again.said
        resolved = yaml.safe_load((again.folder / "resolved.yaml").read_text())
        assert (resolved["rows"], resolved["images"]) == ("all", IMAGES)

    @pytest.mark.parametrize(("row", "into", "patient"), [(0, "test", 10_000_000), (30, "train", 10_000_015)])
    def test_a_patient_in_two_splits_of_the_linear_evaluation(
        self, again: Study, row: int, into: str, patient: int
    ) -> None:
        split = cohort()["split"].to_pylist()
        split[row] = into
        write_table(again.images, cohort(split=split))
        assert again.evaluate() == 2
        assert "1 patients are in train and in" in again.error
        assert f"such as subject_id {patient}" in again.error
