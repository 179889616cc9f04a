"""What a run will take: hours of each job, and of all of them side by side."""

import dataclasses
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsn.planning.assumptions import PRETRAIN_HOURS, SOURCES, STAGE_MINUTES, VIT_SMALL, VIT_TINY
from mmsn.planning.compute import shape_of, training_step
from mmsn.planning.estimate import Estimator
from mmsn.planning.jobs import kind_of, stage_of
from mmsn.planning.plan import make_plan, plan_text
from mmsn.planning.schedule import stage_order, wall_hours
from mmsn.planning.sizes import PUBLISHED, PUBLISHED_TEST, split_as_published
from tests.unit.planning_parts import CONFIG, a_job, pretraining


@pytest.mark.parametrize(("backbone", "shape"), [("vit-small", VIT_SMALL), ("vit-tiny", VIT_TINY)])
def test_the_papers_models_on_all_published_images_take_the_papers_hours(backbone, shape):
    job = pretraining(backbone)
    everything = dataclasses.replace(split_as_published(PUBLISHED, ""), train=PUBLISHED, validate=0, test=0)
    hours = Estimator([job], everything, None).cost(job).hours
    assert hours == pytest.approx(PRETRAIN_HOURS[shape], rel=0.01)


def test_half_the_images_take_half_the_hours_but_for_the_start():
    job = pretraining("vit-small")
    whole, half = (
        Estimator([job], split_as_published(n, ""), None).cost(job).hours for n in (PUBLISHED, PUBLISHED // 2)
    )
    assert half == pytest.approx(whole / 2, rel=0.01)


def test_a_model_that_is_not_trained_takes_no_gpu_hours_to_speak_of():
    assert (
        Estimator([], split_as_published(PUBLISHED, ""), None).cost(pretraining("vit-small", "random-init")).hours < 2
    )


def test_the_shape_of_a_backbone_is_read_from_its_name_and_its_options():
    assert shape_of({"architecture": "vit_small_patch16_224"}) == VIT_SMALL
    assert shape_of({"architecture": "vit_tiny_patch16_224", "options": {"embed_dim": 96, "depth": 4}}).width == 96


def test_dino_computes_more_than_msn_and_mae_less():
    steps = {
        family: training_step(VIT_SMALL, family, section.model_dump())
        for family, section in (("msn", CONFIG.pretrain), ("dino", CONFIG.dino), ("mae", CONFIG.mae))
    }
    assert steps["mae"] < steps["msn"] < steps["dino"]


def test_packed_pixels_take_the_square_of_their_side():
    shard = a_job(
        "p10",
        rule="image_shard",
        benchmark="b/benchmarks/images/mimic-cxr/p10.tsv",
        command="x --settings '{\"side\": 256}'",
    )
    estimator = Estimator([shard], split_as_published(PUBLISHED, ""), None)
    assert estimator.cost(shard).disk_gb == pytest.approx(24.7, abs=0.1)  # the 25 GB of config.yaml


def test_two_gpus_halve_what_waits_for_a_gpu_and_nothing_else():
    jobs = [
        a_job("first"),
        *(a_job(f"m{k}", ("first.out",), gpu=1) for k in range(4)),
        a_job("end", tuple(f"m{k}.out" for k in range(4))),
    ]
    hours = {job.key: 1.0 for job in jobs}
    assert wall_hours(jobs, hours, 1, 8) == 6
    assert wall_hours(jobs, hours, 2, 8) == 4
    assert wall_hours(jobs, hours, 8, 8) == 3


@given(
    hours=st.lists(st.floats(0.1, 5), min_size=1, max_size=12),
    links=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=20),
    gpus=st.integers(1, 4),
)
def test_no_schedule_beats_its_longest_chain_or_its_total_work(hours, links, gpus):
    count = len(hours)
    reads = {k: {f"{a}.out" for a, b in links if b == k and a < k} for k in range(count)}
    jobs = [a_job(str(k), tuple(sorted(reads[k])), gpu=1) for k in range(count)]
    took = dict(zip((job.key for job in jobs), hours, strict=True))
    wall = wall_hours(jobs, took, gpus, 100)
    assert sum(hours) / gpus - 1e-9 <= wall <= sum(hours) + 1e-9
    assert wall >= max(hours) - 1e-9
    assert wall_hours(jobs, took, 100, 100) <= wall + 1e-9


