"""The full study is hundreds of submissions to a cluster, not thousands."""

import re
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.workflow
ROOT = Path(__file__).parents[2]
HOURS = {"pretrain", "linear", "finetune", "readings", "finetune_ehr", "own_linear", "own_finetune", "image_shard"}
"""Rules whose jobs take hours; a group that is taken away begins again as a whole."""
_RULE = re.compile(r"^rule (\w+):$(.*?)(?=^\S|\Z)", flags=re.MULTILINE | re.DOTALL)
EVERYTHING = (
    'data={"mimic_iv": "data/mimic-iv", "mimic_cxr": "data/mimic-cxr-jpg", "chexpert": "data/chexpert", '
    '"nih_14": "data/nih-14"}',
    'cohort={"split": "official"}',
    'ehr_at_evaluation={"finetune": ["msn"]}',
)
"""config.yaml with both other data sets and the one evaluation that it leaves out for its cost."""


def _local_rules() -> set[str]:
    """Rules that run where Snakemake runs."""
    named = re.search(r"^localrules:\n((?:    \w+,\n)+)", (ROOT / "Snakefile").read_text(), flags=re.MULTILINE)
    assert named
    texts = [path.read_text() for path in (ROOT / "rules").glob("*.smk")]
    marked = {name for text in texts for name, body in _RULE.findall(text) if "localrule: True" in body}
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
    assert jobs.total() - local - grouped + len(groups) < 500
    # few: a model's draws of one share; once: a model's embeddings and its scores on other data sets
    kinds = Counter(name.partition("_")[0] for name in groups)
    assert kinds == {"cohort": 1, "ehr": 2, "once": 40, "few": 96}


def test_no_job_of_hours_shares_a_submission():
    profile = yaml.safe_load((ROOT / "profiles" / "slurm" / "profile.yaml").read_text())
    assert not HOURS & set(profile["groups"])
    assert set(profile["group-components"]) == set(profile["groups"].values())
