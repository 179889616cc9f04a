"""What a run will take, where it stands, and why a job would run again."""

import base64
import dataclasses
import json
import os
import time
from itertools import permutations
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmsn.checkpoint import save_checkpoint
from mmsn.files import write_table
from mmsn.planning.assumptions import PRETRAIN_HOURS, SOURCES, STAGE_MINUTES, VIT_SMALL, VIT_TINY
from mmsn.planning.compute import shape_of, training_step
from mmsn.planning.estimate import Estimator
from mmsn.planning.evidence import Evidence, checkpoint_standing, gather
from mmsn.planning.jobs import Job, kind_of, stage_of
from mmsn.planning.measured import read_measurements
from mmsn.planning.plan import make_plan, plan_text
from mmsn.planning.reasons import why
from mmsn.planning.schedule import stage_order, wall_hours
from mmsn.planning.sizes import PUBLISHED, PUBLISHED_TEST, Sizes, split_as_published
from mmsn.planning.states import judge
from mmsn.planning.status import status_text
from mmsn.study import load_study
from mmsn.study_command import merged

ROOT = Path(__file__).parents[2]
CONFIG = load_study(merged([ROOT / "config.yaml"]))
NOTHING = Evidence(frozenset(), False, False, frozenset(), frozenset())


def _job(name: str = "a", reads: tuple[str, ...] = (), gpu: int = 0, **changes) -> Job:
    job = Job(
        rule="forest",
        message="",
        wildcards={},
        inputs=reads,
        outputs=(f"{name}.out",),
        log=f"{name}.log",
        benchmark=f"results/benchmarks/figures/{name}.tsv",
        threads=1,
        resources={"gpu": gpu, "mem_mb": 1000, "runtime": 60},
        command="",
        reason="",
    )
    return dataclasses.replace(job, **changes)


def _pretraining(backbone: str, method: str = "msn") -> Job:
    settings, model = CONFIG.pretrain.model_dump_json(), CONFIG.backbones[backbone].model_dump_json()
    return _job(
        f"{backbone}/{method}",
        gpu=1,
        rule="pretrain",
        wildcards={"backbone": backbone, "method": method, "seed": "0"},
        benchmark=f"results/benchmarks/pretrain/{backbone}/{method}/seed0.tsv",
        command=f"mmsn pretrain --settings '{settings}' --backbone '{model}'",
    )


# --- how long


@pytest.mark.parametrize(("backbone", "shape"), [("vit-small", VIT_SMALL), ("vit-tiny", VIT_TINY)])
def test_the_papers_models_on_all_published_images_take_the_papers_hours(backbone, shape):
    job = _pretraining(backbone)
    everything = dataclasses.replace(split_as_published(PUBLISHED, ""), train=PUBLISHED, validate=0, test=0)
    hours = Estimator([job], everything, None).cost(job).hours
    assert hours == pytest.approx(PRETRAIN_HOURS[shape], rel=0.01)


