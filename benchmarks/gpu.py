"""Everything bound to a GPU in one go: is it right there, and how fast beside the released step on the same card.

    PYTHONPATH=workflow python benchmarks/gpu.py --output benchmarks/results

First checks against a CPU in float32 (`gpu_checks.py`); one that fails makes the exit status 1, after all timings.
Then, for ViT-S and ViT-T, vanilla MSN with 1 + 1 + 10 views: milliseconds a step, images a second, share of the card's
peak, peak memory, and hours for the paper's 100 epochs of 325,188 images. Ours is the loop of `mmsn pretrain`, from a
store of uint8 in GPU memory to the optimiser's step. The peer is the released step of `peer_step.py` (lightly's own
modules where lightly is installed): on views that wait in GPU memory, and fed by torchvision transforms in as many
loader processes as there are processors, which is how the released code trains.

Last, runs that share a process and every view (`runs.pack`) beside separate ones, and beside as many processes at once
(`packing.py`; start `nvidia-cuda-mps-control -d` before for these).

`--device cpu --quick` tries the script itself on small encoders in two or three minutes.
"""

import argparse
import json
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import NamedTuple

import timm
import torch

from gpu_checks import Check, checks
from gpu_ways import Way, ways
from mmsn.devices import describe
from packing import HEADING, Result, Setting, measured
from peer_step import Vit

EPOCHS, IMAGES = 100, 325_188  # the paper's training
PEAK = {"H100 PCIe": 756e12, "H100": 989e12, "H200": 989e12, "A100": 312e12}  # 16-bit, dense; the makers' data sheets
TOLERATED_SECONDS = 60.0  # a way that takes longer than this for its rounds is cut short


class Encoder(NamedTuple):
    """An encoder, and what a step of the released code computes for an image with it."""

    vit: Vit
    flop: float | None


ENCODERS = {
    "small": Encoder(Vit("ViT-S", 384), 71.5e9),
    "tiny": Encoder(Vit("ViT-T", 192), 18.8e9),
}
QUICK = {"quick": Encoder(Vit("two layers of 96", 96, depth=2), None)}


@dataclass(frozen=True)
class Timing:
    """What one way took."""

    encoder: str
    way: str
    batch: int
    ms_per_step: float
    images_per_second: float
    peak_memory_gb: float
    share_of_peak: float | None
    """Of the arithmetic of the released step; ours leaves some of it out."""

    @property
    def hours(self) -> float:
        """For the paper's training."""
        return EPOCHS * IMAGES / self.images_per_second / 3600

    def __str__(self) -> str:
        share = "" if self.share_of_peak is None else f"{self.share_of_peak:.1%}"
        return (
            f"{self.encoder:<18}{self.way:<52}{self.batch:>6}{self.ms_per_step:>9.1f}{self.images_per_second:>10.0f}"
            f"{share:>9}{self.peak_memory_gb:>8.2f}{self.hours:>9.2f}"
        )


def main() -> None:
    arguments = _arguments()
    device = torch.device(arguments.device)
    encoders = QUICK if arguments.quick else {name: ENCODERS[name] for name in arguments.encoders}
    batches = [8] if arguments.quick else arguments.batches
    report = Report()
    report.say(f"{describe(device)}, {datetime.now(UTC):%Y-%m-%d}")
    report.say(f"Python {platform.python_version()}, torch {torch.__version__}, timm {timm.__version__}, ", end="")
    report.say(f"{os.cpu_count()} processors; command: python {' '.join(sys.argv)}\n")
    done = list(run_checks(device, arguments.quick, report)) if not arguments.no_checks else []
    timings = list(run_timings(device, encoders, batches, arguments, report))
    packs = list(run_packs(device, encoders, arguments, report))
    if arguments.output:
        save(arguments.output, device, report, done, timings, packs)
    sys.exit(0 if all(check.holds for check in done) else 1)


class Report:
    """What is printed, kept."""

    def __init__(self) -> None:
        self.text = ""

    def say(self, line: str, end: str = "\n") -> None:
        """Print and keep a line."""
        print(line, end=end, flush=True)
        self.text += line + end


def run_checks(device: torch.device, quick: bool, report: Report) -> Iterator[Check]:
    vit = QUICK["quick"].vit if quick else ENCODERS["tiny"].vit
    report.say(f"{'check':<78}{'is':>10}{'at most':>10}")
    for check in checks(device, vit, batch=4 if quick else 8):
        report.say(str(check))
        yield check
    report.say("")


