"""The full study is hundreds of submissions to a cluster, not thousands."""

import os
import re
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.workflow
ROOT = Path(__file__).parents[2]
MOST_MINUTES = 120
"""That a job of a group may take; a group that is taken away begins again as a whole."""
_RULE = re.compile(r"^ *rule (\w+):$(.*?)(?=^ *rule |\Z)", flags=re.MULTILINE | re.DOTALL)
EVERYTHING = (
    'data={"mimic_iv": "data/mimic-iv", "mimic_cxr": "data/mimic-cxr-jpg", "chexpert": "data/chexpert", '
    '"nih_14": "data/nih-14"}',
    'cohort={"split": "official"}',
    'ehr_at_evaluation={"finetune": ["msn"]}',
)
"""config.yaml with both other data sets and the one evaluation that it leaves out for its cost."""


def _rules() -> list[tuple[str, str]]:
    """Every rule's name and what it says."""
    return [rule for path in sorted((ROOT / "rules").glob("*.smk")) for rule in _RULE.findall(path.read_text())]


def _minutes() -> dict[str, int]:
    """How long a rule's first try may take, for rules that say so."""
    found = {name: re.search(r"runtime=(?:lambda wildcards, attempt: )?(\d+)", body) for name, body in _rules()}
    return {name: int(runtime[1]) for name, runtime in found.items() if runtime}


def _local_rules() -> set[str]:
    """Rules that run where Snakemake runs."""
    named = re.search(r"^localrules:\n((?:    \w+,\n)+)", (ROOT / "Snakefile").read_text(), flags=re.MULTILINE)
    assert named
    marked = {name for name, body in _rules() if "localrule: True" in body}
    return marked | set(re.findall(r"\w+", named[1]))


def _count(said: str) -> Counter[str]:
    """Jobs by rule, from Snakemake's own table."""
    table = said.partition("Job stats:")[2].partition("\ntotal")[0]
    return Counter({name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, flags=re.MULTILINE)})


def test_config_yaml_with_everything_is_hundreds_of_submissions(fresh):
    options = ("--workflow-profile", "profiles/slurm", "--config", *EVERYTHING)
    done = fresh.run(sys.executable, "-m", "snakemake", "--dry-run", *options)
    assert done.returncode == 0, done.stdout
    jobs = _count(done.stdout)
    assert jobs["low_data"] == 480
    local = sum(jobs[rule] for rule in _local_rules())
    groups = re.findall(r"Group job (\S+) ", done.stdout)
    grouped = len(re.findall(r"^    Job \d+:", done.stdout, flags=re.MULTILINE))
    assert jobs.total() > 950
    assert jobs.total() - local - grouped + len(groups) < 1000
    # once: a model's embeddings and its scores on other data sets
    kinds = Counter(name.partition("_")[0] for name in groups)
    assert kinds == {"cohort": 1, "ehr": 2, "once": 40}


def test_no_job_of_hours_shares_a_submission():
    profile = yaml.safe_load((ROOT / "profiles" / "slurm" / "profile.yaml").read_text())
    minutes = _minutes()
    assert max(minutes.values()) > 24 * 60
    assert {rule: minutes[rule] for rule in profile["groups"] if minutes[rule] > MOST_MINUTES} == {}
    assert set(profile["group-components"]) == set(profile["groups"].values())


def test_jobs_of_a_group_run_one_after_another(fresh, monkeypatch):
    programs = fresh.folder / "programs"
    programs.mkdir()
    for name, does in (("sinfo", "exit 0"), ("sbatch", 'echo "$@" >> asked; exit 1')):
        (programs / name).write_text(f"#!/bin/sh\n{does}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    tables = ("cohort/mimic-cxr/images", "cohort/mimic-cxr/rows", "imputation/variables")
    words = (*(f"results/{name}.parquet" for name in tables), "--workflow-profile", "profiles/slurm", "--retries", "0")
    slurm = ("--slurm-init-seconds-before-status-checks", "1", "--slurm-status-command", "squeue")
    study = ("--configfile", "workflow/configs/ci.yaml")
    said = fresh.run(sys.executable, "-m", "snakemake", *words, *slurm, *study).stdout
    asked = (fresh.folder / "asked").read_text()
    minutes = _minutes()
    assert re.findall(r"--cpus-per-task=(\d+)", asked) == ["8"], said  # not three times the joins' own
    together = ("cohort", "cohort_rows", "cohort_records", "impute")
    assert re.findall(r" -t (\d+)", asked) == [str(sum(minutes[rule] for rule in together))], said
    assert "--executor slurm-jobstep --jobs 1" in asked  # in the job, one at a time
