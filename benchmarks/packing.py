"""Runs of a study in one process on shared views (`runs.pack`) beside the same runs one after the other.

    PYTHONPATH=workflow python benchmarks/packing.py --device cuda --encoder tiny --batch 64 --steps 200 --runs 4 13

The runs are vanilla MSN, its control with the extra projection, and MSN+EHR with feature sets of the paper's widths.
Each is the whole loop of `mmsn pretrain` on a store of noise, from reading the batch to the end of an epoch with its
checkpoint. Every way is taken twice and the second time counts: wall time on a GPU, processor seconds on a CPU.

`gain` is the time of the separate runs over the pack's. `views` is the share of a separate run's time that a pack takes
once: where nothing overlaps (a CPU) the gain of k runs cannot pass 1 / (1 - views + views / k). `difference` is the
largest difference of a weight to the separate run's: 0 on a CPU; on a GPU some sums have no fixed order, and `again` is
what two equal separate runs differ by there.

`--at-once` also times k processes that train one run each at the same time, which is the way of NVIDIA's MPS: start
`nvidia-cuda-mps-control -d` before, or the processes take turns on the GPU.
"""

import argparse
import math
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import multiprocessing

from mmsn.devices import describe
from mmsn.images.store import PixelStore
from mmsn.memory import keep_freed_memory
from mmsn.training.loop import Pretraining
from mmsn.training.pack import Pack
from our_step import noise_store, our_training
from peer_step import Vit

ENCODERS = {
    "small": Vit("ViT-S", 384),
    "tiny": Vit("ViT-T", 192),
    "quick": Vit("two layers of 96", 96, depth=2),
}
WIDTHS = {"sex": 2, "age": 1, "view": 4, "pos": 2, "mort": 2, "icu": 2, "D": 3, "SM": 6, "SI": 4}
WIDTHS |= {"D+SM": 9, "D+SI": 7, "SM+SI": 10, "D+SM+SI": 13}
METHODS = {f"msn+ehr({name})": width for name, width in WIDTHS.items()} | {"msn": 0, "msn+g": 0}


@dataclass(frozen=True)
class Setting:
    """One measurement."""

    vit: Vit
    batch: int
    steps: int
    device: torch.device
    precision: str
    runs: int


@dataclass(frozen=True)
class Result:
    """Seconds (wall time on a GPU and of processes at once, else processor time), and what came out."""

    runs: int
    separate: float
    packed: float
    at_once: float | None
    views: float
    """Share of a separate run's time in reading batches and making views."""
    difference: float
    again: float
    memory_gb: float
    """Peak of the pack on a GPU; 0 on a CPU."""

    @property
    def gain(self) -> float:
        """Of the pack over separate runs."""
        return self.separate / self.packed

    @property
    def most(self) -> float:
        """The largest gain that sharing the views alone can have."""
        return 1 / (1 - self.views + self.views / self.runs)

    def __str__(self) -> str:
        at_once = "" if self.at_once is None else f"{self.at_once:.1f}"
        return (
            f"{self.runs:>5}{self.separate:>13.1f}{self.packed:>9.1f}{at_once:>10}{self.gain:>8.2f}{self.views:>8.1%}"
            f"{self.most:>8.2f}{self.difference:>13.1e}{self.again:>9.1e}{self.memory_gb:>8.2f}"
        )


HEADING = (
    f"{'runs':>5}{'separate, s':>13}{'pack, s':>9}{'at once':>10}{'gain':>8}{'views':>8}{'at most':>8}"
    f"{'difference':>13}{'again':>9}{'GB':>8}"
)


def main() -> None:
    arguments = _arguments()
    device = torch.device(arguments.device)
    torch.set_num_threads(arguments.threads)
    if device.type == "cpu":
        keep_freed_memory()
    vit = ENCODERS[arguments.encoder]
    print(f"python {' '.join(sys.argv)}")
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    print(f"{describe(device)}, {versions}, {os.cpu_count()} processors")
    print(f"{vit.title}, batch {arguments.batch}, {arguments.steps} steps, {arguments.precision}\n")
    print(HEADING, flush=True)
    equal = True
    for runs in arguments.runs:
        setting = Setting(vit, arguments.batch, arguments.steps, device, arguments.precision, runs)
        result = measured(setting, arguments.at_once)
        print(result, flush=True)
        equal &= result.difference <= (0.0 if device.type == "cpu" else max(10 * result.again, 1e-3))
    print(
        "\nEvery run of a pack ends as alone." if equal else "\nFAILED: a run of a pack differs from its separate one."
    )
    sys.exit(0 if equal else 1)


class Outcome(NamedTuple):
    """What a run leaves."""

    weights: dict[str, torch.Tensor]
    """On the CPU, in double precision."""
    curve: list[dict[str, float]]
    """The history without times."""

    @classmethod
    def of(cls, run: Pretraining) -> "Outcome":
        """Of a run that has ended."""
        weights = {name: value.cpu().double() for name, value in run.step.state_dict().items()}
        times = ("images_per_second", "peak_memory_gb")
        return cls(weights, [{k: v for k, v in row.items() if k not in times} for row in run.standing.history])


