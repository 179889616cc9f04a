"""Hours that an earlier run took are taken over, scaled, where they are of the same kind."""

import dataclasses
import json
from pathlib import Path

import pyarrow as pa
import pytest

from mmsn.files import write_table
from mmsn.planning.estimate import Estimator
from mmsn.planning.measured import read_measurements
from mmsn.planning.plan import make_plan, plan_text
from mmsn.planning.sizes import PUBLISHED_TEST, Sizes, split_as_published
from mmsn.reporting.schemas import Facts
from tests.unit.planning_parts import CONFIG, a_job, pretraining


def _measured_folder(folder: Path, seconds: float) -> Path:
    study = {"backbones": {"vit-small": CONFIG.backbones["vit-small"].model_dump(mode="json")}}
    (folder / "study.yaml").write_text(json.dumps(study))
    run = Path("pretrain/vit-small/msn/seed0")
    benchmark = (folder / "benchmarks" / run).with_suffix(".tsv")
    benchmark.parent.mkdir(parents=True)
    benchmark.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t-\t2500\n")
    (folder / run).mkdir(parents=True)
    settings = CONFIG.pretrain.model_dump(mode="json")
    (folder / run / "resolved.yaml").write_text(json.dumps({"pretrain": settings, "images": 1000, "device": "a GPU"}))
    write_table(folder / run / "history.parquet", pa.table({"images_per_second": [1000.0] * 100}))
    split = ["train"] * 1000
    write_table(folder / "cohort" / "mimic-cxr" / "rows.parquet", pa.table({"split": split}))
    return folder


def test_measured_hours_scale_with_images_and_name_their_folder(tmp_path):
    known = read_measurements(_measured_folder(tmp_path, seconds=112.0))  # 100 s of training, 12 s of starting
    job, sizes = pretraining("vit-small"), split_as_published(10_000, "")
    cost = Estimator([job], sizes, known).cost(job)
    assert cost.measured
    assert cost.hours == pytest.approx((12 + 100 * sizes.train / 1000) / 3600)
    assert cost.memory_gb == 2.5
    text = plan_text(make_plan([job], [job], sizes, known), [1], None)
    assert f"Measured: {tmp_path}, 1,000 images, on a GPU" in text


def test_another_backbones_measurements_are_not_used(tmp_path):
    job = pretraining("vit-tiny")
    assert (
        not Estimator([job], split_as_published(10_000, ""), read_measurements(_measured_folder(tmp_path, 112.0)))
        .cost(job)
        .measured
    )


@pytest.mark.parametrize(("protocol", "epochs"), [("linear", 50), ("finetune", 10)])
def test_few_image_jobs_are_measured_by_their_own_protocol(tmp_path, protocol, epochs):
    folder = _measured_folder(tmp_path, seconds=112.0)
    study = json.loads((folder / "study.yaml").read_text())
    study |= {"linear": {"max_epochs": 50}, "finetune": {"max_epochs": 10}}
    (folder / "study.yaml").write_text(json.dumps(study))
    took = {"linear": 12.0 + 50.0, "finetune": 12.0 + 200.0}
    for name, seconds in took.items():
        benchmark = folder / f"benchmarks/evaluate/low-data/{name}/10pct/draw0/mimic-cxr/vit-small/msn/seed0.tsv"
        benchmark.parent.mkdir(parents=True)
        benchmark.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t-\t2500\n")
    job = a_job(
        rule="low_data",
        wildcards={"backbone": "vit-small", "method": "msn", "seed": "0", "percent": "10", "draw": "1"},
        benchmark=f"r/benchmarks/evaluate/low-data/{protocol}/10pct/draw1/mimic-cxr/vit-small/msn/seed0.tsv",
        command=f"mmsn evaluate {protocol} --settings '{{\"max_epochs\": {epochs}}}' --subset '{{\"share\": 0.1}}'",
    )
    sizes, known = Sizes(1000, 0, 0, ""), read_measurements(folder)
    cost = Estimator([pretraining("vit-small"), job], sizes, known).cost(job)
    assert cost.measured
    assert 3600 * cost.hours == pytest.approx(took[protocol])


