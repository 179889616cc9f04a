"""The small study that is killed and spoilt: a copy of the project with synthetic patients, and its Snakemake."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.workflow.project import Project

HERE = Path(__file__).parent
OVERLAY = "workflow/configs/campaign.yaml"
SYNTHETIC = ("synth", "--output", "data", "--patients", "40", "--side", "48", "--seed", "3")
SNAKEMAKE = (sys.executable, "-m", "snakemake")
CHOICES = ("--cores", "1", "--configfile", "workflow/configs/ci.yaml", OVERLAY)
LONGEST = 3600
"""Seconds that a whole study may take; more is a hang."""


@dataclass(frozen=True)
class Ended:
    """How a command ended and all that it said."""

    code: int
    said: str
    seconds: float


class Study:
    """A project folder in which the study is run; `results` and `.snakemake` lie in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results = folder / "results"

    @classmethod
    def made(cls, folder: Path) -> "Study":
        """A copy of the project at `folder` with patients drawn; what is there already is used."""
        if not (folder / "data/mimic-cxr-jpg").is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            project = Project(folder)
            shutil.copy(HERE / "campaign.yaml", folder / OVERLAY)
            drawn = project.mmsn(*SYNTHETIC)
            if drawn.returncode:
                raise RuntimeError(drawn.stdout)
        return cls(folder)

    def copied(self, folder: Path) -> "Study":
        """The same study, with all that it has made, in another folder; dates and hard links are kept."""
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run(["cp", "--archive", str(self.folder), str(folder)], check=True)
        return Study(folder)

    def emptied(self) -> None:
        """Remove what the study has made."""
        for name in ("results", ".snakemake"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def start(self, *arguments: str, said: Path, before: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """Start the study's command, for some targets or all, in a session of its own that all its processes are in."""
        environment = {**os.environ, "PYTHONPATH": str(self.folder / "workflow"), "OMP_NUM_THREADS": "1"}
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        with said.open("ab") as output:
            return subprocess.Popen(
                [*before, *SNAKEMAKE, *arguments, *CHOICES],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, *arguments: str, before: tuple[str, ...] = ()) -> Ended:
        """Run the study's command to its end; one that hangs is killed and has code -9."""
        said = self.folder / "said.txt"
        said.unlink(missing_ok=True)
        started = time.monotonic()
        process = self.start(*arguments, said=said, before=before)
        try:
            code = process.wait(LONGEST)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
        return Ended(code, said.read_text(errors="replace"), time.monotonic() - started)
