"""Peak memory of building a shard of the pixel store beside its number of images: decoding, and copying unchanged ones.

Each build is a process of its own. The films are small, so that counting many takes seconds; what a large film needs
while it is decoded depends on the threads, not on how many films there are.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from mmsn.images.settings import ImageSettings
from mmsn.images.shards import ImageRow, build_shard

FILMS, HEIGHT, WIDTH = 64, 360, 300  # different files; the table lists them again and again
SETTINGS = ImageSettings(side=256)


def main() -> None:
    arguments = _arguments()
    if arguments.build is not None:
        _build(arguments.folder, arguments.build)
        return
    with tempfile.TemporaryDirectory() as folder:
        save_films(Path(folder))
        print(f"{'images':>8}{'store MB':>10}{'decoding MB':>13}{'copying MB':>12}   (peak memory of the process)")
        for images in arguments.images:
            first, again = (_peak(Path(folder), images) for _ in range(2))
            print(f"{images:>8,}{images * SETTINGS.side**2 / 1e6:>10.0f}{first:>13.0f}{again:>12.0f}", flush=True)


def save_films(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for film in range(FILMS):
        pixels = rng.integers(0, 256, (HEIGHT // 10, WIDTH // 10), dtype=np.uint8)
        Image.fromarray(pixels).resize((WIDTH, HEIGHT)).save(folder / f"{film}.jpg", quality=95)


def _peak(folder: Path, images: int) -> float:
    """MB that a process holds at most while it builds a shard of so many images."""
    command = [sys.executable, __file__, "--folder", str(folder), "--build", str(images)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _build(folder: Path, images: int) -> None:
    rows = [ImageRow(f"{number:08d}", 10_000_000 + number, f"{number % FILMS}.jpg") for number in range(images)]
    build_shard(rows, folder, SETTINGS, folder / f"{images}.npy", folder / f"{images}.parquet", workers=2)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[500, 4_000, 20_000])
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--build", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
