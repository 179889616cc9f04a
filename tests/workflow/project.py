"""A copy of the project in a folder of its own, and Snakemake really run in it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_COPIED = ("Snakefile", "config.yaml", "rules", "profiles", "envs", "workflow")


class Project:
    """A checkout with data, whose package is imported from the checkout itself, so that a test may change it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in _COPIED:
            source = ROOT / name
            ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.sif")
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, folder / name, **({"ignore": ignore} if source.is_dir() else {}))

    @classmethod
    def at(cls, folder: Path) -> "Project":
        """The project that is there already."""
        project = cls.__new__(cls)
        project.folder = folder
        return project

    def snakemake(self, *arguments: str, cores: int = 2) -> subprocess.CompletedProcess[str]:
        """Run the smallest study (workflow/configs/ci.yaml); targets come first among the arguments."""
        command = ["snakemake", "--cores", str(cores), *arguments, "--configfile", "workflow/configs/ci.yaml"]
        return self.run(sys.executable, "-m", *command)

    def mmsn(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one verb."""
        return self.run(sys.executable, "-m", "mmsn", *arguments)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the checkout; output and errors come back as one text in `stdout`."""
        # one thread each: two jobs at once on two cores must not wait for each other's OpenMP teams
        environment = {**os.environ, "PYTHONPATH": str(self.folder / "workflow"), "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1800,  # a machine that others use too
            check=False,
        )

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace one passage of a file."""
        path = self.folder / file
        text = path.read_text()
        assert old in text, f"{file} does not hold {old!r}"
        path.write_text(text.replace(old, new, 1))


def planned_rules(dry_run: str) -> set[str]:
    """Rules that a dry run would execute, from its table of job counts."""
    table = dry_run.partition("Job stats:")[2].partition("total")[0]
    return {words[0] for line in table.splitlines() if len(words := line.split()) == 2 and words[1].isdigit()}


def bound_by_rights() -> tuple[str, ...] | None:
    """The words before a command that take root's leave to pass over rights from it.

    None are needed for other users; None itself where root cannot be bound.
    """
    if os.geteuid() != 0:
        return ()
    leave = "-dac_override,-dac_read_search"
    return ("setpriv", f"--bounding-set={leave}", f"--inh-caps={leave}") if shutil.which("setpriv") else None
