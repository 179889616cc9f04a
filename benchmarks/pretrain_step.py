"""A training step of vanilla MSN on a CPU: ours beside the released code's, in float32 and in bf16.

Ours is the loop of `mmsn pretrain` under the preset `released`, so both do the same work. The peer is the released
code's step (`peer_step.py`), and the same built from lightly's own modules where lightly is installed. First on views
that are ready, then from decoded images: the peer's views are torchvision's on Pillow RGB images, one by one. In bf16
only on a CPU that has matrix tiles for it (Intel's AMX); the peer's way there is autocast.

Each way is a process of its own, so that its memory is its own; they take their steps in turns. Medians over the rounds
after a first one that warms up, of wall time and of processor seconds; the ratio is of processor seconds, which
other programs on the machine disturb less.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from statistics import median

import torch
from PIL import Image

from mmsn.images.settings import ViewSettings
from mmsn.images.share import all_of
from mmsn.images.views import PretrainViews, Views
from mmsn.memory import keep_freed_memory
from mmsn.training.precision import multiplies_bf16
from mmsn.training.steps.base import Batch
from our_step import noise_store, our_training
from peer_step import PeerTraining, Vit, lightly, recreated
from views import one_by_one, torchvision_views

BACKBONES = {"small": Vit("ViT-S", 384), "tiny": Vit("ViT-T", 192)}
CPU = torch.device("cpu")
OURS, PEER, SAME_MEMORY, LIGHTLY = (
    "ours",
    "released step",
    "released step, memory kept as ours",
    "released step of lightly's modules",
)
STEP, WITH_VIEWS = "step on views that are ready", "views and step"
Tasks = dict[str, Callable[[], object]]


def main() -> None:
    arguments = _arguments()
    if arguments.way:
        _answer(arguments)
        return
    print(f"batch {arguments.batch}, {arguments.threads} threads, median of {arguments.rounds} rounds")
    ways = [OURS, PEER, SAME_MEMORY] + ([LIGHTLY] if lightly() else [])
    if "bf16" in arguments.precisions and not multiplies_bf16():
        print("SKIPPED bf16: this CPU has no matrix tiles for it")
        arguments.precisions.remove("bf16")
    for backbone, precision in product(arguments.backbones, arguments.precisions):
        workers = {way: Worker(way, backbone, precision, arguments) for way in ways}
        for task in (STEP, WITH_VIEWS):
            spent = alternate(workers, task, arguments.rounds)
            _print(f"{BACKBONES[backbone].title}, {precision}: {task}", spent, arguments.batch)
        for way, worker in workers.items():
            print(f"  peak memory of {way}: {worker.close():.2f} GB")


class Worker:
    """One way in a process of its own, which takes a step when asked."""

    def __init__(self, way: str, backbone: str, precision: str, arguments: argparse.Namespace) -> None:
        numbers = {"--batch": arguments.batch, "--threads": arguments.threads}
        options = [text for option, number in numbers.items() for text in (option, str(number))]
        threads = str(arguments.threads)
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--way", way, "--backbones", backbone, "--precisions", precision, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": threads, "OMP_WAIT_POLICY": "PASSIVE"},
        )

    def step(self, task: str) -> tuple[float, float]:
        """Wall time and processor seconds of a step."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(task, file=self.process.stdin, flush=True)
        wall, processor = json.loads(self.process.stdout.readline())
        return wall, processor

    def close(self) -> float:
        """End the process; the most memory that it had, in GB."""
        answer, _ = self.process.communicate()
        return json.loads(answer)


def alternate(workers: dict[str, Worker], task: str, rounds: int) -> dict[str, tuple[float, float]]:
    """Median wall time and processor seconds of each way."""
    spent: dict[str, list[tuple[float, float]]] = {way: [] for way in workers}
    for _ in range(rounds + 1):
        for way, worker in workers.items():
            spent[way].append(worker.step(task))
    return {way: (median(s[0] for s in steps[1:]), median(s[1] for s in steps[1:])) for way, steps in spent.items()}


def _print(title: str, spent: dict[str, tuple[float, float]], batch: int) -> None:
    _, ours = spent[OURS]
    print(f"\n{title:<44}{'wall s':>9}{'CPU s':>9}{'images per CPU s':>18}{'ours is':>10}", flush=True)
    for way, (wall, processor) in spent.items():
        print(f"  {way:<42}{wall:>9.2f}{processor:>9.2f}{batch / processor:>18.2f}{processor / ours:>8.2f} x")


def _answer(arguments: argparse.Namespace) -> None:
    """Take a step for each line that comes in; say its times, and in the end the memory."""
    torch.set_num_threads(arguments.threads)
    vit = BACKBONES[arguments.backbones[0]]
    with tempfile.TemporaryDirectory() as folder:
        made = _ours if arguments.way == OURS else _peers
        if arguments.way in (OURS, SAME_MEMORY):
            keep_freed_memory()
        tasks = made(vit, arguments, Path(folder))
        for line in sys.stdin:
            wall, processor = time.perf_counter(), time.process_time()
            tasks[line.strip()]()
            print(json.dumps([time.perf_counter() - wall, time.process_time() - processor]), flush=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)


def _ours(vit: Vit, arguments: argparse.Namespace, folder: Path) -> Tasks:
    store = noise_store(folder, arguments.batch)
    run = our_training(vit, store, folder, arguments.batch, CPU, precision=arguments.precisions[0])
    pixels = store.batch(range(arguments.batch))
    images = Batch(pixels, None, None, None, all_of(pixels))
    drawn, ready = run.step.views, ready_views(pixels)
    run.step.train()

    def step(views: object) -> None:
        run.step.views = views
        run.optimise(images)

    return {STEP: lambda: step(lambda *_: ready), WITH_VIEWS: lambda: step(drawn)}


def _peers(vit: Vit, arguments: argparse.Namespace, folder: Path) -> Tasks:
    pixels = noise_store(folder, arguments.batch).batch(range(arguments.batch))
    films = [Image.fromarray(image.numpy()).convert("RGB") for image in pixels]
    modules = lightly() if arguments.way == LIGHTLY else recreated()
    assert modules is not None  # main has asked
    training, ready = PeerTraining(vit, modules, CPU, arguments.precisions[0]), ready_views(pixels)

    def from_films() -> None:
        target, random, *focal = one_by_one(films, torchvision_views())
        training.optimise(Views(target, random, torch.cat(focal)))

    return {STEP: lambda: training.optimise(ready), WITH_VIEWS: from_films}


def ready_views(pixels: torch.Tensor) -> Views:
    return PretrainViews(ViewSettings())(pixels, torch.Generator().manual_seed(0))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", choices=BACKBONES, default=list(BACKBONES))
    parser.add_argument("--precisions", nargs="+", choices=("fp32", "bf16"), default=["fp32", "bf16"])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
