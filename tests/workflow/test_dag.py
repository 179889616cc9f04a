"""The whole DAG really run on the smallest study: what it makes, what it remakes, what it leaves alone."""

import stat
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import timm
import yaml
from sklearn.metrics import roc_auc_score

from tests.workflow.project import planned_rules

pytestmark = pytest.mark.workflow
RUN = "vit-ci/msn+ehr.sex/seed0"
_PROTOCOLS = {"linear": "Linear evaluation of ViT-ci", "finetune": "Fine-tuning of ViT-ci"}

SCORING = {
    "pretrain",
    "linear",
    "low_data",
    "statistics",
    "low_data_statistics",
    "variant_statistics",
    "measure_groups",
}


def _result(finished, path):
    return finished[0].folder / "results" / path


def test_it_ends_by_naming_tables_and_figures(finished):
    assert "Done. Tables: results/tables/" in finished[1]
    for name in ("tables/linear_mimic-cxr_vit-ci.md", "tables/cohort_mimic-cxr.html", "figures/pretraining_vit-ci.png"):
        assert _result(finished, name).stat().st_size > 200


@pytest.mark.parametrize("name", ["mimic-cxr", "chexpert", "nih-14"])
def test_every_data_sets_counts_stand_beside_the_published_ones(finished, name):
    table = pd.read_csv(_result(finished, f"tables/cohort_{name}.csv"))
    assert {"step", "count", "published", "difference"} <= set(table.columns)
    known = table.dropna(subset=["published"])
    assert len(known) > 2
    assert (known["count"] - known.published == known.difference).all()
    assert pq.read_metadata(_result(finished, f"cohort/{name}/images.parquet")).num_rows > 20


def test_a_second_run_does_nothing_and_says_so(finished):
    again = finished[0].snakemake()
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout


def test_every_job_left_a_log_and_a_benchmark(finished):
    stages = ("cohort", "images", "features", "pretrain", "evaluate", "statistics", "tables", "figures")
    for stage in stages:
        assert list(_result(finished, f"logs/{stage}").rglob("*.log")), stage
        assert list(_result(finished, f"benchmarks/{stage}").rglob("*.tsv")), stage


def test_results_are_private(finished):
    for path in _result(finished, "").rglob("*"):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


def test_logs_and_tables_name_no_patient(finished):
    ids = pq.read_table(_result(finished, "cohort/mimic-cxr/images.parquet"), columns=["dicom_id", "subject_id"])
    names = {*ids["dicom_id"].to_pylist(), *map(str, ids["subject_id"].to_pylist())}
    texts = [*_result(finished, "logs").rglob("*.log"), *_result(finished, "tables").iterdir()]
    for path in texts:
        words = path.read_text()
        assert not [name for name in names if name in words], path


def test_the_resolved_study_stands_beside_the_results(finished):
    study = yaml.safe_load(_result(finished, "study.yaml").read_text())
    assert study["pretrain"]["prototypes"] == 16
    assert study["pretrain"]["temperature"] == 0.1


def test_predictions_hold_every_labelled_test_image_once_a_label(finished):
    predictions = pd.read_parquet(_result(finished, f"evaluate/linear/mimic-cxr/{RUN}/predictions.parquet"))
    cohort = pd.read_parquet(_result(finished, "cohort/mimic-cxr/images.parquet"))
    expected = cohort[(cohort.split == "test") & cohort.labelled]
    assert set(predictions.dicom_id) == set(expected.dicom_id)
    assert len(predictions) == 14 * len(expected)
    assert predictions.score.between(0, 1).all()


def test_the_table_is_what_scikit_learn_makes_of_the_predictions(finished):
    predictions = pd.read_parquet(_result(finished, f"evaluate/linear/mimic-cxr/{RUN}/predictions.parquet"))
    by_label = predictions.groupby("label", observed=True)
    judged = by_label.filter(lambda rows: rows.target.nunique() == 2).groupby("label", observed=True)
    macro = judged.apply(lambda rows: roc_auc_score(rows.target, rows.score)).mean()
    table = pd.read_parquet(_result(finished, "statistics/linear/mimic-cxr/vit-ci/summary.parquet"))
    row = table[(table.method == "msn+ehr.sex") & (table.metric == "auroc")].iloc[0]
    assert row.value == pytest.approx(macro, abs=1e-12)
    assert row.lo < row.value < row.hi