def test_stages_stand_in_the_order_in_which_they_can_run():
    late = a_job("table", ("model.out",), benchmark="r/benchmarks/tables/t.tsv")
    early = a_job("model", benchmark="r/benchmarks/pretrain/x/y/seed0.tsv")
    assert stage_order([late, early]) == ["pretrain", "tables"]


def test_a_benchmarks_path_names_its_stage():
    assert stage_of("results/my/benchmarks/evaluate/linear/mimic-cxr/vit/msn/seed0.tsv") == "evaluate/linear"
    assert stage_of("results/benchmarks/imputation.tsv") == "imputation"
    assert (
        kind_of("r/benchmarks/images/mimic-cxr/p11.tsv")
        == "images shard"
        != kind_of("r/benchmarks/images/mimic-cxr/index.tsv")
    )


def test_neither_the_order_of_stages_nor_the_wall_time_depends_on_the_order_of_the_listing():
    jobs = [
        a_job(f"{stage}{k}", reads, gpu=1, benchmark=f"r/benchmarks/{stage}/{k}.tsv")
        for stage, reads in (("tsne", ()), ("attention", ()), ("figures", ("tsne0.out",)))
        for k in range(3)
    ]
    hours = {job.key: 1.0 + 0.7 * (place % 4) for place, job in enumerate(jobs)}
    assert stage_order(jobs) == stage_order(jobs[::-1]) == ["attention", "tsne", "figures"]
    assert len({wall_hours(order, hours, 2, 8) for order in permutations(jobs[:6])}) == 1


def test_what_many_models_of_few_images_cost_to_score_is_counted_by_their_files():
    rows = [f"results/evaluate/low-data/finetune/1pct/draw{k}/m/predictions.parquet" for k in range(480)]
    table = a_job(
        "low_data_finetune_mimic-cxr_vit-small",
        tuple(rows),
        rule="low_data_statistics",
        benchmark="r/benchmarks/statistics/low-data/finetune/mimic-cxr/vit-small.tsv",
        command="mmsn report low-data-statistics --statistics '{\"resamples\": 1000}'",
    )
    published = dataclasses.replace(split_as_published(PUBLISHED, ""), test=PUBLISHED_TEST)
    seconds = {
        threads: 3600 * Estimator([], published, None).cost(dataclasses.replace(table, threads=threads)).hours
        for threads in (1, 4)
    }
    assert seconds[1] == pytest.approx(12 + 480 * (0.1 + 0.3))
    assert seconds[4] == pytest.approx(12 + 480 * (0.1 + 0.075))
    no_files = dataclasses.replace(table, inputs=("results/statistics/linear/summary.parquet",))
    assert 3600 * Estimator([], published, None).cost(no_files).hours == pytest.approx(12)


def test_every_stage_whose_hours_are_assumed_has_its_assumption_printed():
    stages = [*SOURCES, *STAGE_MINUTES, "attention", "tsne", "evaluate/ehr-only"]
    jobs = [a_job(stage, benchmark=f"r/benchmarks/{stage}/x/y.tsv") for stage in dict.fromkeys(stages)]
    text = plan_text(make_plan(jobs, jobs, split_as_published(PUBLISHED, ""), None), [1], None)
    grounds = text.partition("Assumed")[2].splitlines()
    stated = {stage for line in grounds for stage in line.partition(":")[0].strip().split(", ")}
    assert set(stages) <= stated


def test_a_plan_says_how_many_images_of_other_data_sets_it_counts_and_from_where(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    jobs = [
        a_job(name, command=f"mmsn x --images results/cohort/{name}/images.parquet --log l")
        for name in ("nih-14", "mine")
    ]
    text = plan_text(make_plan(jobs, jobs, split_as_published(PUBLISHED, ""), None), [1], None)
    assert "Images of other data sets: mine 10,000 (a guess), nih-14 51,759 (published)." in text
