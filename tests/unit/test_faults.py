"""The fault campaign's own checks can fail: each is shown something that is wrong."""

import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from tests.reliability.faults.damage import flipped, truncated
from tests.reliability.faults.kills import Kill
from tests.reliability.faults.lines import unclear
from tests.reliability.faults.processes import kill, living, outlived
from tests.reliability.faults.results import contents, differing, finished, leftovers, lost
from tests.reliability.faults.table import rendered, rows_of_kills

ENCODER = "pretrain/msn/seed0/encoder.safetensors"
HISTORY = "pretrain/msn/seed0/history.parquet"


@pytest.fixture
def results(tmp_path):
    """An encoder, a history and a table."""
    folder = tmp_path / "results"
    (folder / ENCODER).parent.mkdir(parents=True)
    (folder / "logs").mkdir()
    save_file({"weight": torch.ones(3)}, folder / ENCODER, {"method": "msn"})
    pq.write_table(pa.table({"loss": [1.0, 0.5], "images_per_second": [10.0, 11.0]}), folder / HISTORY)
    (folder / "table.md").write_text("| AUROC |\n")
    return folder


def _changed(results, change):
    before = contents(results)
    change()
    return differing(before, contents(results))


def test_a_changed_weight_is_noticed(results):
    almost = {"weight": torch.tensor([1.0, 1.0, 1.0 + 1e-7])}
    assert _changed(results, lambda: save_file(almost, results / ENCODER, {"method": "msn"})) == [ENCODER]


def test_changed_metadata_are_noticed(results):
    assert _changed(results, lambda: save_file({"weight": torch.ones(3)}, results / ENCODER, {"method": "x"})) == [
        ENCODER
    ]


@pytest.mark.parametrize(("column", "noticed"), [("loss", [HISTORY]), ("images_per_second", [])])
def test_a_changed_loss_is_noticed_and_a_changed_speed_is_not(results, column, noticed):
    columns = {"loss": [1.0, 0.5], "images_per_second": [10.0, 11.0]} | {column: [3.0, 4.0]}
    assert _changed(results, lambda: pq.write_table(pa.table(columns), results / HISTORY)) == noticed


def test_a_table_that_is_gone_and_one_too_many_are_noticed(results):
    def change():
        (results / "table.md").rename(results / "other.md")
        (results / "logs/job.log").write_text("says when, not what")

    assert _changed(results, change) == ["other.md", "table.md"]


def test_what_is_made_again_or_gone_is_lost_and_what_was_begun_is_not_finished(results):
    project = results.parent
    begun = project / ".snakemake/incomplete"
    begun.mkdir(parents=True)
    (begun / "cmVzdWx0cy90YWJsZS5tZA==").touch()  # results/table.md, as Snakemake writes it
    before = finished(project)
    assert sorted(before) == [f"results/{ENCODER}", f"results/{HISTORY}"]
    assert not lost(before, project)
    (results / HISTORY).unlink()
    data = (results / ENCODER).read_bytes()
    (results / ENCODER).unlink()
    (results / ENCODER).write_bytes(data)
    assert sorted(lost(before, project)) == [f"results/{ENCODER}", f"results/{HISTORY}"]


def test_unfinished_work_is_noticed(results):
    for name in ("pretrain/unfinished.safetensors", ".table-abc.md", "p10.npy.partial.jsonl"):
        (results / name).touch()
    assert leftovers(results) == [".table-abc.md", "p10.npy.partial.jsonl", "pretrain/unfinished.safetensors"]


LINE = "error: results/a.parquet: damaged table; delete it, and the same command makes it again"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (f"Job 3\n{LINE}\nStopped.\n", None),
        (f"{LINE}\n{LINE}\n", None),
        ("Job 3\nsomething failed\n", "no line"),
        (f"{LINE}\nerror: another\n", "2 different"),
        (f'Traceback (most recent call last):\n  File "x.py"\n{LINE}\n', "a traceback"),
        ("error: results/b.parquet: damaged; delete it\n", "does not name"),
        ("error: results/a.parquet: damaged\n", "no next step"),
        (f"{LINE}\nsubject_id 10000032\n", "an id of a patient"),
    ],
)
def test_only_one_clear_line_passes(said, why):
    verdict = unclear(said, "results/a.parquet", ["10000032"])
    assert verdict is None if why is None else why in verdict


def test_damage_keeps_date_and_inode_so_that_only_the_content_tells(tmp_path):
    path, second = tmp_path / "x", tmp_path / "x.kept"
    path.write_bytes(bytes(100))
    second.hardlink_to(path)
    there = path.stat()
    flipped(path, 0.5)
    assert second.read_bytes() == bytes(50) + b"\xff" + bytes(49)
    truncated(path)
    assert second.stat().st_size == 50
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (there.st_mtime_ns, there.st_ino)


def test_processes_are_found_by_session_and_killed_by_number():
    sleeps = [sys.executable, "-c", "import subprocess, sys; subprocess.run(['sleep', '60'])"]
    run = subprocess.Popen(sleeps, start_new_session=True)
    while len(there := living(run.pid)) < 2:
        assert run.poll() is None
    parent, child = sorted(there, key=lambda process: process.number != run.pid)
    assert kill(parent)
    run.wait()
    assert [process.number for process in outlived(run.pid, 0.2)] == [child.number]
    assert kill(child)
    assert outlived(run.pid, 5) == []


def test_a_kill_with_a_problem_fails_its_row():
    kills = [Kill(1, "snakemake", "a", 1.0, 3), Kill(2, "job: pretrain", "b", 1.0, 3, ["lost or made again: x"])]
    rows = rows_of_kills(kills, completed=1)
    assert [row.passed for row in rows] == [False, True]
    assert not any(row.passed for row in rows_of_kills(kills, completed=0))  # nothing was compared
    assert "FAILED: lost or made again: x" in rendered(rows)