def test_fine_tuned_models_have_tables_of_their_own(finished):
    for name in ("finetune_mimic-cxr_vit-ci.md", "labels_finetune_mimic-cxr_vit-ci.md"):
        assert "Fine-tuning of ViT-ci" in _result(finished, f"tables/{name}").read_text()
    for about in ("subgroups", "calibration"):
        texts = [_result(finished, f"tables/{about}_{name}_mimic-cxr_vit-ci.md").read_text() for name in _PROTOCOLS]
        assert [name in text for name, text in zip(_PROTOCOLS.values(), texts, strict=True)] == [True, True]
    linear, tuned = (
        pd.read_parquet(_result(finished, f"evaluate/{protocol}/mimic-cxr/vit-ci/msn/seed0/predictions.parquet"))
        for protocol in ("linear", "finetune")
    )
    assert tuned.drop(columns="score").equals(linear.drop(columns="score"))
    assert not tuned.score.equals(linear.score)


def test_models_trained_on_few_images_have_a_table(finished):
    table = pd.read_csv(_result(finished, "tables/low_data_finetune_mimic-cxr_vit-ci.csv"))
    assert set(table.metric) == {"auroc", "auprc"}
    assert set(table.draws) == {2}
    assert (table.sd > 0).all()
    for name in ("best", "mean"):
        assert (table[f"{name}_lo_patient"] < table[f"{name}_hi_patient"]).all()
    full = pd.read_parquet(_result(finished, "evaluate/finetune/mimic-cxr/vit-ci/msn/seed0/runs.parquet"))
    few = _result(finished, "evaluate/low-data").rglob("runs.parquet")
    assert {run for path in few for run in pd.read_parquet(path).run} == {full.run[full.chosen].item()}


def test_feature_tables_follow_the_cohort(finished):
    finished[0].snakemake("features")
    cohort = pq.read_table(_result(finished, "cohort/mimic-cxr/images.parquet"))
    files = sorted(_result(finished, "features").glob("*.parquet"))
    assert len(files) == 13
    for path in files:
        assert len(pq.read_table(path)) == len(cohort)
    whole = pq.read_schema(_result(finished, "features/D+SM+SI.parquet"))
    assert len(whole.names) == 1 + 13


def test_the_encoder_loads_into_timm(finished):
    options = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 1, "num_heads": 2}
    path = _result(finished, f"pretrain/{RUN}/encoder.safetensors")
    timm.create_model("vit_tiny_patch16_224", num_classes=0, checkpoint_path=str(path), **options)


def test_touched_and_reformatted_sources_retrain_nothing(finished):
    project = finished[0]
    for path in [*project.folder.glob("workflow/mmsn/**/*.py"), *project.folder.glob("rules/*"), *_tables(project)]:
        path.touch()
    project.edit("workflow/mmsn/models/msn_loss.py", "def sharpen(", "# a remark\ndef sharpen(")
    project.edit("envs/mmsn.yaml", "timm==", "timm==9")
    assert "Nothing to be done" in project.snakemake("--dry-run").stdout


def _tables(project) -> list[Path]:
    return [*project.folder.glob("data/mimic-iv/**/*.gz"), *project.folder.glob("data/mimic-cxr-jpg/*.gz")]


@pytest.mark.parametrize(
    ("file", "old", "new", "rerun", "kept"),
    [
        ("models/msn_loss.py", "1.0 / temperature", "2.0 / temperature", {"pretrain", "linear"}, {"cohort"}),
        ("models/dino_loss.py", "1.0 - momentum", "2.0 - momentum", set(), {"pretrain", "linear"}),
        ("evaluation/probe.py", "weight_decay=0.0", "weight_decay=0.1", {"linear", "statistics"}, {"pretrain"}),
        ("evaluation/classifier.py", "weight_decay=0.0", "weight_decay=0.1", {"finetune", "low_data"}, {"linear"}),
        ("statistics/bootstrap.py", "def percentile", "SEEN = 1\n\n\ndef percentile", {"statistics"}, {"linear"}),
        ("ehr/variables/sex.sql", "SELECT", "SELECT ALL", {"cohort", "pretrain"}, {"study"}),
    ],
    ids=["loss", "another method's loss", "probe", "fine-tuning", "bootstrap", "SQL of a variable"],
)
def test_a_changed_source_reruns_what_depends_on_it(finished, file, old, new, rerun, kept):
    project = finished[0]
    path = project.folder / "workflow" / "mmsn" / file
    before = path.read_text()
    project.edit(f"workflow/mmsn/{file}", old, new)
    planned = planned_rules(project.snakemake("--dry-run").stdout)
    path.write_text(before)
    assert rerun <= planned
    assert not kept & planned


