"""Packs from files to files: the first job trains, the others write. Which runs share a process, or a GPU."""

import json
import logging
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from shlex import quote
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from filelock import FileLock
from safetensors.torch import load_file

from mmsn import devices
from mmsn.checkpoint import save_checkpoint
from mmsn.errors import UserError
from mmsn.files import write_table
from mmsn.methods import parse_method
from mmsn.planning.evidence import Evidence
from mmsn.planning.jobs import Job
from mmsn.planning.plan import make_plan, plan_text
from mmsn.planning.sizes import split_as_published
from mmsn.planning.states import judge
from mmsn.study import Run, load_study
from mmsn.training.companions import is_current, read_companions
from mmsn.training.member import PretrainFiles, PretrainRun
from mmsn.training.pack import Pack
from mmsn.training.packs import companions, packs_of
from mmsn.training.run import run_pretraining
from tests.unit.planning_parts import pretraining
from tests.unit.training_parts import BACKBONE, make_store, settings_of

TIMES = ["images_per_second", "peak_memory_gb"]


@pytest.fixture
def folder(tmp_path):
    make_store(tmp_path)
    ids = [f"d{i:02d}" for i in range(40)]
    patients = list(range(40))
    rows = {"dicom_id": ids, "subject_id": patients, "study_id": patients, "split": ["train"] * 40}
    write_table(tmp_path / "rows.parquet", pa.table(rows))
    _features(tmp_path, "sex", 2)
    _features(tmp_path, "age", 1)
    return tmp_path


def _features(folder: Path, name: str, columns: int, seed: int = 0) -> None:
    values = np.random.default_rng(seed).random((40, columns), dtype=np.float32)
    table = {"dicom_id": [f"d{i:02d}" for i in range(40)], **{f"c{n}": values[:, n] for n in range(columns)}}
    write_table(folder / f"{name}.parquet", pa.table(table))


def _job(folder: Path, into: str, text: str) -> tuple[PretrainFiles, PretrainRun]:
    method = parse_method(text)
    home = folder / into / method.id
    home.mkdir(parents=True, exist_ok=True)
    features = folder / f"{method.feature_set}.parquet" if method.feature_set else None
    results = [home / name for name in ("encoder", "history", "resolved.yaml", "card", "unfinished.safetensors")]
    files = PretrainFiles(folder / "rows.parquet", features, folder, *results, home / "tensorboard")
    return files, PretrainRun(method, BACKBONE, settings_of(method, epochs=1), 1)


def _start(folder: Path, into: str, text: str, beside=()) -> None:
    others = [_job(folder, into, other) for other in beside]
    run_pretraining(*_job(folder, into, text), 1e9, 1, "cpu", others)


def _results(folder: Path, into: str, text: str):
    files, _ = _job(folder, into, text)
    return load_file(files.encoder), pq.read_table(files.history).drop_columns(TIMES)


def _assert_same_results(folder: Path, text: str) -> None:
    (ours, curve), (theirs, expected) = (_results(folder, into, text) for into in ("pack", "alone"))
    assert curve.equals(expected)
    assert [name for name in theirs if not torch.equal(ours[name], theirs[name])] == []


ALL = ["msn", "msn+ehr(sex)", "msn+ehr(age)"]


def test_the_first_job_of_a_pack_trains_all_and_the_others_write(folder, caplog):
    caplog.set_level(logging.INFO)
    for text in ALL:
        _start(folder, "alone", text)
    assert "loss" in caplog.text
    _start(folder, "pack", "msn", [text for text in ALL if text != "msn"])
    left = [_job(folder, "pack", text)[0] for text in ALL[1:]]
    assert all(files.checkpoint.is_file() and not files.encoder.exists() for files in left)
    for text in ALL[1:]:
        caplog.clear()
        _start(folder, "pack", text, [other for other in ALL if other != text])
        assert "loss" not in caplog.text  # nothing was trained
    for text in ALL:
        files, run = _job(folder, "pack", text)
        _assert_same_results(folder, text)
        assert is_current(files, run)
        assert not files.checkpoint.exists()
        assert yaml.safe_load(files.resolved.read_text())["runs_in_a_process"] == len(ALL)


