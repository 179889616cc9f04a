"""What a study asks of a shared file system: few files, no trust in dates, nothing that only one machine sees."""

import json
import os
import random
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from tests.workflow.project import ROOT, Project, bound_by_rights

pytestmark = pytest.mark.workflow
# Declared to nobody, because Snakemake deletes what is: shards that a next run copies from, TensorBoard's one file a
# run, and locks, which are empty.
_UNDECLARED = re.compile(r"images/[^/]+/\w+\.(npy|parquet)\.kept|pretrain/.*/tensorboard/events\.[^/]+|.*\.lock")


def _declared(project: Project, *arguments: str) -> set[str]:
    """Every output of the study, as `--summary` lists them."""
    listed = project.snakemake("--summary", *arguments).stdout.partition("output_file\t")[2]
    return {line.split("\t")[0] for line in listed.splitlines()[1:] if "\t" in line}


def test_a_copy_whose_files_have_any_dates_retrains_nothing(finished, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(finished[0].folder, copy, symlinks=True, copy_function=shutil.copyfile)
    files = [path for path in copy.rglob("*") if path.is_file() and not path.is_symlink()]
    dates = random.Random(0)
    for path in files:
        when = 1.7e9 + 1e7 * dates.random()
        os.utime(path, (when, when))
    assert len(files) > 500
    assert "Nothing to be done" in Project.at(copy).snakemake("--dry-run").stdout


def test_a_study_leaves_the_files_it_declares_a_log_and_a_benchmark_a_job_and_no_others(finished, made):
    declared = _declared(finished[0])
    unknown = made - declared
    of_jobs = {name for name in unknown if name.startswith(("results/logs/", "results/benchmarks/"))}
    assert len(of_jobs) <= 2 * len(declared)  # a job has one log, one benchmark and at least one output
    stray = {name for name in unknown - of_jobs if not _UNDECLARED.fullmatch(name.removeprefix("results/"))}
    assert len(made) > 400
    assert not stray


def test_more_patients_are_not_more_files(fresh):
    done = fresh.mmsn("synth", "--output", "few", "--patients", "24", "--tables-only", "--seed", "1")
    assert done.returncode == 0, done.stdout
    few = json.dumps({"mimic_iv": "few/mimic-iv", "mimic_cxr": "few/mimic-cxr-jpg"})
    files = _declared(fresh)
    assert len(files) > 200
    assert _declared(fresh, "--config", f"data={few}") == files


@pytest.mark.parametrize(("profile", "allowed"), [("default", ("--resources", "gpu=2")), ("slurm", ())])
def test_a_model_on_two_gpus_is_asked_for_as_a_resource(fresh, profile, allowed):
    words = ("results/pretrain/vit-ci/msn/seed0/encoder.safetensors", "--dry-run", "--printshellcmds")
    profiles = ("--workflow-profile", f"profiles/{profile}")
    two = (*allowed, "--set-resources", "pretrain:gpu=2")
    commands = [fresh.snakemake(*words, *profiles, *extra).stdout for extra in ((), two)]
    assert [set(re.findall(r"--processes (\d+)", text)) for text in commands] == [{"1"}, {"2"}]


@pytest.mark.parametrize("name", ["default", "slurm"])
def test_dates_count_only_where_bytes_cannot_be_compared(name):
    profile = yaml.safe_load((ROOT / "profiles" / name / "profile.yaml").read_text())
    assert profile["rerun-triggers"] == ["mtime", "params", "input"]
    assert profile["max-checksum-file-size"] >= 1e9


def test_on_a_cluster_files_that_are_shown_late_are_waited_for():
    assert yaml.safe_load((ROOT / "profiles" / "slurm" / "profile.yaml").read_text())["latency-wait"] >= 60


def test_no_pixels_are_an_input_because_they_are_too_large_to_be_compared():
    inputs = re.findall(
        r"^    input:\n((?:        .*\n)+)", "".join(map(Path.read_text, (ROOT / "rules").glob("*.smk"))), re.M
    )
    assert len(inputs) > 20
    assert not [block for block in inputs if ".npy" in block or "output.array" in block]


def test_a_result_that_may_not_be_removed_is_one_line_before_the_first_job_and_touching_it_is_fine(finished):
    bound = bound_by_rights()
    if bound is None:
        pytest.skip("SKIPPED: rights do not bind root, and setpriv, which would make them, is not here")
    project, table = finished[0], "results/tables/cohort_mimic-cxr.md"
    folder = project.folder / "results/tables"
    snakemake = (*bound, sys.executable, "-m", "snakemake", table, "--cores", "1")
    again = ("--forcerun", "cohort_table", "--configfile", "workflow/configs/ci.yaml")
    folder.chmod(0o500)
    try:
        refused = project.run(*snakemake, *again)
        touched = project.run(*snakemake, "--touch", *again)
    finally:
        folder.chmod(0o700)
    assert [line for line in refused.stdout.splitlines() if line.startswith("error:")] == [
        "error: results/tables/cohort_mimic-cxr.csv: to be made (snakemake -n says why), but there is no right to write"
        " in results/tables; give it to yourself (or mount its disk for writing), then the same command goes on"
    ]
    assert "Execute 1 jobs" not in refused.stdout
    assert refused.returncode == 1
    assert touched.returncode == 0, touched.stdout
