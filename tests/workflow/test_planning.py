"""`mmsn plan` and `mmsn status` against Snakemake itself."""

import hashlib
import json
import sys

import pytest

pytestmark = pytest.mark.workflow
OVERLAY = ("--configfile", "workflow/configs/ci.yaml")
JOBS_BY_RULE = """
import json
from pathlib import Path
from mmsn.planning.jobs import Request, ask_snakemake
from mmsn.planning.plan import make_plan
from mmsn.planning.sizes import split_as_published
jobs = ask_snakemake(Request(configfiles=(Path("workflow/configs/ci.yaml"),), cores=2))
print("COUNTS", json.dumps(make_plan(jobs, jobs, split_as_published(1000, ""), None).jobs_by_rule))
"""


def _counts(dry_run: str) -> dict[str, int]:
    """Snakemake's own table of job counts."""
    table = dry_run.partition("Job stats:")[2].partition("total")[0]
    return {
        words[0]: int(words[1]) for line in table.splitlines() if len(words := line.split()) == 2 and words[1].isdigit()
    }


def _files(folder) -> dict[str, str]:
    """Digest of every file of results and Snakemake's own state, but for the cache that each dry run renews."""
    paths = [path for part in ("results", ".snakemake") for path in (folder / part).rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path.parent.name != "iocache"}


def test_the_plans_jobs_are_those_that_snakemake_would_run(fresh):
    said = fresh.run(sys.executable, "-c", JOBS_BY_RULE).stdout
    planned = json.loads(said.partition("COUNTS ")[2])
    counted = _counts(fresh.snakemake("--dry-run").stdout)
    assert sum(counted.values()) > 30
    assert planned == counted


def test_a_plan_names_stages_hours_and_its_grounds(fresh):
    done = fresh.mmsn("plan", *OVERLAY, "--gpus", "2", "--images", "376201")
    assert done.returncode == 0, done.stdout
    assert "pretrain" in done.stdout
    assert "2 GPUs" in done.stdout
    assert "one A100" in done.stdout
    assert not (fresh.folder / "results").exists()


def test_a_mistake_in_the_configuration_is_one_line(fresh):
    done = fresh.mmsn("plan", *OVERLAY, "--config", 'pretrain={"learnin_rate": 1}')
    assert done.returncode == 2
    assert "did you mean learning_rate?" in done.stdout
    assert "Traceback" not in done.stdout


def test_status_of_a_finished_study_beside_a_lock_touches_nothing(finished):
    project = finished[0]
    lock = project.folder / ".snakemake" / "locks" / "0.input.lock"
    lock.parent.mkdir(exist_ok=True)
    lock.touch()
    before = _files(project.folder)
    done = project.mmsn("status", *OVERLAY)
    assert _files(project.folder) == before
    lock.unlink()
    assert done.returncode == 0, done.stdout
    assert "jobs are done; nothing would run" in done.stdout


def test_a_finished_study_is_the_measure_of_the_next(finished):
    done = finished[0].mmsn("plan", *OVERLAY, "--config", "results=other", "--measured", "results")
    assert "Measured: results" in done.stdout
    assert "Assumed" not in done.stdout


def test_status_says_which_setting_makes_what_stale(finished):
    done = finished[0].mmsn("status", *OVERLAY, "--config", 'pretrain={"prototypes": 32}')
    table, _, stale = done.stdout.partition("Stale (its results are there, and would be made again):\n")
    counts = {words[0]: words[5] for line in table.splitlines() if len(words := line.split()) == 7}
    follow = [f"{stage} {count}" for stage, count in counts.items() if count.isdigit()]
    assert {"study 1", "pretrain 2"} < set(follow)
    follow = [name for name in follow if name.split()[0] not in ("study", "pretrain", "all")]
    assert stale.splitlines() == [
        "  study (study): changed settings: pretrain.prototypes 16 -> 32",
        "  pretrain (vit-ci/msn/seed0, vit-ci/msn+ehr.sex/seed0): changed settings: prototypes 16 -> 32",
        f"  and what reads from jobs that run: {', '.join(follow)}",
    ]


def test_status_shows_the_last_line_of_a_failed_job(fresh):
    table = fresh.folder / "data/mimic-cxr-jpg/mimic-cxr-2.0.0-metadata.csv.gz"
    table.write_bytes(b"no table")
    fresh.snakemake("counts")
    done = fresh.mmsn("status", *OVERLAY)
    failed = done.stdout.partition("Failed:")[2]
    assert "cohort/mimic-cxr" in failed
    assert "metadata.csv.gz" in failed
    assert "results/logs/cohort/mimic-cxr.log" in failed
