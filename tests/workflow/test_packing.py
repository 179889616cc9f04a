"""Runs that share a process (`runs.pack`): the same encoders, and no finished run is trained again for it."""

import json
import shutil

import pytest
import torch
import yaml
from safetensors.torch import load_file

from tests.workflow.project import Project

pytestmark = pytest.mark.workflow
RUNS = {"backbones": ["vit-ci"], "methods": ["msn", "msn+ehr(sex)"]}
PACKED = ("--config", f"runs={json.dumps({**RUNS, 'pack': 2})}")
FOLDERS = [f"results/pretrain/vit-ci/{method}/seed0" for method in ("msn", "msn+ehr.sex")]


@pytest.fixture(scope="module")
def copied(finished, tmp_path_factory) -> Project:
    """A copy of the finished study: this file trains in it anew."""
    folder = tmp_path_factory.mktemp("packing") / "project"
    shutil.copytree(finished[0].folder, folder, symlinks=True)
    return Project.at(folder)


def test_switching_packs_on_re_runs_nothing(copied):
    said = copied.snakemake("--dry-run", *PACKED).stdout
    assert "Nothing to be done" in said, said


def test_a_pack_makes_the_encoders_of_separate_jobs_and_switching_it_off_re_runs_nothing(copied):
    alone = {folder: load_file(copied.folder / folder / "encoder.safetensors") for folder in FOLDERS}
    shutil.rmtree(copied.folder / "results/pretrain")
    wanted = [f"{folder}/encoder.safetensors" for folder in FOLDERS]
    done = copied.snakemake(*wanted, "--resources", "gpu=2", *PACKED)
    assert done.returncode == 0, done.stdout
    for folder, expected in alone.items():
        packed = load_file(copied.folder / folder / "encoder.safetensors")
        assert all(torch.equal(packed[name], value) for name, value in expected.items())
        resolved = yaml.safe_load((copied.folder / folder / "resolved.yaml").read_text())
        assert resolved["runs_in_a_process"] == 2
    logs = [path.read_text() for path in (copied.folder / "results/logs/pretrain").rglob("*.log")]
    assert sum("2 runs trained" in log for log in logs) == 1
    assert sum("epoch 1 of 1" in log for log in logs) == 1
    off = copied.snakemake(*wanted, "--dry-run", "--config", f"runs={json.dumps(RUNS)}").stdout
    assert "Nothing to be done" in off