def measured(setting: Setting, at_once: bool = False) -> Result:
    """Time the ways."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = noise_store(folder, setting.batch * setting.steps)
        if setting.device.type == "cuda":
            store.load(setting.device)
        alone, separate = second_time(lambda: trained_apart(setting, store, folder, setting.runs), setting.device)
        views = seconds_of_views(new_run(setting, store, folder, 0))
        _forget_peak(setting.device)
        together, packed = second_time(lambda: trained_together(setting, store, folder), setting.device)
        memory = torch.cuda.max_memory_allocated(setting.device) / 1e9 if setting.device.type == "cuda" else 0.0
        difference = max(gap(one, other) for one, other in zip(together, alone, strict=True))
        again = gap(trained_apart(setting, store, folder, 1)[0], alone[0])
        many = processes_at_once(setting, folder) if at_once else None
    share = views * setting.runs / separate
    return Result(setting.runs, separate, packed, many, share, difference, again, memory)


def new_run(setting: Setting, store: PixelStore, folder: Path, number: int) -> Pretraining:
    """A run that has not started: one epoch of all images."""
    method, columns = list(METHODS.items())[number % len(METHODS)]
    home = Path(tempfile.mkdtemp(dir=folder))  # its own, so that it goes on from nothing
    changes: dict[str, Any] = {"epochs": 1, "precision": setting.precision}
    return our_training(
        setting.vit, store, home, setting.batch, setting.device, method, "paper", columns=columns, **changes
    )


def trained_apart(setting: Setting, store: PixelStore, folder: Path, count: int) -> list[Outcome]:
    """One run after the other."""
    outcomes = []
    for number in range(count):
        run = new_run(setting, store, folder, number)
        run.run()
        outcomes.append(Outcome.of(run))
    return outcomes


def trained_together(setting: Setting, store: PixelStore, folder: Path) -> list[Outcome]:
    """All in a pack."""
    runs = [new_run(setting, store, folder, number) for number in range(setting.runs)]
    pack = Pack(runs, "pack", 1e9)
    pack.run()
    if pack.failed:
        raise RuntimeError(str(next(iter(pack.failed.values()))))
    return [Outcome.of(run) for run in runs]


def second_time(way: Callable[[], list[Outcome]], device: torch.device) -> tuple[list[Outcome], float]:
    """What a way gives and the seconds that it takes when everything is compiled and warm."""
    way()
    start = _now(device)
    runs = way()
    return runs, _now(device) - start


def seconds_of_views(run: Pretraining) -> float:
    """Reading the batches of an epoch and making their views, which is what a pack does once for all runs."""
    start = _now(run.device)
    for batch in run.data.batches(run.share, run.seed, 0, 0):
        run.look(batch.to(run.device))
    return _now(run.device) - start


def processes_at_once(setting: Setting, folder: Path) -> float:
    """Seconds of as many processes as there are runs, from when all are warm to when the last has ended."""
    context = multiprocessing.get_context("spawn")
    line = context.Barrier(setting.runs + 1)
    threads = max(1, torch.get_num_threads() // setting.runs)
    workers = [
        context.Process(target=_one_process, args=(setting, folder, number, threads, line))
        for number in range(setting.runs)
    ]
    for worker in workers:
        worker.start()
    line.wait()
    start = time.perf_counter()
    for worker in workers:
        worker.join()
    return time.perf_counter() - start


def _one_process(setting: Setting, folder: Path, number: int, threads: int, line: Any) -> None:
    torch.set_num_threads(threads)
    store = PixelStore(folder)
    if setting.device.type == "cuda":
        store.load(setting.device)
    new_run(setting, store, folder, number).run()
    run = new_run(setting, store, folder, number)
    line.wait()
    run.run()
    _wait(setting.device)


def gap(one: Outcome, other: Outcome) -> float:
    """Largest difference of a weight; infinite where weights are equal and curves are not."""
    gaps = [float((value - other.weights[name]).abs().max()) for name, value in one.weights.items() if value.numel()]
    return max(gaps) or (0.0 if one.curve == other.curve else math.inf)


def _now(device: torch.device) -> float:
    """Seconds of wall time on a GPU; of processor time on a CPU, which other programs disturb less."""
    _wait(device)
    return time.perf_counter() if device.type == "cuda" else time.process_time()


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--encoder", choices=ENCODERS, default="tiny" if torch.cuda.is_available() else "quick")
    parser.add_argument("--batch", type=int, default=64 if torch.cuda.is_available() else 8)
    parser.add_argument("--steps", type=int, default=100 if torch.cuda.is_available() else 4)
    parser.add_argument("--runs", nargs="+", type=int, default=[2, 4])
    parser.add_argument("--precision", default="fp16" if torch.cuda.is_available() else "fp32")
    parser.add_argument("--threads", type=int, default=1, help="of a CPU")
    parser.add_argument("--at-once", action="store_true", help="also time as many processes at once")
    return parser.parse_args()


if __name__ == "__main__":
    main()
