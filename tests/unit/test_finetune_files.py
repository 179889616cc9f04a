"""Fine-tuning and subsets from files to files, and which models a study fine-tunes."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from mmsn.console import logger
from mmsn.errors import UserError
from mmsn.evaluation.finetune_run import run_finetune
from mmsn.evaluation.job import EvaluationJob, with_chosen_run
from mmsn.evaluation.run import run_linear
from mmsn.evaluation.settings import Subset
from mmsn.evaluation.tables import PREDICTIONS_SCHEMA, RUNS_SCHEMA
from mmsn.files import read_table, write_table
from mmsn.lineage import UNTRAINED_LABELS
from mmsn.study import load_study
from mmsn.study_command import merged
from tests.unit.evaluation_parts import evaluation_files, finetune_settings, make_cohort

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path):
    return make_cohort(tmp_path)


def test_from_files_to_files(folder):
    files = evaluation_files(folder, "whole")
    run_finetune(files, EvaluationJob(3, "tiny msn", 1, "cpu"), finetune_settings().model_dump_json())
    predictions, runs = read_table(files.predictions), read_table(files.runs)
    assert predictions.schema.equals(PREDICTIONS_SCHEMA)
    assert len(predictions) == 15 * 14
    assert runs.schema.equals(RUNS_SCHEMA)
    assert not files.checkpoint.exists()


@pytest.mark.parametrize("run_protocol", [run_finetune, run_linear])
def test_a_subset_is_trained_with_the_setting_chosen_before_and_judged_on_the_same_images(folder, run_protocol):
    whole, part = evaluation_files(folder, "whole"), evaluation_files(folder, "part", folder / "whole-runs.parquet")
    settings = finetune_settings().model_dump_json(exclude={"methods", "layer_decay", "precision"})
    run_protocol(whole, EvaluationJob(3, "tiny msn", 1, "cpu"), settings)
    run_protocol(part, EvaluationJob(3, "tiny msn", 1, "cpu", Subset(share=0.2, draw=1)), settings)
    (only,) = read_table(part.runs).to_pylist()
    assert only["run"] == next(row["run"] for row in read_table(whole.runs).to_pylist() if row["chosen"])
    all_images, few_images = (read_table(files.predictions) for files in (whole, part))
    assert few_images.drop_columns("score").equals(all_images.drop_columns("score"))
    assert not few_images["score"].equals(all_images["score"])


def test_labels_that_a_subset_cannot_teach_are_recorded_and_logged(folder, caplog):
    images = read_table(folder / "images.parquet")
    column = images.column_names.index("Fracture")
    write_table(folder / "images.parquet", images.set_column(column, "Fracture", pa.array([0.0] * 60, pa.float32())))
    files = evaluation_files(folder, "part")
    logger.propagate = True
    run_finetune(
        files, EvaluationJob(3, "tiny msn", 1, "cpu", Subset(share=0.5, draw=0)), finetune_settings().model_dump_json()
    )
    recorded = json.loads(read_table(files.predictions).schema.metadata[UNTRAINED_LABELS.encode()])
    assert recorded == {"Fracture": "no positive image"}
    assert "labels that this subset cannot teach are left out: Fracture (no positive image)" in caplog.text


def test_a_table_without_a_chosen_run_is_one_clear_line(folder):
    write_table(folder / "runs.parquet", pa.table({"chosen": [False]}))
    with pytest.raises(UserError, match=r"runs\.parquet: column chosen: no run is chosen"):
        with_chosen_run(finetune_settings(), evaluation_files(folder, "part", folder / "runs.parquet"))


@pytest.fixture
def config():
    return merged([ROOT / "config.yaml"])


def test_the_full_study_fine_tunes_what_the_paper_does(config):
    tuned = [method.id for method in load_study(config).evaluated("finetune")]
    assert len(tuned) == 13 + 3
    assert {"msn", "dino", "mae", "msn+ehr.D+SM+SI"} <= set(tuned)
    assert not {"msn+g", "random-init", "msn+ehr.sex.shuffled"} & set(tuned)


def test_fine_tuning_takes_the_linear_protocols_settings_where_it_says_nothing(config):
    study = load_study({**config, "finetune": {"batch_size": 32}})
    assert study.finetune.runs == study.linear.runs
    assert (study.linear.batch_size, study.finetune.batch_size) == (64, 32)
    assert (study.finetune.layer_decay, study.finetune.precision) == (1.0, "fp32")


@pytest.mark.parametrize(
    ("methods", "expected"),
    [([], 0), (["msn", "msn+ehr(*)"], 14), ("all", 20), (["msn+ehr(sex, shuffled)"], 1)],
)
def test_which_methods_are_fine_tuned_can_be_chosen(config, methods, expected):
    study = load_study({**config, "finetune": {"methods": methods}, "low_data": {"protocols": []}})
    assert len(study.evaluated("finetune")) == expected


def test_a_method_that_the_study_does_not_have_is_one_clear_line(config):
    with pytest.raises(UserError, match=r"finetune\.methods: 'supervised' is not among .*: msn, msn\+ehr\.sex"):
        load_study({**config, "finetune": {"methods": ["supervised"]}})