def test_statistics_of_few_small_files_are_no_measure_of_the_speed_of_scoring(tmp_path):
    folder, benchmark = _measured_folder(tmp_path, 112.0), "statistics/low-data/finetune/mimic-cxr/vit-small.tsv"
    (folder / "benchmarks" / benchmark).parent.mkdir(parents=True)
    (folder / "benchmarks" / benchmark).write_text("s\th:m:s\tmax_rss\n5.0\t-\t400\n")
    run = "evaluate/low-data/finetune/10pct/draw{}/mimic-cxr/vit-small/msn/seed0/predictions.parquet"
    _keep(
        folder / "statistics/low-data/finetune/mimic-cxr/vit-small/labels.parquet", pa.table({"label": ["a", "b"] * 2})
    )
    table = a_job(
        inputs=tuple(f"results/{run.format(draw)}" for draw in range(100)),
        benchmark=f"r/benchmarks/{benchmark}",
        command="mmsn report low-data-statistics --statistics '{\"resamples\": 1000}'",
    )
    known = read_measurements(folder)
    same = dataclasses.replace(table, inputs=table.inputs[:2])
    small, whole = Sizes(0, 0, PUBLISHED_TEST // 1000, ""), Sizes(0, 0, PUBLISHED_TEST, "")
    assert 3600 * Estimator([], small, known).cost(same).hours == pytest.approx(5.0)
    assert 3600 * Estimator([], whole, known).cost(table).hours == pytest.approx(5.0 + 100 * 0.4, rel=0.001)


def _keep(path, table):
    """Statistics of two labels in as many images as `PUBLISHED_TEST // 1000`."""
    facts = Facts(PUBLISHED_TEST // 1000, 9, 2, {}, 1000, 0.95, 0, "msn")
    write_table(path, table.replace_schema_metadata(facts.metadata()))


@pytest.mark.parametrize("place", ["linear/mimic-cxr/vit-small", "variants/readings/mimic-cxr/vit-small"])
def test_small_statistics_are_scaled_by_the_models_that_they_score_not_by_images(tmp_path, place):
    folder = _measured_folder(tmp_path, 112.0)
    benchmark = folder / f"benchmarks/statistics/{place}.tsv"
    benchmark.parent.mkdir(parents=True)
    benchmark.write_text("s\th:m:s\tmax_rss\n5.0\t-\t400\n")
    if "variants" in place:
        keys = pa.table({"key": ["a", "a", "b"], "seeds": [1, 1, 2]})  # a row a metric; two seeds of b
        _keep(folder / f"statistics/{place}.parquet", keys)
    else:
        _keep(folder / f"statistics/{place}/labels.parquet", pa.table({"label": ["a", "b"] * 3}))
    job = a_job(
        inputs=("results/several/predictions.parquet",),
        benchmark=f"r/benchmarks/statistics/{place}.tsv",
        command=f"mmsn report statistics --runs '{json.dumps([{}] * 40)}' --settings '{{\"resamples\": 1000}}'",
    )
    known = read_measurements(folder)
    whole = Sizes(0, 0, PUBLISHED_TEST, "")
    expected = 5.0 + (40 - 3 / 1000) * 0.4
    assert 3600 * Estimator([job], whole, known).cost(job).hours == pytest.approx(expected, rel=0.001)
    assert 3600 * Estimator([job], whole, None).cost(job).hours == pytest.approx(12 + 40 * 0.4)


def test_statistics_of_another_data_set_are_reckoned_by_its_images():
    job = a_job(
        inputs=("results/several/predictions.parquet",),
        wildcards={"dataset": "chexpert"},
        benchmark="r/benchmarks/statistics/linear/chexpert/vit-small.tsv",
        command=f"mmsn report statistics --runs '{json.dumps([{}] * 40)}' --settings '{{\"resamples\": 1000}}'",
    )
    estimator = Estimator([job], Sizes(0, 0, PUBLISHED_TEST, ""), None)
    images = estimator.elsewhere["chexpert"].test
    assert 0 < images < 1000
    assert 3600 * estimator.cost(job).hours == pytest.approx(12 + 40 * images / PUBLISHED_TEST * 0.4)
