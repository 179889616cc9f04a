"""One pretraining on one process and on several, under torchrun: how much faster, and is the loss the same?

Every row is a run of `mmsn pretrain` itself with the same settings, and so the same whole batch; --processes alone
differs. With GPUs each process has one, and there are runs on 1, 2, 4, ... up to all of them. Without, on CPUs: one
thread a process, and beside them one process with as many threads, which is what a CPU run would otherwise do.

Images per second are the median over the epochs after the first, which warms up. The loss is compared epoch by epoch
with the run of one process.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import torch

from mmsn.files import write_table
from mmsn.methods import parse_method
from mmsn.training.settings import BackboneSettings
from our_step import noise_store, settings_of
from peer_step import Vit

BACKBONES = {"small": Vit("ViT-S", 384), "tiny": Vit("ViT-T", 192)}


class Run(NamedTuple):
    """How many processes, and threads of all together."""

    processes: int
    threads: int

    def __str__(self) -> str:
        each = self.threads // self.processes
        return f"{self.processes} process{'es' * (self.processes > 1)}, {each} thread{'s' * (each > 1)} each"


def main() -> None:
    arguments = _arguments()
    device = f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}" if torch.cuda.is_available() else "CPU"
    print(f"python benchmarks/scaling.py {' '.join(sys.argv[1:])}".rstrip())
    print(f"{device}, torch {torch.__version__}: {arguments.method} on {BACKBONES[arguments.backbone].title}, ", end="")
    print(f"{arguments.images} images an epoch in batches of {arguments.batch} over all processes, ", end="")
    print(f"{arguments.epochs} epochs\n\n{'':<28}{'images/s':>10}{'ratio':>8}{'largest difference of the loss':>34}")
    with tempfile.TemporaryDirectory() as folder:
        noise_store(Path(folder), arguments.images)
        alone: pd.DataFrame | None = None
        for run in _runs():
            history = _train(run, Path(folder), arguments)
            alone = history if alone is None else alone
            _print(run, history, alone)


def _runs() -> list[Run]:
    """One process first: the others are compared with it."""
    cores = len(os.sched_getaffinity(0))
    if not torch.cuda.is_available():
        return [Run(1, 1), Run(1, 2), Run(2, 2)]
    gpus = torch.cuda.device_count()
    counts = sorted({1, gpus, *(2**k for k in range(gpus.bit_length()) if 2**k <= gpus)})
    return [Run(count, max(count, cores)) for count in counts]


def _train(run: Run, folder: Path, arguments: argparse.Namespace) -> pd.DataFrame:
    """The history of a run of the verb."""
    out = folder / f"{run.processes}-{run.threads}"
    out.mkdir()
    words = [text for name, value in _options(run, folder, out, arguments).items() for text in (f"--{name}", value)]
    command = [sys.executable, "-m", "mmsn", "pretrain", *words]
    each = str(run.threads // run.processes)
    environment = os.environ | {"OMP_NUM_THREADS": each, "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return pd.read_parquet(out / "history.parquet")


def _options(run: Run, folder: Path, out: Path, arguments: argparse.Namespace) -> dict[str, str]:
    vit, method = BACKBONES[arguments.backbone], parse_method(arguments.method)
    options = {"embed_dim": vit.width, "depth": vit.depth, "num_heads": vit.heads}
    backbone = BackboneSettings(title=vit.title, architecture="vit_tiny_patch16_224", options=options)
    settings = settings_of(vit, method, "paper", arguments.batch, epochs=arguments.epochs)
    names = {"encoder": "encoder.safetensors", "history": "history.parquet", "resolved": "r.yaml", "card": "card.md"}
    return {
        "method": method.id,
        "seed": "0",
        "processes": str(run.processes),
        "threads": str(run.threads),
        "backbone": backbone.model_dump_json(),
        "settings": settings.model_dump_json(),
        "store": str(folder),
        "images": str(_rows(folder, arguments.images)),
        "checkpoint": str(out / "unfinished.safetensors"),
        **{f"output-{name}": str(out / file) for name, file in names.items()},
    }


def _rows(folder: Path, images: int) -> Path:
    """The cohort's rows.parquet of the store of noise: every image is a patient's only one, all to train on."""
    numbers = list(range(images))
    ids = [f"{number:08d}" for number in numbers]
    table = {"dicom_id": ids, "subject_id": numbers, "study_id": numbers, "split": ["train"] * images}
    write_table(folder / "rows.parquet", pa.table(table))
    return folder / "rows.parquet"


def _print(run: Run, history: pd.DataFrame, alone: pd.DataFrame) -> None:
    speeds = [median(table["images_per_second"][1:]) for table in (history, alone)]
    differences = (history["loss"] - alone["loss"]).abs()
    told = f"{differences.max():.1e} of {alone['loss'].mean():.3f}"
    print(f"{run!s:<28}{speeds[0]:>10.2f}{speeds[0] / speeds[1]:>8.2f}{told:>34}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", choices=BACKBONES, default="tiny")
    parser.add_argument("--method", default="msn")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
