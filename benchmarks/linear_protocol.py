"""The linear protocol in one job beside five separate runs, exact and with a bank of cached features.

Separate: each of the five runs is an evaluation of its own, as the released code has it. Shared: one job, every
augmented forward pass of the frozen encoder used by all five heads. Bank: the first B epochs' features are kept and the
later epochs draw from them. All three are the code that the workflow calls. No run stops early here, so each of the
five has as many epochs as the others; where cosine runs stop early, separate runs and the shared job are both shorter,
and the ratio of shared is the sum of their epochs over the longest.

Processor seconds, alternating, medians over the rounds. `difference` is the largest difference of a test score to the
separate runs': 0 but for rounding where the protocol is exact. (What a bank costs in AUROC is a question of data: set
`readings.bank`, and the study's table `readings_*` answers it with an interval.)
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import torch

from mmsn.evaluation.data import LabelledImages
from mmsn.evaluation.linear import LinearEvaluation
from mmsn.evaluation.settings import LinearSettings, ProbeRun
from mmsn.files import write_table
from mmsn.images.store import PixelStore
from mmsn.labels import LABELS
from mmsn.models.vit import create_encoder

RUNS = (
    *(ProbeRun(schedule="cosine", learning_rate=rate) for rate in (1e-3, 5e-4, 1e-4)),
    *(ProbeRun(schedule="plateau", learning_rate=rate) for rate in (5e-4, 1e-4)),
)
HELD_OUT = 8


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        store, splits = _data(Path(folder), arguments.images)
        rounds = [_round(arguments, store, splits, Path(folder)) for _ in range(arguments.rounds)]
    reference, _ = zip(*(one["separate"] for one in rounds), strict=True)
    print(
        f"{arguments.architecture}, {arguments.images} training images, batch {arguments.batch}, {arguments.epochs} "
        f"epochs, bank of {arguments.bank}, one thread, median of {arguments.rounds} rounds\n"
    )
    print(f"{'':<12}{'CPU s':>8}{'ratio':>9}{'difference':>13}")
    for way in rounds[0]:
        seconds, _ = zip(*(one[way] for one in rounds), strict=True)
        scores, exact = rounds[0][way][1], rounds[0]["separate"][1]
        ratio, difference = median(reference) / median(seconds), np.abs(scores - exact).max()
        print(f"{way:<12}{median(seconds):>8.1f}{ratio:>7.1f} x{difference:>13.1e}")


def _round(
    arguments: argparse.Namespace, store: PixelStore, splits: dict[str, LabelledImages], folder: Path
) -> dict[str, tuple[float, np.ndarray]]:
    """Seconds and test scores [runs, N, L] of each way."""

    def evaluate(runs: tuple[ProbeRun, ...], bank: int = 0) -> list[np.ndarray]:
        torch.manual_seed(0)
        encoder = create_encoder(arguments.architecture, {"num_heads": 6})
        settings = LinearSettings(
            runs=runs, max_epochs=arguments.epochs, patience=arguments.epochs, batch_size=arguments.batch, bank=bank
        )
        (folder / "unfinished").unlink(missing_ok=True)
        where = 0, torch.device("cpu"), "benchmark", folder / "unfinished", "benchmark"
        evaluation = LinearEvaluation(encoder, store, splits, settings, *where)
        probes = evaluation.run().probes
        seen = list(evaluation.sight.testing("test"))
        for probe in probes:
            probe.restore_best()
        return [np.concatenate([probe.scores(one).numpy() for one in seen]) for probe in probes]

    ways = {
        "separate": lambda: [scores for run in RUNS for scores in evaluate((run,))],
        "shared": lambda: evaluate(RUNS),
        "bank": lambda: evaluate(RUNS, arguments.bank),
    }
    measured = {}
    for way, work in ways.items():
        start = time.process_time()
        scores = np.stack(work())
        measured[way] = time.process_time() - start, scores
    return measured


def _data(folder: Path, images: int) -> tuple[PixelStore, dict[str, LabelledImages]]:
    """Random pixels, and labels that every split has both classes of; what they show does not matter for the time."""
    random = np.random.default_rng(0)
    total = images + 2 * HELD_OUT
    np.save(folder / "p10.npy", random.integers(0, 256, (total, 256, 256), dtype=np.uint8))
    ids = np.array([f"image-{number}" for number in range(total)], dtype=object)
    index = {"dicom_id": ids, "subject_id": np.arange(total), "shard": ["p10"] * total, "row": np.arange(total)}
    write_table(folder / "index.parquet", pa.table(index))
    targets = random.integers(0, 2, (total, len(LABELS))).astype(np.float32)
    bounds = {"train": (0, images), "validate": (images, images + HELD_OUT), "test": (images + HELD_OUT, total)}
    for start, stop in list(bounds.values())[1:]:
        targets[start:stop] = np.arange(stop - start)[:, None] % 2
    parts = {
        split: LabelledImages(ids[a:b], np.arange(a, b), targets[a:b], np.arange(a, b))
        for split, (a, b) in bounds.items()
    }
    return PixelStore(folder), parts


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="vit_tiny_patch16_224")
    parser.add_argument("--images", type=int, default=24, help="for training; 8 validate, 8 are tested on")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=50, help="the protocol's")
    parser.add_argument("--bank", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
