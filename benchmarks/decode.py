"""Decoding radiographs for the pixel store: ours beside Pillow's full RGB decode and resize, on one core.

The generated films have the size that is commonest in MIMIC-CXR-JPG, 2544 x 3056 pixels, 8-bit grey, JPEG quality 95;
its files average 1.5 MB (570 GB / 377,110). The file size decides the ratio: a JPEG's entropy code must be read to the
end whatever the size wanted. `entropy code alone` shows that (one pixel of each 8 x 8 block); its share of our time is
what no choice of size or filter can save.

The plain way is `Image.open(path).convert("RGB").resize((side, side), filter)`, Pillow's default filter bicubic.
`MedFuse's resize.py` is how the paper's images were made: grey, 512 pixels wide, bicubic; writing its JPEG is left out.

Ways alternate, round by round; times are processor seconds, the least over the rounds: what else the machine does only
ever adds to them. The error is the mean absolute difference to the full decode with our filter, in grey levels.
"""

import argparse
import io
import time
from collections.abc import Callable
from importlib.metadata import version

import numpy as np
from PIL import Image, features
from PIL.Image import Resampling

from mmsn.images.decode import decode
from mmsn.images.settings import ImageSettings

HEIGHT, WIDTH = 3056, 2544
NOISE = (0.4, 0.8, 1.2, 1.6, 2.05)  # of the detector, grey levels: files of about 0.5 to 1.6 MB
MIMIC_IMAGES = 377_110
OURS, SAME_FILTER, FLOOR = "ours", "full RGB decode, our filter (bilinear)", "entropy code alone"

Rows = np.ndarray
Way = Callable[[bytes], Rows]


def main() -> None:
    arguments = _arguments()
    library = f"Pillow {version('pillow')}, libjpeg-turbo {features.version('libjpeg_turbo')}"
    print(f"{arguments.films} films of {WIDTH} x {HEIGHT} to {arguments.side} x {arguments.side}, one core, {library}")
    for noise in arguments.noise:
        files = [film(seed, noise) for seed in range(arguments.films)]
        rows, spent = alternate(_ways(arguments.side), files, arguments.rounds)
        _print(np.mean([len(file) for file in files]) / 1e6, rows, spent)


def _print(megabytes: float, rows: dict[str, Rows], spent: dict[str, float]) -> None:
    """What each way takes for films of one file size, and what that means for MIMIC-CXR."""
    reference, ours = rows[SAME_FILTER], spent[OURS]
    hours = ours * MIMIC_IMAGES / 3600
    print(f"\n{megabytes:.1f} MB a file: {spent[FLOOR] / ours:.0%} of our time reads the entropy code;"
          f" {hours:.1f} hours for {MIMIC_IMAGES:,} such images on one core")  # fmt: skip
    print(f"  {'':<44}{'ms':>7}{'images/s':>10}{'ours is':>10}{'error':>8}")
    for way, seconds in spent.items():
        comparable = rows[way].shape == reference.shape
        error = f"{np.abs(rows[way].astype(int) - reference).mean():>8.2f}" if comparable else ""
        print(f"  {way:<44}{seconds * 1e3:>7.1f}{1 / seconds:>10.1f}{seconds / ours:>8.1f} x{error}", flush=True)


def film(seed: int, noise: float) -> bytes:
    """Two dark lungs in a bright chest with ribs and the detector's noise, as a JPEG file."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    y, x = y / HEIGHT - 0.5, x / WIDTH - 0.5
    lungs = sum(np.exp(-(((x - side) / 0.13) ** 2) - (y / 0.3) ** 2) for side in (-0.2, 0.2))
    ribs = 12 * np.sin(60 * (y + 0.6 * x**2) + rng.uniform(0, 6))
    pixels = 190 - 130 * lungs + ribs + rng.normal(0, noise, (HEIGHT, WIDTH))
    stream = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def _ways(side: int) -> dict[str, Way]:
    settings = ImageSettings(side=side)
    return {
        OURS: lambda file: decode(file, settings),
        SAME_FILTER: lambda file: full_decode(file, side, Resampling.BILINEAR),
        "full RGB decode, Pillow's default (bicubic)": lambda file: full_decode(file, side, Resampling.BICUBIC),
        "full RGB decode, Lanczos": lambda file: full_decode(file, side, Resampling.LANCZOS),
        "MedFuse's resize.py, without its writing": medfuse_resize,
        "full grey decode, our filter": lambda file: grey_decode(file, side),
        "draft at once the side, our filter": lambda file: draft_decode(file, side),
        FLOOR: floor,
    }


def full_decode(file: bytes, side: int, filter_: Resampling) -> Rows:
    with Image.open(io.BytesIO(file)) as image:
        return np.asarray(image.convert("RGB").resize((side, side), filter_))[..., 0]


def grey_decode(file: bytes, side: int) -> Rows:
    with Image.open(io.BytesIO(file)) as image:
        return np.asarray(image.resize((side, side), Resampling.BILINEAR))


def medfuse_resize(file: bytes) -> Rows:
    with Image.open(io.BytesIO(file)) as image:
        width, height = image.size
        return np.asarray(image.resize((512, int(height * 512 / width))))


def draft_decode(file: bytes, side: int) -> Rows:
    with Image.open(io.BytesIO(file)) as image:
        _, box = image.draft("L", (side, side))
        return np.asarray(image.resize((side, side), Resampling.BILINEAR, box=box))


def floor(file: bytes) -> Rows:
    with Image.open(io.BytesIO(file)) as image:
        image.draft("L", (WIDTH // 8, HEIGHT // 8))
        return np.asarray(image)


def alternate(ways: dict[str, Way], files: list[bytes], rounds: int) -> tuple[dict[str, Rows], dict[str, float]]:
    """Rows of each way, and its least processor seconds a file."""
    rows: dict[str, Rows] = {}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, make in ways.items():
            start = time.process_time()
            made = [make(file) for file in files]
            seconds[way].append((time.process_time() - start) / len(files))
            rows[way] = np.stack(made)
    return rows, {way: min(spent) for way, spent in seconds.items()}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=4, help="films of each file size")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", type=int, default=ImageSettings().side)
    parser.add_argument("--noise", type=float, nargs="+", default=NOISE, help="standard deviation in grey levels")
    return parser.parse_args()


if __name__ == "__main__":
    main()
