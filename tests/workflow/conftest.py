"""The smallest study, run once for all tests that look at its results."""

import shutil
from pathlib import Path

import pytest
from filelock import FileLock

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
    project = Project(tmp_path)
    shutil.copytree(synthetic, tmp_path / "data")
    return project


@pytest.fixture(scope="session")
def finished(tmp_path_factory, synthetic, worker_id) -> tuple[Project, str]:
    """A project whose smallest study has run to the end, and what Snakemake said.

    Of several test processes the first runs it, on all cores; the others copy what it made before any test spoils it.
    """
    if worker_id == "master":
        return _run(tmp_path_factory.mktemp("finished"), synthetic)
    shared = tmp_path_factory.getbasetemp().parent
    with FileLock(shared / "finished.lock"):
        if (shared / "running").exists():
            pytest.fail("the smallest study did not run to its end: the first test that asked for it shows why")
        if not (shared / "finished").exists():
            _run(shared / "running", synthetic)
            (shared / "running").rename(shared / "finished")
    own = tmp_path_factory.mktemp("finished") / "project"
    shutil.copytree(shared / "finished", own, symlinks=True)
    return Project.at(own), (own / "said").read_text()


@pytest.fixture(scope="session")
def made(finished) -> set[str]:
    """Every file that the study left under `results`, before any test asked for more."""
    return set((finished[0].folder / "made").read_text().splitlines())


def _run(folder: Path, data: Path) -> tuple[Project, str]:
    folder.mkdir(exist_ok=True)
    project = Project(folder)
    (folder / "data").symlink_to(data)
    done = project.snakemake()
    assert done.returncode == 0, done.stdout
    left = [str(path.relative_to(folder)) for path in (folder / "results").rglob("*") if path.is_file()]
    (folder / "made").write_text("\n".join(left))
    (folder / "said").write_text(done.stdout)
    return project, done.stdout