def test_half_the_images_take_half_the_hours_but_for_the_start():
    job = _pretraining("vit-small")
    whole, half = (
        Estimator([job], split_as_published(n, ""), None).cost(job).hours for n in (PUBLISHED, PUBLISHED // 2)
    )
    assert half == pytest.approx(whole / 2, rel=0.01)


def test_a_model_that_is_not_trained_takes_no_gpu_hours_to_speak_of():
    assert (
        Estimator([], split_as_published(PUBLISHED, ""), None).cost(_pretraining("vit-small", "random-init")).hours < 2
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
    shard = _job(
        "p10",
        rule="image_shard",
        benchmark="b/benchmarks/images/mimic-cxr/p10.tsv",
        command="x --settings '{\"side\": 256}'",
    )
    estimator = Estimator([shard], split_as_published(PUBLISHED, ""), None)
    assert estimator.cost(shard).disk_gb == pytest.approx(24.7, abs=0.1)  # the 25 GB of config.yaml


# --- side by side


def test_two_gpus_halve_what_waits_for_a_gpu_and_nothing_else():
    jobs = [
        _job("first"),
        *(_job(f"m{k}", ("first.out",), gpu=1) for k in range(4)),
        _job("end", tuple(f"m{k}.out" for k in range(4))),
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
    jobs = [_job(str(k), tuple(sorted(reads[k])), gpu=1) for k in range(count)]
    took = dict(zip((job.key for job in jobs), hours, strict=True))
    wall = wall_hours(jobs, took, gpus, 100)
    assert sum(hours) / gpus - 1e-9 <= wall <= sum(hours) + 1e-9
    assert wall >= max(hours) - 1e-9
    assert wall_hours(jobs, took, 100, 100) <= wall + 1e-9


def test_stages_stand_in_the_order_in_which_they_can_run():
    late = _job("table", ("model.out",), benchmark="r/benchmarks/tables/t.tsv")
    early = _job("model", benchmark="r/benchmarks/pretrain/x/y/seed0.tsv")
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
        _job(f"{stage}{k}", reads, gpu=1, benchmark=f"r/benchmarks/{stage}/{k}.tsv")
        for stage, reads in (("tsne", ()), ("attention", ()), ("figures", ("tsne0.out",)))
        for k in range(3)
    ]
    hours = {job.key: 1.0 + 0.7 * (place % 4) for place, job in enumerate(jobs)}
    assert stage_order(jobs) == stage_order(jobs[::-1]) == ["attention", "tsne", "figures"]
    assert len({wall_hours(order, hours, 2, 8) for order in permutations(jobs[:6])}) == 1


def test_what_many_models_of_few_images_cost_to_score_is_counted_by_their_files():
    rows = [f"results/evaluate/low-data/finetune/1pct/draw{k}/m/predictions.parquet" for k in range(480)]
    table = _job(
        "low_data_finetune_mimic-cxr_vit-small",
        tuple(rows),
        rule="low_data_table",
        benchmark="r/benchmarks/tables/low_data_finetune_mimic-cxr_vit-small.tsv",
        command="mmsn report low-data --statistics '{\"resamples\": 1000}'",
    )
    published = dataclasses.replace(split_as_published(PUBLISHED, ""), test=PUBLISHED_TEST)
    seconds = {
        threads: 3600 * Estimator([], published, None).cost(dataclasses.replace(table, threads=threads)).hours
        for threads in (1, 4)
    }
    assert seconds[1] == pytest.approx(12 + 480 * (0.4 + 0.8))
    assert seconds[4] == pytest.approx(12 + 480 * (0.4 + 0.2))
    no_files = dataclasses.replace(table, inputs=("results/statistics/linear/summary.parquet",))
    assert 3600 * Estimator([], published, None).cost(no_files).hours == pytest.approx(12)


def test_every_stage_whose_hours_are_assumed_has_its_assumption_printed():
    stages = [*SOURCES, *STAGE_MINUTES, "attention", "tsne", "evaluate/ehr-only"]
    jobs = [_job(stage, benchmark=f"r/benchmarks/{stage}/x/y.tsv") for stage in dict.fromkeys(stages)]
    text = plan_text(make_plan(jobs, jobs, split_as_published(PUBLISHED, ""), None), [1], None)
    grounds = text.partition("Assumed")[2].splitlines()
    stated = {stage for line in grounds for stage in line.partition(":")[0].strip().split(", ")}
    assert set(stages) <= stated


def test_a_plan_says_how_many_images_of_other_data_sets_it_counts_and_from_where(folder):
    jobs = [
        _job(name, command=f"mmsn x --images results/cohort/{name}/images.parquet --log l")
        for name in ("nih-14", "mine")
    ]
    text = plan_text(make_plan(jobs, jobs, split_as_published(PUBLISHED, ""), None), [1], None)
    assert "Images of other data sets: mine 10,000 (a guess), nih-14 51,759 (published)." in text


# --- from measurements


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
    job, sizes = _pretraining("vit-small"), split_as_published(10_000, "")
    cost = Estimator([job], sizes, known).cost(job)
    assert cost.measured
    assert cost.hours == pytest.approx((12 + 100 * sizes.train / 1000) / 3600)
    assert cost.memory_gb == 2.5
    text = plan_text(make_plan([job], [job], sizes, known), [1], None)
    assert f"Measured: {tmp_path}, 1,000 images, on a GPU" in text


def test_another_backbones_measurements_are_not_used(tmp_path):
    job = _pretraining("vit-tiny")
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
    job = _job(
        rule="low_data",
        wildcards={"backbone": "vit-small", "method": "msn", "seed": "0", "percent": "10", "draw": "1"},
        benchmark=f"r/benchmarks/evaluate/low-data/{protocol}/10pct/draw1/mimic-cxr/vit-small/msn/seed0.tsv",
        command=f"mmsn evaluate {protocol} --settings '{{\"max_epochs\": {epochs}}}' --subset '{{\"share\": 0.1}}'",
    )
    sizes, known = Sizes(1000, 0, 0, ""), read_measurements(folder)
    cost = Estimator([_pretraining("vit-small"), job], sizes, known).cost(job)
    assert cost.measured
    assert 3600 * cost.hours == pytest.approx(took[protocol])


def test_a_table_of_few_small_files_is_no_measure_of_the_speed_of_scoring(tmp_path):
    folder, name = _measured_folder(tmp_path, seconds=112.0), "low_data_finetune_mimic-cxr_vit-small"
    (folder / "benchmarks/tables").mkdir()
    (folder / "benchmarks/tables" / f"{name}.tsv").write_text("s\th:m:s\tmax_rss\n5.0\t-\t400\n")
    run = "evaluate/low-data/finetune/10pct/draw{}/mimic-cxr/vit-small/msn/seed0/predictions.parquet"
    for draw in range(2):
        write_table(folder / run.format(draw), pa.table({"score": [0.5]}))
    write_table(folder / "cohort/mimic-cxr/rows.parquet", pa.table({"split": ["test"] * (PUBLISHED_TEST // 1000)}))
    table = _job(
        inputs=tuple(f"results/{run.format(draw)}" for draw in range(100)),
        benchmark=f"r/benchmarks/tables/{name}.tsv",
        command="mmsn report low-data --statistics '{\"resamples\": 1000}'",
    )
    known = read_measurements(folder)
    same = dataclasses.replace(table, inputs=table.inputs[:2])
    small, whole = Sizes(0, 0, PUBLISHED_TEST // 1000, ""), Sizes(0, 0, PUBLISHED_TEST, "")
    assert 3600 * Estimator([], small, known).cost(same).hours == pytest.approx(5.0)
    assert 3600 * Estimator([], whole, known).cost(table).hours == pytest.approx(5.0 + 100 * 1.2, rel=0.001)


# --- why again


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("Missing output files: results/t.csv, results/t.md", "t.csv, t.md are not there"),
        ("Updated input files: data/encoder.safetensors", "encoder.safetensors is newer than the result"),
        ("Set of input files has changed since last execution", "it reads other files than before"),
        (
            "Params have changed since last execution: Union of exclusive params before and now across all output: "
            "before: '0123456789abcdef' now: 'fedcba9876543210' ",
            "the code behind it changed",
        ),
        (
            "Params have changed since last execution: Union of exclusive params before and now across all output: "
            'before: \'{"epochs":100,"views":{"focal_views":10,"hflip":0.5}}\' '
            'now: \'{"epochs":50,"views":{"focal_views":8,"hflip":0.5}}\' ',
            "changed settings: epochs 100 -> 50, views.focal_views 10 -> 8",
        ),
        ("Something that Snakemake may say one day", "Something that Snakemake may say one day"),
    ],
)
def test_snakemakes_reasons_become_plain_words(reason, words):
    causes = why(_job(reason=reason)).causes
    assert any(words in cause for cause in causes), causes


def test_a_job_that_only_follows_has_no_cause_of_its_own():
    assert why(_job(reason="Input files updated by another job: results/a.parquet")) == why(
        _job(reason="Input files updated by another job: results/b.parquet")
    )
    assert why(_job(reason="Input files updated by another job: results/a.parquet")).follows


# --- where it stands


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _log(text: str, name: str = "a") -> None:
    Path(f"{name}.log").write_text("".join(f"2026-01-01 00:00:00,000 {line}\n" for line in text.splitlines()))


def _state(job: Job, evidence: Evidence = NOTHING) -> tuple[str, str]:
    judged = judge([job], [job], evidence)[0]
    return judged.state, judged.note


def test_a_job_that_snakemake_would_not_run_is_done(folder):
    assert judge([_job()], [], NOTHING)[0].state == "done"


def test_a_job_without_results_waits_and_one_with_results_is_stale(folder):
    assert _state(_job())[0] == "waiting"
    Path("a.out").touch()
    assert _state(_job())[0] == "stale"


def test_a_failed_job_shows_the_last_error_of_its_log(folder):
    _log("INFO epoch 1 of 6\nERROR error: train.csv: column Path is missing")
    assert _state(_job()) == ("failed", "train.csv: column Path is missing")


def test_a_job_that_was_killed_without_a_word_is_failed_too(folder):
    _log("INFO epoch 1 of 6: 20 of 100")
    state, note = _state(_job(), dataclasses.replace(NOTHING, failed=frozenset({"a.log"})))
    assert state == "failed"
    assert "killed" in note
    assert "epoch 1 of 6: 20 of 100" in note


def test_a_signal_is_no_failure(folder):
    _log("ERROR stopped by a signal, state saved: ViT msn; the same command goes on from there")
    assert _state(_job())[0] == "stopped"


def test_a_living_process_is_sure_and_its_last_line_is_its_progress(folder):
    _log("INFO ViT msn: epoch 3 of 6: 45 of 100, about 0.4 min left")
    state, note = _state(_job(), dataclasses.replace(NOTHING, logs=frozenset({"a.log"})))
    assert (state, note) == ("running", "ViT msn: epoch 3 of 6: 45 of 100, about 0.4 min left (its process is alive)")


def test_a_living_process_whose_log_is_silent_is_shown_to_be_so(folder):
    _log("INFO ViT msn: epoch 3 of 6")
    alive = dataclasses.replace(NOTHING, logs=frozenset({"a.log"}))
    for minutes, said in ((4, "its process is alive)"), (17, "its process is alive; log silent for 17 min)")):
        then = time.time() - 60 * minutes
        os.utime("a.log", (then, then))
        assert _state(_job(), alive) == ("running", f"ViT msn: epoch 3 of 6 ({said}")


def test_a_job_begun_elsewhere_is_probably_running_while_its_log_is_fresh(folder):
    _log("INFO epoch 2 of 6")
    begun = dataclasses.replace(NOTHING, begun=frozenset({"a.out"}), locked=True)
    assert "probably" in _state(_job(), begun)[1]
    os.utime("a.log", (0, 0))
    assert _state(_job(), begun)[0] == "stopped"
    assert "not sure" in _state(_job(), dataclasses.replace(begun, alive=True))[1]


def test_a_job_begun_and_left_without_a_lock_was_cut_off_and_says_where_it_goes_on(folder):
    save_checkpoint(Path("u.safetensors"), "f", {"w": torch.zeros(2)}, {"epoch": 4, "step": 12, "history": []})
    job = _job(command="mmsn pretrain --checkpoint u.safetensors")
    state, note = _state(job, dataclasses.replace(NOTHING, begun=frozenset({"a.out"})))
    assert state == "stopped"
    assert "saved in epoch 5, after step 12" in note


def test_a_checkpoints_header_is_read_and_nothing_else(tmp_path):
    path = tmp_path / "unfinished.safetensors"
    save_checkpoint(path, "f", {"w": torch.zeros(1000)}, {"epochs": 3, "probes": {}})
    path.write_bytes(path.read_bytes()[:-4000])  # the tensors are gone
    assert checkpoint_standing(str(path)) == "saved after epoch 3"
    path.write_bytes(b"no")
    assert "could not be read" in (checkpoint_standing(str(path)) or "")
    assert checkpoint_standing(str(tmp_path / "none")) is None


def test_snakemakes_own_marks_are_read(tmp_path):
    name = "results/pretrain/vit/msn/seed0/encoder.safetensors"
    coded = base64.urlsafe_b64encode(name.encode()).decode()
    parts = [f"@{coded[:20]}", coded[20:]]  # as Snakemake cuts names that are too long for the file system
    (tmp_path / ".snakemake/incomplete" / parts[0]).mkdir(parents=True)
    (tmp_path / ".snakemake/incomplete" / parts[0] / parts[1]).write_text("{}")
    (tmp_path / ".snakemake/locks").mkdir()
    (tmp_path / ".snakemake/locks/0.input.lock").touch()
    seen = gather(tmp_path)
    assert seen.begun == {name}
    assert seen.locked
    assert not seen.alive


def test_stale_jobs_stand_under_their_cause_and_those_that_follow_are_counted(folder):
    Path("a.out").touch()
    Path("b.out").touch()
    cause = _job("a", reason="Set of input files has changed since last execution")
    follower = _job("b", ("a.out",), reason="Input files updated by another job: a.out")
    text = status_text(judge([cause, follower], [cause, follower], NOTHING), NOTHING)
    assert "figures (figures/a): it reads other files than before" in text
    assert "what reads from jobs that run: figures 1" in text


def test_runs_and_stages_stand_in_one_order_however_snakemake_lists_them(folder):
    names = ["msn/seed0", "msn/seed2", "msn/seed10", "msn+ehr.sex/seed0"]
    jobs = []
    for name in names:
        made, log = Path(f"vit/{name}"), f"logs/pretrain/vit/{name}.log"
        method, _, seed = name.partition("/seed")
        made.mkdir(parents=True)
        (made / "encoder").touch()
        jobs.append(
            _job(
                wildcards={"backbone": "vit", "method": method, "seed": seed},
                outputs=(f"{made}/encoder",),
                log=log,
                benchmark=f"r/benchmarks/pretrain/vit/{name}.tsv",
                reason="Set of input files has changed since last execution",
            )
        )
    for stage, reads in (("tsne", "vit/msn/seed0/encoder"), ("embeddings", "vit/msn/seed0/encoder")):
        Path(f"{stage}.out").touch()
        reason = f"Input files updated by another job: {reads}"
        jobs.append(_job(stage, (reads,), benchmark=f"r/benchmarks/{stage}/x.tsv", reason=reason))
    texts = {status_text(judge(order, order, NOTHING), NOTHING) for order in permutations(jobs)}
    assert len(texts) == 1
    assert "pretrain (vit/msn/seed0, vit/msn/seed2, vit/msn/seed10 and 1 more): it reads other" in (text := texts.pop())
    assert "what reads from jobs that run: embeddings 1, tsne 1" in text
