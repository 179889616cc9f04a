"""Before the first job: may results be written, is there room, has a killed Snakemake left its lock."""

import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.cli import get_argument_parser
from snakemake.scheduling.job_scheduler import JobRateLimiter
from snakemake.settings.types import MaxJobsPerTimespan

from mmsn.errors import UserError
from mmsn.preflight import check_folders, check_outputs, without_default_rate

Usage = namedtuple("Usage", "total used free")


def _locked(project):
    (project / ".snakemake/locks").mkdir(parents=True)
    (project / ".snakemake/locks/0.input.lock").touch()


def test_a_new_folder_in_one_that_may_be_written_is_fine(tmp_path):
    check_folders(tmp_path / "results/of/mine", tmp_path, [])


def test_results_that_may_not_be_written_are_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path / "results")
    (tmp_path / "results").mkdir()
    with pytest.raises(UserError, match="results: no right to write results here; give it to yourself"):
        check_folders(tmp_path / "results/new", tmp_path, ["--cores", "1"])
    check_folders(tmp_path / "results", tmp_path, ["--cores", "1", "-np"])  # a dry run only looks


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100, 100, 300_000))
    with pytest.raises(UserError, match=r"no space left on its disk \(0\.3 MB free\); free some"):
        check_folders(tmp_path / "results", tmp_path, [])


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_a_lock_that_nobody_holds_names_unlock_and_unlocking_is_let_through(tmp_path):
    _locked(tmp_path)
    with pytest.raises(UserError, match=r"locked, and .* of another user, another machine or a container .* --unlock"):
        check_folders(tmp_path / "results", tmp_path, ["--cores", "1"])
    check_folders(tmp_path / "results", tmp_path, ["--cores", "1", "--unlock"])
    check_folders(tmp_path / "results", tmp_path, ["--nolock"])  # a cluster's job, on another node than its Snakemake


@pytest.mark.parametrize(
    "looking",
    [
        *("-n", "-np", "-pn", "--dry-run", "--report=page.html", "--report page.zip", "--lint", "--dag", "--dag dot"),
        *("--rulegraph", "--filegraph", "--d3dag", "-D", "-S", "-l", "--list", "--list-target-rules", "--lt"),
        *("--list-changes code", "--list-input-changes", "--list-untracked", "--list-conda-envs"),
    ],
)
def test_what_only_looks_needs_no_right_and_no_lock(tmp_path, monkeypatch, looking):
    _locked(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    check_folders(tmp_path / "results", tmp_path, ["--cores", "1", "results/study.yaml", *looking.split()])


@pytest.mark.parametrize(
    "working", ["-j 2", "-c1", "-R pretrain", "--configfile n.yaml", "--report p.html --report-after-run", "--touch"]
)
def test_what_works_needs_the_right_to_write(tmp_path, monkeypatch, working):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(UserError, match="no right to write"):
        check_folders(tmp_path / "results", tmp_path, working.split())


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_a_lock_that_a_living_snakemake_holds_is_left_to_snakemake(tmp_path):
    _locked(tmp_path)
    sleeper = tmp_path / "snakemake"
    sleeper.write_text("import time; print(flush=True); time.sleep(60)")
    other = subprocess.Popen([sys.executable, "snakemake"], cwd=tmp_path, stdout=subprocess.PIPE)
    other.stdout.readline()
    check_folders(tmp_path / "results", tmp_path, [])
    other.kill()
    other.wait()


def test_a_result_that_nobody_may_remove_is_named(tmp_path, monkeypatch):
    protected = tmp_path / "results/pretrain"
    protected.mkdir(parents=True)
    (protected / "kept.safetensors").touch()
    monkeypatch.setattr(os, "access", lambda path, _: path != protected)
    check_outputs([tmp_path / "results/tables/linear.csv", protected / "new.safetensors"])  # its own job says so
    with pytest.raises(UserError, match=r"new/one\.safetensors: to be made .* right to write in .*results/pretrain;"):
        check_outputs([protected / "new/one.safetensors"])
    with pytest.raises(
        UserError, match=r"pretrain/kept\.safetensors: to be made \(snakemake -n says why\), but there is no"
    ):
        check_outputs([tmp_path / "results/tables/linear.csv", protected / "kept.safetensors"])


def test_a_disk_that_may_only_be_read_is_named_where_nothing_is_there_yet(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))
    with pytest.raises(UserError, match=r"results/new\.csv: to be made .* mount its disk for writing"):
        check_outputs([tmp_path / "results/new.csv"])


@pytest.mark.parametrize(("asked", "kept"), [([], False), (["--max-jobs-per-timespan", "50/1m"], True)])
def test_only_a_rate_that_a_user_chose_stays(asked, kept):
    limit = get_argument_parser().parse_args(asked).max_jobs_per_timespan
    chosen = MaxJobsPerTimespan.parse_choice(limit) if isinstance(limit, str) else limit
    scheduler = SimpleNamespace(job_rate_limiter=JobRateLimiter(chosen))
    without_default_rate(scheduler)
    assert (scheduler.job_rate_limiter is not None) == kept
