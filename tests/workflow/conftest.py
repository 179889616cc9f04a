"""The smallest study, run once for all tests that look at its results."""

from pathlib import Path

import pytest

from tests.workflow.project import Project


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory) -> Path:
    """A few dozen synthetic patients with small radiographs, and a copy of the project to run them with."""
    project = Project(tmp_path_factory.mktemp("synthetic"))
    sizes = ("--patients", "48", "--side", "48", "--seed", "3")
    drawn = project.mmsn("synth", "--output", "data", *sizes)
    assert drawn.returncode == 0, drawn.stdout
    return project.folder / "data"


@pytest.fixture
def fresh(tmp_path, synthetic) -> Project:
    """A project that has run nothing yet, with data of its own that a test may spoil."""
    import shutil

    project = Project(tmp_path)
    shutil.copytree(synthetic, tmp_path / "data")
    return project


@pytest.fixture(scope="session")
def finished(tmp_path_factory, synthetic) -> tuple[Project, str]:
    """A project whose smallest study has run to the end, and what Snakemake said."""
    project = Project(tmp_path_factory.mktemp("finished"))
    (project.folder / "data").symlink_to(synthetic)
    done = project.snakemake()
    assert done.returncode == 0, done.stdout
    return project, done.stdout
