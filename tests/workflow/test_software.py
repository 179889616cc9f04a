"""Where a job's software comes from: this Python, a container image or a conda environment; the code is the checkout's.

Neither apptainer nor conda is needed here. Commands of the same name stand in for them: they start a job as those do,
with nothing of this machine's environment but what Snakemake hands on, and a Python that is no neighbour of `mmsn`.
"""

import os
import sys
from pathlib import Path

import pytest

from tests.workflow.project import Project

pytestmark = pytest.mark.workflow

_PYTHON = """#!/bin/bash
[ -z "$MMSN_SNAKEMAKE" ] || tr '\\0' ' ' < "/proc/${{MMSN_SNAKEMAKE%@*}}/cmdline" > {folder}/watched
exec {python} "$@"
"""
_APPTAINER = """#!/bin/bash
[ "$1" != --version ] || {{ echo "apptainer version 1.4.5"; exit; }}
echo "$@" >> {folder}/calls
while [ "$1" != {image} ]; do shift; done; shift
env -i PATH={image}/bin:/usr/bin:/bin "$@"; exit $?  # stays the parent, as Apptainer's own process does
"""
_CONDA = """#!/bin/bash
echo "$@" >> {folder}/calls
case "$1 $2" in
    "info --json") echo '{{"conda_prefix": "{folder}/conda", "platform": "linux-64"}}' ;;
    "--version "*) echo "conda 25.1.0" ;;
    "config --get") echo '{{"get": {{"channel_priority": "strict"}}}}' ;;
    "env create") while [ "$1" != --prefix ]; do shift; done; cp -r {image} "$2" ;;
esac
"""
_ACTIVATE = "unset PYTHONPATH; export PATH=$1/bin:/usr/bin:/bin\n"


@pytest.fixture
def project(fresh, monkeypatch) -> Project:
    """A project whose `mmsn` says that it is this checkout's, beside stand-ins for apptainer and conda."""
    places = {"folder": fresh.folder, "image": fresh.folder / "image", "python": sys.executable}
    programs = {
        "image/bin/python": _PYTHON,
        "bin/apptainer": _APPTAINER,
        "bin/conda": _CONDA,
        "conda/bin/activate": _ACTIVATE.replace("{", "{{").replace("}", "}}"),
    }
    for name, text in programs.items():
        path = fresh.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(**places))
        path.chmod(0o755)
    fresh.edit("workflow/mmsn/study_command.py", "    return yaml", '    return "# this checkout\\n" + yaml')
    monkeypatch.setenv("PATH", f"{fresh.folder}/bin:{os.environ['PATH']}")
    return fresh


def _study(project: Project, method: str) -> str:
    done = project.snakemake("results/study.yaml", "--software-deployment-method", method)
    assert done.returncode == 0, done.stdout
    written = project.folder / "results" / "study.yaml"
    assert written.stat().st_mode & 0o077 == 0
    assert written.read_text().startswith("# this checkout\n")
    if Path("/proc/self").exists():  # the job ends with Snakemake, not with what starts the container
        assert "-m snakemake --cores" in (project.folder / "watched").read_text()
    return (project.folder / "calls").read_text()


def test_in_a_container_the_image_gives_python_and_the_checkout_the_code(project, monkeypatch):
    image = project.folder / "image"
    monkeypatch.setenv("MMSN_CONTAINER", str(image))
    calls = _study(project, "apptainer")
    assert f"exec --home {project.folder}" in calls.replace("'", "")
    assert str(image) in calls
    assert "pull" not in calls


def test_a_conda_environment_gives_python_and_the_checkout_the_code(project):
    calls = _study(project, "conda")
    assert "env create" in calls


@pytest.mark.parametrize("named", ["docker://python", "missing.sif", None])
def test_an_image_that_is_no_file_stops_the_run_and_nothing_is_downloaded(project, monkeypatch, named):
    monkeypatch.delenv("MMSN_CONTAINER", raising=False)
    if named:
        monkeypatch.setenv("MMSN_CONTAINER", named)
    done = project.snakemake("results/study.yaml", "--software-deployment-method", "apptainer")
    assert done.returncode != 0
    said = done.stdout.splitlines()[-1]
    assert said.startswith("error: --software-deployment-method apptainer: no image at ")
    if named:
        assert said.endswith(f" {named}; MMSN_CONTAINER names it")
    else:
        assert said.endswith("envs/mmsn.sif; make it with: apptainer build envs/mmsn.sif envs/mmsn.def")
    assert not (project.folder / "calls").exists()


def test_without_deployment_no_image_is_asked_for(project, monkeypatch):
    monkeypatch.setenv("MMSN_CONTAINER", "missing.sif")
    done = project.snakemake("results/study.yaml")
    assert done.returncode == 0, done.stdout
    assert "ingularity" not in done.stdout