def test_a_pack_trains_what_is_not_done_and_leaves_the_rest_alone(folder):
    for text in ALL:
        _start(folder, "pack", text)
    before = {text: _job(folder, "pack", text)[0].encoder.stat().st_mtime_ns for text in ALL}
    _features(folder, "age", 1, seed=1)  # one of them is stale now
    (folder / "sex.parquet").rename(folder / "later")  # one cannot start, two are done
    _start(folder, "pack", "msn+ehr(age)", [text for text in ALL if text != "msn+ehr(age)"])
    after = {text: _job(folder, "pack", text)[0].encoder.stat().st_mtime_ns for text in ALL}
    assert {text for text in after if after[text] != before[text]} == {"msn+ehr(age)"}
    assert not any(_job(folder, "pack", text)[0].checkpoint.exists() for text in ALL)
    resolved = yaml.safe_load(_job(folder, "pack", "msn+ehr(age)")[0].resolved.read_text())
    assert resolved["runs_in_a_process"] == 1


def test_a_companion_whose_features_are_made_again_meanwhile_starts_again(folder, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    trained = Pack._train

    def new_features_then(self, *place):
        trained(self, *place)
        _features(folder, "sex", 2, seed=5)

    monkeypatch.setattr(Pack, "_train", new_features_then)
    _start(folder, "pack", "msn", ["msn+ehr(sex)", "msn+ehr(age)"])
    assert caplog.text.count("starts again: its features were made again") == 1
    monkeypatch.undo()
    for text in ALL[1:]:
        _start(folder, "pack", text, ["msn"])
    for text in ALL:
        _start(folder, "alone", text)
        _assert_same_results(folder, text)


def test_a_companion_with_damaged_results_is_trained_once_more(folder):
    _start(folder, "pack", "msn+ehr(sex)")
    files, run = _job(folder, "pack", "msn+ehr(sex)")
    assert is_current(files, run)
    files.resolved.write_text("method: [msn")
    assert not is_current(files, run)
    _start(folder, "pack", "msn", ["msn+ehr(sex)"])
    assert files.checkpoint.is_file()


def test_a_run_that_another_process_trains_or_with_a_foreign_checkpoint_is_left_out(folder, caplog):
    taken, foreign = (_job(folder, "pack", text)[0].checkpoint for text in ("msn+g", "msn+ehr(sex)"))
    foreign.write_bytes(b"of somebody else")
    with FileLock(taken.with_suffix(".lock")):
        _start(folder, "pack", "msn", ["msn+g", "msn+ehr(sex)", "msn+ehr(age)"])
    assert not taken.exists()
    assert foreign.read_bytes() == b"of somebody else"
    assert _job(folder, "pack", "msn+ehr(age)")[0].checkpoint.is_file()


def test_a_job_whose_own_run_fails_finishes_its_companions_first(folder):
    spoilt = pq.read_table(folder / "sex.parquet").to_pydict()
    spoilt["c0"] = np.full(40, np.nan, np.float32)
    write_table(folder / "sex.parquet", pa.table(spoilt))
    with pytest.raises(UserError, match=r"msn\+ehr\.sex: the loss is nan at epoch 1"):
        _start(folder, "pack", "msn+ehr(sex)", ["msn", "msn+ehr(age)"])
    for text in ("msn", "msn+ehr(age)"):
        _start(folder, "alone", text)
        _start(folder, "pack", text, ["msn+ehr(sex)"])
        _assert_same_results(folder, text)
    with pytest.raises(UserError, match=r"msn\+ehr\.sex: the loss is nan at epoch 1"):
        _start(folder, "pack", "msn+ehr(sex)", ["msn", "msn+ehr(age)"])


def test_companions_travel_as_json(folder):
    files, run = _job(folder, "pack", "msn")
    text = f'[{{"method": "msn+ehr.sex", "folder": "{folder}/pack/msn+ehr.sex", "features": "{folder}/sex.parquet"}}]'
    expected, other = _job(folder, "pack", "msn+ehr(sex)")
    assert read_companions(text, files, run) == [(expected, replace(other, settings=run.settings))]


# Which runs share a process.


def _study(config, **runs):
    return load_study({**config, "runs": {**config["runs"], **runs}})


@pytest.fixture(scope="module")
def config():
    return yaml.safe_load((Path(__file__).parents[2] / "config.yaml").read_text())


def test_without_a_word_every_run_is_alone(config):
    study = _study(config)
    assert {len(pack) for pack in packs_of(study)} == {1}
    assert companions(packs_of(study), study.grid[0], "results") == []


def test_one_pass_over_the_images_feeds_msn_all_thirteen_variants_and_the_controls(config):
    packs = packs_of(_study(config, pack=20, seeds=[0, 1]))
    sizes = sorted(len(pack) for pack in packs)
    assert sizes == [1] * 2 * 2 * 2 + [1 + 13 + 3] * 2 * 2  # DINO and MAE have settings, and views, of their own
    for pack in packs:
        assert len({(run.backbone, run.seed, run.method.family) for run in pack}) == 1


@pytest.mark.parametrize(("most", "sizes"), [(13, [8, 9]), (6, [5, 6, 6]), (2, [1] + [2] * 8)])
def test_packs_are_as_even_as_can_be(config, most, sizes):
    packs = packs_of(_study(config, pack=most, backbones=["vit-tiny"]))
    assert sorted(len(pack) for pack in packs if pack[0].method.family == "msn") == sizes


def test_what_is_not_trained_is_in_no_pack(config):
    study = _study(config, pack=13)
    random = Run("vit-tiny", parse_method("random-init"), 0)
    assert random in study.grid
    assert random not in {run for pack in packs_of(study) for run in pack}


# The other way: processes that share a GPU.


@pytest.mark.parametrize(("taken", "given"), [([], 0), (["a"], 1), (["a", "b"], 0), (["a", "b", "a-1"], 1)])
def test_jobs_share_gpus_evenly_where_they_may(monkeypatch, tmp_path, taken, given):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda place: SimpleNamespace(uuid="ab"[place]))
    monkeypatch.setattr(devices, "lease_folder", lambda: tmp_path)
    monkeypatch.setenv(devices.JOBS_A_GPU, "2")
    with ExitStack() as others:
        for name in taken:
            others.enter_context(FileLock(tmp_path / f"{name}.lock"))
        assert devices.pick_device("auto") == torch.device("cuda", given)


