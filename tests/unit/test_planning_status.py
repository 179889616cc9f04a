"""Where a run stands, and why a job would run again."""

import base64
import dataclasses
import os
import time
from itertools import permutations
from pathlib import Path

import pytest
import torch

from mmsn.checkpoint import save_checkpoint
from mmsn.planning.evidence import Evidence, checkpoint_standing, gather
from mmsn.planning.jobs import Job
from mmsn.planning.reasons import why
from mmsn.planning.states import judge
from mmsn.planning.status import status_text
from tests.unit.planning_parts import NOTHING, a_job


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
    causes = why(a_job(reason=reason)).causes
    assert any(words in cause for cause in causes), causes


def test_a_job_that_only_follows_has_no_cause_of_its_own():
    assert why(a_job(reason="Input files updated by another job: results/a.parquet")) == why(
        a_job(reason="Input files updated by another job: results/b.parquet")
    )
    assert why(a_job(reason="Input files updated by another job: results/a.parquet")).follows


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
    assert judge([a_job()], [], NOTHING)[0].state == "done"


def test_a_job_without_results_waits_and_one_with_results_is_stale(folder):
    assert _state(a_job())[0] == "waiting"
    Path("a.out").touch()
    assert _state(a_job())[0] == "stale"


def test_a_failed_job_shows_the_last_error_of_its_log(folder):
    _log("INFO epoch 1 of 6\nERROR error: train.csv: column Path is missing")
    assert _state(a_job()) == ("failed", "train.csv: column Path is missing")


def test_a_job_that_was_killed_without_a_word_is_failed_too(folder):
    _log("INFO epoch 1 of 6: 20 of 100")
    state, note = _state(a_job(), dataclasses.replace(NOTHING, failed=frozenset({"a.log"})))
    assert state == "failed"
    assert "killed" in note
    assert "epoch 1 of 6: 20 of 100" in note


def test_a_signal_is_no_failure(folder):
    _log("ERROR stopped by a signal, state saved: ViT msn; the same command goes on from there")
    assert _state(a_job())[0] == "stopped"


def test_a_living_process_is_sure_and_its_last_line_is_its_progress(folder):
    _log("INFO ViT msn: epoch 3 of 6: 45 of 100, about 0.4 min left")
    state, note = _state(a_job(), dataclasses.replace(NOTHING, logs=frozenset({"a.log"})))
    assert (state, note) == ("running", "ViT msn: epoch 3 of 6: 45 of 100, about 0.4 min left (its process is alive)")


def test_a_living_process_whose_log_is_silent_is_shown_to_be_so(folder):
    _log("INFO ViT msn: epoch 3 of 6")
    alive = dataclasses.replace(NOTHING, logs=frozenset({"a.log"}))
    for minutes, said in ((4, "its process is alive)"), (17, "hung? its process is alive, its log silent for 17 min)")):
        then = time.time() - 60 * minutes
        os.utime("a.log", (then, then))
        assert _state(a_job(), alive) == ("running", f"ViT msn: epoch 3 of 6 ({said}")


def test_a_job_begun_elsewhere_is_probably_running_while_its_log_is_fresh(folder):
    _log("INFO epoch 2 of 6")
    begun = dataclasses.replace(NOTHING, begun=frozenset({"a.out"}), locked=True)
    assert "probably" in _state(a_job(), begun)[1]
    os.utime("a.log", (0, 0))
    assert _state(a_job(), begun)[0] == "stopped"
    note = _state(a_job(), begun)[1]
    assert note.startswith("lost? its log is silent for")
    assert "no Snakemake is to be seen here; if none of another user, machine or container is at work" in note
    assert "not sure" in _state(a_job(), dataclasses.replace(begun, alive=True))[1]


def test_a_state_that_a_pack_left_is_no_loss_once_each_run_has_its_own_job_again(folder):
    save_checkpoint(Path("u.safetensors"), "f", {"w": torch.zeros(2)}, {"epoch": 4, "step": 12, "history": []})
    job = a_job(command="mmsn pretrain --checkpoint u.safetensors")
    assert _state(job) == ("waiting", "saved in epoch 5, after step 12, by a pack; it goes on from there")
    _log("INFO epoch 1 of 6")
    assert _state(job)[1].startswith("lost: it ended without a word")


def test_a_job_begun_and_left_without_a_lock_was_cut_off_and_says_where_it_goes_on(folder):
    save_checkpoint(Path("u.safetensors"), "f", {"w": torch.zeros(2)}, {"epoch": 4, "step": 12, "history": []})
    job = a_job(command="mmsn pretrain --checkpoint u.safetensors")
    state, note = _state(job, dataclasses.replace(NOTHING, begun=frozenset({"a.out"})))
    assert state == "stopped"
    assert note.startswith("lost: cut off")
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
    cause = a_job("a", reason="Set of input files has changed since last execution")
    follower = a_job("b", ("a.out",), reason="Input files updated by another job: a.out")
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
            a_job(
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
        jobs.append(a_job(stage, (reads,), benchmark=f"r/benchmarks/{stage}/x.tsv", reason=reason))
    texts = {status_text(judge(order, order, NOTHING), NOTHING) for order in permutations(jobs)}
    assert len(texts) == 1
    assert "pretrain (vit/msn/seed0, vit/msn/seed2, vit/msn/seed10 and 1 more): it reads other" in (text := texts.pop())
    assert "what reads from jobs that run: embeddings 1, tsne 1" in text