def run_timings(
    device: torch.device,
    encoders: dict[str, Encoder],
    batches: list[int],
    arguments: argparse.Namespace,
    report: Report,
) -> Iterator[Timing]:
    heading = f"{'encoder':<18}{'way':<52}{'batch':>6}{'ms/step':>9}{'images/s':>10}{'of peak':>9}{'GB':>8}{'hours':>9}"
    report.say(heading)
    for encoder in encoders.values():
        for batch in batches:
            timings = []
            for name, way in ways(encoder.vit, batch, device, arguments.compile):
                timing = timed(name, way, encoder, batch, device, arguments.rounds)
                if timing is None:
                    report.say(f"{encoder.vit.title:<18}{name:<52}{batch:>6}  did not fit into memory")
                    continue
                report.say(str(timing))
                timings.append(timing)
                yield timing
            compare(timings, report)


def compare(timings: list[Timing], report: Report) -> None:
    """The ratios of one encoder and batch size."""
    ours = [t for t in timings if t.way.startswith("ours")]
    peers = [t for t in timings if not t.way.startswith("ours")]
    if not ours:
        return
    best = max(ours, key=lambda timing: timing.images_per_second)
    for peer in peers:
        ratio = best.images_per_second / peer.images_per_second
        report.say(f"  {best.way} is {ratio:.2f} x {peer.way}")
    report.say("")


def run_packs(
    device: torch.device, encoders: dict[str, Encoder], arguments: argparse.Namespace, report: Report
) -> Iterator[tuple[str, Result]]:
    """Runs on shared views beside separate ones, at the paper's batch size; see `packing.py`."""
    batch, steps, precision = (4, 2, "fp32") if arguments.quick else (64, 60, "fp16")
    for encoder in encoders.values():
        report.say(f"{encoder.vit.title}, batch {batch}, {steps} steps, {precision}: runs in a pack\n{HEADING}")
        for runs in arguments.packs:
            try:
                result = measured(
                    Setting(encoder.vit, batch, steps, device, precision, runs), at_once=not arguments.quick
                )
            except torch.OutOfMemoryError:
                report.say(f"{runs:>5}  did not fit into memory")
                continue
            report.say(str(result))
            yield encoder.vit.title, result
        report.say("")


def timed(name: str, way: Way, encoder: Encoder, batch: int, device: torch.device, rounds: int) -> Timing | None:
    """Median over rounds of five steps each, after two rounds that warm up; None when memory did not suffice."""
    with tempfile.TemporaryDirectory() as folder:
        _reset(device)
        try:
            step = way(Path(folder))
            spent: list[float] = []
            began = time.perf_counter()
            for number in range(rounds + 2):
                start = time.perf_counter()
                for _ in range(5):
                    step()
                _wait(device)
                if number > 1:
                    spent.append((time.perf_counter() - start) / 5)
                if spent and time.perf_counter() - began > TOLERATED_SECONDS:
                    break
        except torch.OutOfMemoryError:
            return None
        finally:
            step = None  # its memory is the next way's
            memory = _peak_memory(device)
    speed = batch / median(spent)
    peak = next((flops for card, flops in PEAK.items() if card in describe(device)), None)
    share = None if peak is None or encoder.flop is None else speed * encoder.flop / peak
    return Timing(encoder.vit.title, name, batch, median(spent) * 1e3, speed, memory, share)


def _reset(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak_memory(device: torch.device) -> float:
    """Of the way on a GPU; of all ways so far on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def save(
    folder: Path,
    device: torch.device,
    report: Report,
    done: list[Check],
    timings: list[Timing],
    packs: list[tuple[str, Result]],
) -> None:
    """The printed report, and the same as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    card = "-".join(describe(device).lower().replace("(", " ").replace(")", " ").split())[:40]
    stem = f"gpu_{card}_{datetime.now(UTC):%Y-%m-%d}"
    (folder / f"{stem}.txt").write_text(report.text)
    values = {
        "device": describe(device),
        "command": sys.argv,
        "torch": str(torch.__version__),
        "checks": [{**check._asdict(), "holds": check.holds} for check in done],
        "timings": [{**asdict(timing), "hours": timing.hours} for timing in timings],
        "packs": [{"encoder": title, **asdict(result), "gain": result.gain} for title, result in packs],
    }
    (folder / f"{stem}.json").write_text(json.dumps(values, indent=1) + "\n")
    print(f"kept as {folder / stem}.txt and .json")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--encoders", nargs="+", choices=ENCODERS, default=list(ENCODERS))
    parser.add_argument("--batches", nargs="+", type=int, default=[64, 256], help="the paper's batch size is 64")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--packs", nargs="*", type=int, default=[4, 13], help="runs that share a process")
    parser.add_argument("--quick", action="store_true", help="a small encoder and batch: does the script run?")
    parser.add_argument("--no-checks", action="store_true", help="timings only")
    parser.add_argument("--output", type=Path, help="folder for the report and its JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
