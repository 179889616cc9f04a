"""Decoding radiographs for the pixel store: ours beside Pillow's full RGB decode and resize, on one core.

The generated films have the size that is commonest in MIMIC-CXR-JPG, 2544 x 3056 pixels, 8-bit grey, and about
its 1.5 MB a file: the share of entropy decoding, which a low resolution does not spare, decides the ratio. Rounds
alternate; the medians are compared, and the rows: their mean absolute difference in grey levels.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from mmsn.images.decode import decode
from mmsn.images.settings import ImageSettings

HEIGHT, WIDTH = 3056, 2544
SETTINGS = ImageSettings()


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        paths = [save_film(Path(folder), seed) for seed in range(arguments.films)]
        megabytes = sum(path.stat().st_size for path in paths) / len(paths) / 1e6
        rows, spent = alternate({"ours": ours, "peer": full_decode}, paths, arguments.rounds)
    gap = np.abs(rows["ours"].astype(int) - rows["peer"])

    print(f"{len(paths)} films of {WIDTH} x {HEIGHT}, {megabytes:.1f} MB each, to {SETTINGS.side} pixels, ", end="")
    print(f"one core, median of {arguments.rounds} rounds\n")
    for way, name in [("ours", "ours (JPEG draft)"), ("peer", "Pillow, full RGB decode and resize")]:
        rate, ratio = len(paths) / spent[way], spent[way] / spent["ours"]
        print(f"{name:<40}{rate:>8.1f} images/s{ratio:>8.1f} x")
    print(f"\nmean absolute difference {gap.mean():.2f} grey levels, largest {gap.max()}")


def save_film(folder: Path, seed: int) -> Path:
    """Two dark lungs in a bright chest with ribs and the detector's noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    y, x = y / HEIGHT - 0.5, x / WIDTH - 0.5
    lungs = sum(np.exp(-(((x - side) / 0.13) ** 2) - (y / 0.3) ** 2) for side in (-0.2, 0.2))
    ribs = 12 * np.sin(60 * (y + 0.6 * x**2) + rng.uniform(0, 6))
    pixels = 190 - 130 * lungs + ribs + rng.normal(0, 2, (HEIGHT, WIDTH))
    path = folder / f"{seed}.jpg"
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=95)
    return path


def ours(path: Path) -> np.ndarray:
    return decode(path, SETTINGS)


def full_decode(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        resized = image.convert("RGB").resize((SETTINGS.side,) * 2, Image.Resampling.BILINEAR)
    return np.asarray(resized)[..., 0]


def alternate(
    ways: dict[str, Callable[[Path], np.ndarray]], paths: list[Path], rounds: int
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Rows of each way, and its median seconds for all films; a first round warms up and does not count."""
    rows: dict[str, np.ndarray] = {}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds + 1):
        for way, make in ways.items():
            start = time.perf_counter()
            rows[way] = np.stack([make(path) for path in paths])
            seconds[way].append(time.perf_counter() - start)
    return rows, {way: median(spent[1:]) for way, spent in seconds.items()}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