@pytest.mark.parametrize(
    ("change", "rerun", "kept"),
    [
        ('{"split": "official", "uncertain": "one"}', {"cohort", "linear"}, {"image_shard", "impute", "pretrain"}),
        ('{"split": "official", "labels": "negbio"}', {"cohort", "linear"}, {"image_shard", "impute", "pretrain"}),
        ('{"split": "official", "linkage": "time"}', {"cohort", "impute", "pretrain"}, {"image_shard", "image_index"}),
        ('{"split": "random"}', {"cohort", "impute", "image_index", "pretrain", "linear"}, set()),
    ],
    ids=["labels", "labeller", "linkage", "split"],
)
def test_a_change_of_the_cohort_retrains_only_what_sees_it(finished, change, rerun, kept):
    planned = planned_rules(finished[0].snakemake("--dry-run", "--config", f"cohort={change}").stdout)
    assert rerun <= planned
    assert not kept & planned


def test_another_linkage_leaves_a_method_without_records_alone(finished):
    change = 'cohort={"split": "official", "linkage": "time"}'
    planned = finished[0].snakemake("--dry-run", "--config", change).stdout
    assert "Pretraining vit-ci with msn+ehr.sex" in planned
    assert "Pretraining vit-ci with msn," not in planned


def test_adding_a_method_runs_that_method_alone(finished):
    change = 'runs={"backbones": ["vit-ci"], "methods": ["msn", "msn+ehr(sex)", "msn+g"]}'
    planned = finished[0].snakemake("--dry-run", "--config", change).stdout
    assert "msn+g" in planned
    assert not {"cohort", "image_shard", "impute"} & planned_rules(planned)
    assert planned.count("Pretraining vit-ci with") == 1


def test_deleted_tables_come_back_without_training(finished):
    project = finished[0]
    for name in ("linear", "low_data_finetune", "readings"):
        _result(finished, f"tables/{name}_mimic-cxr_vit-ci.md").unlink()
    planned = planned_rules(project.snakemake("--dry-run", "tables").stdout)
    assert {"results_table", "low_data_table", "variants_table", "tables"} <= planned
    assert not planned & SCORING
    assert project.snakemake("tables").returncode == 0


@pytest.mark.parametrize("file", ["low_data_table.py", "variants_table.py", "layout.py", "templates/tables.md.j2"])
def test_a_table_that_looks_otherwise_is_written_again_and_nothing_is_scored(finished, file):
    project, path = finished[0], finished[0].folder / "workflow/mmsn/reporting" / file
    before = path.read_text()
    path.write_text(before + ("ANOTHER = 1\n" if file.endswith(".py") else "another line\n"))
    planned = planned_rules(project.snakemake("--dry-run").stdout)
    path.write_text(before)
    assert "variants_table" in planned or file == "low_data_table.py"
    assert "low_data_table" in planned or file == "variants_table.py"
    assert not planned & SCORING


def test_the_report_is_one_file_that_holds_tables_and_figures(finished):
    project = finished[0]
    done = project.snakemake("--report", "results/report.html")
    assert done.returncode == 0, done.stdout
    report = _result(finished, "report.html").read_text()
    assert len(report) > 1_000_000
    for name in ("linear_mimic-cxr_vit-ci.html", "forest_linear_mimic-cxr_vit-ci.svg", "pretraining_vit-ci.svg"):
        assert name in report


def test_the_full_study_resolves_into_its_whole_job_list(finished):
    project = finished[0]
    paths = '{"mimic_iv": "data/mimic-iv", "mimic_cxr": "data/mimic-cxr-jpg"}'
    command = ["-m", "snakemake", "--dry-run", "--cores", "1", "--config", f"data={paths}"]
    planned = project.run(sys.executable, *command, 'cohort={"split": "official"}', "results=results/full").stdout
    counts = {line.split()[0]: line.split()[1] for line in planned.splitlines() if len(line.split()) == 2}
    assert counts["pretrain"] == counts["linear"] == "40"
    assert counts["feature_set"] == "13"
    assert counts["image_shard"] == "10"
    assert counts["statistics"] == "4"  # two backbones, linear and fine-tuned
    assert counts["finetune"] == str(2 * (13 + 3))  # MSN+EHR; MSN, DINO, MAE
    assert counts["low_data"] == str(2 * (13 + 3) * 3 * 5)  # shares, draws
    assert counts["low_data_table"] == "2"
    for name in ("dino", "mae", "msn+g", "msn+ehr.D+SM+SI", "msn+ehr.sex.shuffled", "msn+ehr.sex.constant"):
        assert f"pretrain/vit-small/{name}/seed0/encoder.safetensors" in planned
