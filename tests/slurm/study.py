"""The smallest study, submitted to the test cluster."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors.torch import load_file

from mmsn.planning.evidence import checkpoint_standing
from tests.slurm.cluster import Cluster
from tests.workflow.project import Project

GPU_RULES = ("rule_pretrain", "rule_linear", "rule_finetune", "rule_once", "rule_low_data")
METHODS = ("msn", "msn+ehr.sex")
MODEL = "results/pretrain/vit-ci/{}/seed0"
_LOW = "results/evaluate/low-data/linear/20pct/draw{}/mimic-cxr/vit-ci/msn/seed0/predictions.parquet"
STUDY = (
    *(f"{MODEL.format(method)}/encoder.safetensors" for method in METHODS),
    "results/evaluate/linear/mimic-cxr/vit-ci/msn/seed0/predictions.parquet",
    "results/evaluate/finetune/mimic-cxr/vit-ci/msn/seed0/predictions.parquet",
    "results/embeddings/mimic-cxr/vit-ci/msn/seed0.parquet",
    *(_LOW.format(draw) for draw in range(2)),
)
"""From tables and pixels to a model trained on few images: submissions on a GPU and without, groups of both kinds."""
OPTIONS = (
    *("--workflow-profile", "profiles/slurm", "--slurm-no-account"),
    *("--jobs", "6", "--latency-wait", "5", "--configfile", "workflow/configs/ci.yaml"),
    *("--config", 'pretrain={"epochs": 80, "early_stop_patience": 0}'),
)
"""Epochs enough that a training is still at work when it is taken away for the fourth time, some ten epochs in."""
_SNAKEMAKE = Path(__file__).parent / "asks_often" / "snakemake"  # by its own name, as `mmsn status` looks for it
SECONDS = 240
"""That a test waits for one thing to happen."""


class Submitted:
    """A project and the cluster that it submits to."""

    def __init__(self, project: Project, cluster: Cluster) -> None:
        self.project, self.cluster = project, cluster
        self._output = project.folder / "snakemake.out"

    @contextmanager
    def running(
        self, *targets: str, ask: str | None = "squeue", config: tuple[str, ...] = ()
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Snakemake at work on targets; it is stopped, and so its jobs, when a test leaves without its end."""
        status = ("--slurm-status-command", ask) if ask else ()
        python = {"PYTHONPATH": str(self.project.folder / "workflow"), "OMP_NUM_THREADS": "1"}
        environment = {**self.cluster.environment, **python}
        environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), self.cluster.environment["PATH"]])
        command = [sys.executable, "-P", str(_SNAKEMAKE), *targets, *OPTIONS]  # -P: not the modules beside it
        with self._output.open("wb") as output:
            run = subprocess.Popen(
                [*command, *config, *status],
                cwd=self.project.folder,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            yield run
        finally:
            if run.poll() is None:
                run.kill()
            run.wait()

    def said(self) -> str:
        """What Snakemake has said since it was started last."""
        return self._output.read_text(errors="replace")

    def unlock(self) -> None:
        """Give the folder free that a killed Snakemake has locked."""
        done = self.project.run(sys.executable, "-m", "snakemake", *STUDY, *OPTIONS, "--unlock")
        assert done.returncode == 0, done.stdout

    def status(self) -> str:
        """What `mmsn status` says."""
        encoders = [f"{MODEL.format(method)}/encoder.safetensors" for method in METHODS]
        done = self.project.mmsn("status", *encoders, "--configfile", OPTIONS[-3], *OPTIONS[-2:])
        assert done.returncode == 0, done.stdout
        return done.stdout

    def jobs(self) -> list[dict[str, str]]:
        """All jobs so far as Slurm describes them."""
        described = self.cluster("scontrol", "--oneliner", "show", "job").splitlines()
        return [dict(field.split("=", 1) for field in job.split() if "=" in field) for job in described if job]

    def keep(self) -> None:
        """Put the finished encoders aside, to compare with."""
        for method in METHODS:
            shutil.copy(self._encoder(method), self.project.folder / f"{method}.undisturbed")

    def remove(self) -> None:
        """Have the encoders trained again."""
        for method in METHODS:
            self._encoder(method).unlink()

    def largest_gap(self, method: str) -> float:
        """Between the weights of an encoder and those of the undisturbed one.

        Of the weights, not of the files' bytes: where they differ, this says by how much.
        """
        encoder = load_file(self._encoder(method))
        undisturbed = load_file(self.project.folder / f"{method}.undisturbed")
        assert encoder.keys() == undisturbed.keys()
        return max(float((weight - undisturbed[name]).abs().max()) for name, weight in encoder.items())

    def _encoder(self, method: str) -> Path:
        return self.project.folder / MODEL.format(method) / "encoder.safetensors"


class Pretraining:
    """One model's training, whichever Slurm job it is just now."""

    def __init__(self, study: Submitted, method: str) -> None:
        self.study, self.method = study, method
        self.log = study.project.folder / f"results/logs/pretrain/vit-ci/{method}/seed0.log"
        self._checkpoint = study.project.folder / MODEL.format(method) / "unfinished.safetensors"
        self._seen: set[tuple[str, str]] = {_start(job) for job in study.jobs()}

    def at_work(self) -> str:
        """Wait until a new job trains the model and has saved more than its forerunner; its id."""
        job = until(lambda: self._running(), f"{self.method} does not run", self.study)
        saved = self._epoch()  # not before: a forerunner that is ended by its time limit still saves
        until(lambda: (self._epoch() or 0) > (saved or 0), f"{self.method} saves nothing", self.study)
        self._seen.add(_start(job))
        return job["JobId"]

    def attempts_that_went_on(self) -> int:
        """How often the log says so; each attempt writes it anew."""
        return self.log.read_text().count("goes on at epoch")

    def _running(self) -> dict[str, str] | None:
        mine = [job for job in self.study.jobs() if self.method in job.get("Comment", "").split("_")]
        running = [job for job in mine if job["JobState"] == "RUNNING" and job["Comment"].startswith("rule_pretrain")]
        assert len(running) < 2, f"two jobs train one model: {running}"
        new = [job for job in running if _start(job) not in self._seen]
        return new[0] if new else None

    def _epoch(self) -> int | None:
        said = checkpoint_standing(str(self._checkpoint)) or ""
        found = re.search(r"epoch (\d+)", said)
        return int(found[1]) if found else None


def until(found: Callable[[], object], otherwise: str, study: Submitted):
    """What is found, as soon as it is true."""
    deadline = time.monotonic() + SECONDS
    while not (it := found()):
        assert time.monotonic() < deadline, f"{otherwise}\n{study.said()}\n{study.jobs()}"
        time.sleep(0.3)
    return it


def _start(job: dict[str, str]) -> tuple[str, str]:
    """A job's id and how often Slurm has started it again."""
    return job["JobId"], job.get("Restarts", "0")