def test_a_number_of_jobs_a_gpu_that_is_none_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda place: SimpleNamespace(uuid="a"))
    monkeypatch.setenv(devices.JOBS_A_GPU, "many")
    with pytest.raises(UserError, match="MMSN_JOBS_A_GPU: 'many' is not a number of jobs"):
        devices.pick_device("auto")


# What a plan says of packs.


def _packed(method: str, *others: str) -> Job:
    job = pretraining("vit-tiny", method)
    beside = [{"method": other, "folder": f"r/{other}", "features": None} for other in others]
    return replace(job, command=f"{job.command} --checkpoint r/{method}/unfinished --pack {quote(json.dumps(beside))}")


def test_a_plan_has_one_long_job_a_pack_and_the_others_behind_it():
    jobs = [_packed("msn", "msn+g"), _packed("msn+g", "msn"), pretraining("vit-tiny", "dino")]
    apart = [pretraining("vit-tiny", method) for method in ("msn", "msn+g", "dino")]
    sizes = split_as_published(376_201, "")
    packed, separate = make_plan(jobs, jobs, sizes, None), make_plan(apart, apart, sizes, None)
    hours = {job.wildcards["method"]: packed.costs[job.key].hours for job in packed.jobs}
    assert hours["msn+g"] < 0.1 < 30 < hours["msn"]
    assert sum(hours.values()) == pytest.approx(separate.stages()[0].gpu_hours)
    assert packed.wall_hours(8, 64) == pytest.approx(hours["msn"] + hours["msn+g"])
    assert "Packs (runs.pack)" in plan_text(packed, [1], None)
    assert "Packs (runs.pack)" not in plan_text(separate, [1], None)


def test_a_run_that_its_pack_trains_counts_as_waiting_and_not_as_stopped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state = {"epoch": 3, "step": 5}
    save_checkpoint(tmp_path / "r/msn/unfinished", "f", {"x": torch.zeros(1)}, state)
    job = _packed("msn", "msn+g")
    nothing = Evidence(frozenset(), False, None, frozenset(), frozenset())
    [standing] = judge([job], [job], nothing)
    assert standing.state == "waiting"
    assert "its pack goes on from there" in standing.note
    job = replace(job, command=job.command.partition(" --pack")[0])
    [standing] = judge([job], [job], nothing)
    assert (standing.state, "by a pack" in standing.note) == ("waiting", True)
    Path(job.log).parent.mkdir(parents=True, exist_ok=True)
    Path(job.log).write_text("2026-11-23 07:00:00 epoch 3\n")
    [standing] = judge([job], [job], nothing)
    assert standing.state == "stopped"
