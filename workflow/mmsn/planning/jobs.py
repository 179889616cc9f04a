"""The jobs of a study, as Snakemake itself lists them."""

import json
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from mmsn.errors import UserError

TARGET: Final = "target"
"""Stage of the rules that only collect others (`all`, `tables`): no work."""
_DEEPER: Final = ("evaluate",)
_SHARD: Final = re.compile(r"p\d\d")
SCORING: Final = "statistics"
"""The stage whose work is the models that it scores, not images."""


@dataclass(frozen=True)
class Job:
    """One job of a dry run."""

    rule: str
    message: str
    wildcards: dict[str, str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    log: str | None
    benchmark: str | None
    threads: int
    resources: dict[str, float]
    """`gpu`, `mem_mb`, `runtime` (minutes), those that the rule asks for."""
    command: str
    """Its shell command, which carries the settings as JSON."""
    reason: str
    """Why Snakemake would run it, in Snakemake's words."""

    @property
    def key(self) -> str:
        """A name that is the same in every listing."""
        return self.log or self.rule

    @property
    def stage(self) -> str:
        """`pretrain`, `evaluate/linear`, ...: the folder of its benchmark below the results' `benchmarks`."""
        return stage_of(self.benchmark) if self.benchmark else TARGET

    @property
    def run(self) -> str:
        """`vit-small/msn/seed0` where it belongs to one model, else its benchmark's name."""
        if {"backbone", "method", "seed"} <= self.wildcards.keys():
            draw = f" {self.wildcards['percent']} % draw {self.wildcards['draw']}" if "draw" in self.wildcards else ""
            return f"{self.wildcards['backbone']}/{self.wildcards['method']}/seed{self.wildcards['seed']}{draw}"
        return _below_benchmarks(self.benchmark).removesuffix(".tsv") if self.benchmark else self.rule

    @property
    def data_set(self) -> str:
        """Whose images it reads, by the path of their table; MIMIC-CXR's where the command names none."""
        images = self.options.get("images", "cohort/mimic-cxr/rows.parquet")
        return self.wildcards.get("dataset", Path(images).parent.name)

    @property
    def predictions(self) -> list[str]:
        """The files of predictions that it reads."""
        return [path for path in self.inputs if Path(path).name == "predictions.parquet"]

    @property
    def scored(self) -> int:
        """How many models' predictions it scores: of several readings a file holds those of all."""
        runs = json.loads(self.options.get("runs", "[]"))
        return max(len(self.predictions), len(runs))

    @property
    def place(self) -> tuple[tuple[tuple[str, int], ...], ...]:
        """Sorts jobs by the folders of their logs, numbers by size: MSN before MSN+EHR, seed 2 before seed 10."""
        return tuple(tuple(_words_and_numbers(part)) for part in self.key.split("/"))

    @property
    def gpus(self) -> int:
        """GPUs that the rule asks for."""
        return int(self.resources.get("gpu", 0))

    @cached_property
    def options(self) -> dict[str, str]:
        """Options of its command by name, without the dashes; the last where one comes twice."""
        words = shlex.split(self.command)
        return {name[2:]: value for name, value in pairwise(words) if name.startswith("--")}

    def settings(self, option: str = "settings") -> dict[str, Any]:
        """An option that carries JSON; empty where the command has none."""
        value = json.loads(self.options.get(option, "{}"))
        return value if isinstance(value, dict) else {}


@dataclass(frozen=True)
class Request:
    """What is asked of Snakemake: targets and overlays, as on its command line."""

    targets: tuple[str, ...] = ()
    configfiles: tuple[Path, ...] = ()
    config: tuple[str, ...] = ()
    profile: Path | None = None
    cores: int = 1

    def arguments(self) -> list[str]:
        """Snakemake's arguments."""
        named = [("--configfile", self.configfiles), ("--config", self.config)]
        lists = [[flag, *map(str, values)] for flag, values in named if values]
        profile = [["--workflow-profile", str(self.profile)]] if self.profile else []
        return [*self.targets, "--cores", str(self.cores), *(word for words in [*lists, *profile] for word in words)]


def ask_snakemake(request: Request, everything: bool = False) -> list[Job]:
    """The jobs that Snakemake would run now, or with `everything` all jobs of the study.

    A dry run: no lock is taken and no result touched, so it may be asked beside a run.

    Raises:
        UserError: what Snakemake complained about, in its line.
    """
    with tempfile.TemporaryDirectory(prefix="mmsn-") as folder:
        listing = Path(folder) / "jobs.jsonl"
        forced = ["--forceall"] if everything else []
        command = [*request.arguments(), "--dry-run", "--nolock", *forced]
        done = subprocess.run(
            [sys.executable, "-m", "mmsn.planning.dry_run", str(listing), *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode or not listing.exists():
            raise UserError(_complaint(done.stdout))
        return [_job(json.loads(line)) for line in listing.read_text(encoding="utf-8").splitlines()]


def ask_twice(request: Request) -> tuple[list[Job], list[Job]]:
    """All jobs of the study, and those that Snakemake would run now; asked side by side.

    Raises:
        UserError: what Snakemake complained about, in its line.
    """
    with ThreadPoolExecutor(2) as both:
        every, needed = both.submit(ask_snakemake, request, True), both.submit(ask_snakemake, request)
        return every.result(), needed.result()


def results_folder(jobs: Sequence[Job]) -> Path | None:
    """The folder of the study's results, None where no job has a benchmark."""
    for job in jobs:
        if job.benchmark and "benchmarks/" in job.benchmark:
            return Path(job.benchmark.rpartition("benchmarks/")[0] or ".")
    return None


def stage_of(benchmark: str) -> str:
    """The stage that a benchmark file speaks of."""
    parts = _below_benchmarks(benchmark).removesuffix(".tsv").split("/")
    return "/".join(parts[:2] if parts[0] in _DEEPER else parts[:1])


def kind_of(benchmark: str) -> str:
    """The stage, and within it what distinguishes jobs that take different times: a shard from the index.

    Of models trained on few images that is the protocol: fine-tuning computes what a linear head does not.
    """
    name = Path(benchmark).stem
    stage = stage_of(benchmark)
    if stage == "images":
        return f"{stage} shard" if _SHARD.fullmatch(name) else f"{stage} {name}"
    if stage in ("evaluate/linear", "evaluate/finetune", "evaluate/low-data"):
        return f"{stage} {_below_benchmarks(benchmark).split('/')[2]}"  # the data set; of few images the protocol
    if stage in ("cohort", "representation"):
        return f"{stage} {name}"
    if stage in ("tables", "figures"):
        return f"{stage} {name.partition('_')[0]}"
    return stage


def _words_and_numbers(text: str) -> Iterator[tuple[str, int]]:
    for word, number in re.findall(r"(\D*)(\d*)", text.removesuffix(".log")):
        yield word, int(number or -1)


def _below_benchmarks(path: str) -> str:
    return path.rpartition("benchmarks/")[2]


def _job(line: dict[str, Any]) -> Job:
    return Job(**{**line, "inputs": tuple(line["inputs"]), "outputs": tuple(line["outputs"])})


def _complaint(said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    ours = next((line for line in lines if line.startswith("error: ")), None)
    if ours:
        return ours.removeprefix("error: ")
    last = "; ".join(lines[-2:]) or "it said nothing"
    return f"snakemake --dry-run failed: {last}; run it yourself to see all of it"
