"""The twelve views of pretraining: ours for a whole batch beside one PIL image at a time, on one core.

The peers are torchvision's transforms as lightly's MSNTransform composes them without jitter, blur and grey, and
that MSNTransform itself where lightly is installed. All start from decoded 256-pixel images in memory and end with
normalised tensors stacked per view. Rounds alternate; the medians are compared.
"""

import argparse
import importlib
import importlib.util
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.machinery import ModuleSpec
from statistics import median
from types import ModuleType

import numpy as np
import torch
from PIL import Image
from torchvision import transforms

from mmsn.images.crops import resized_crop, sample_crops
from mmsn.images.settings import ViewSettings
from mmsn.images.views import IMAGENET, PretrainViews

SIDE = 256
SETTINGS = ViewSettings()
ViewsOfAnImage = Callable[[Image.Image], list[torch.Tensor]]


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(1)
    images = simulate(arguments.images)
    films = [Image.fromarray(image.numpy()).convert("RGB") for image in images]
    make, generator = PretrainViews(SETTINGS), torch.Generator().manual_seed(0)
    ways: dict[str, Callable[[], object]] = {
        "ours, a batch of tensors": lambda: make(images, generator),
        "torchvision, image by image": lambda: one_by_one(films, torchvision_views()),
    }
    if lightly := importlib.util.find_spec("lightly"):
        ways["lightly MSNTransform, image by image"] = partial(one_by_one, films, lightly_views(lightly))
    seconds = alternate(ways, arguments.rounds)

    print(f"{len(images)} images, 2 views of {SETTINGS.random_size} and {SETTINGS.focal_views} of ", end="")
    print(f"{SETTINGS.focal_size} pixels each, one core, median of {arguments.rounds} rounds\n")
    ours = seconds["ours, a batch of tensors"]
    for way, spent in seconds.items():
        print(f"{way:<40}{len(images) / spent:>8.0f} images/s{spent / ours:>8.1f} x")
    print(f"\nlargest difference from Pillow on the same boxes {largest_difference(images):.2f} grey levels")


def simulate(count: int) -> torch.Tensor:
    """Smooth noise at several scales, uint8 [count, SIDE, SIDE]."""
    rng = np.random.default_rng(0)
    layers = [
        np.kron(rng.normal(0, 30, (count, SIDE // step, SIDE // step)), np.ones((step, step))) for step in (32, 8, 1)
    ]
    return torch.from_numpy((128 + sum(layers)).clip(0, 255).astype(np.uint8))


def one_by_one(films: list[Image.Image], views_of: ViewsOfAnImage) -> list[torch.Tensor]:
    return [torch.stack(views) for views in zip(*map(views_of, films), strict=True)]


def torchvision_views() -> ViewsOfAnImage:
    def view(size: int, scale: tuple[float, float]) -> transforms.Compose:
        return transforms.Compose(
            [
                transforms.RandomResizedCrop(size, scale=scale),
                transforms.RandomHorizontalFlip(SETTINGS.hflip),
                transforms.ToTensor(),
                transforms.Normalize(*IMAGENET),
            ]
        )

    large = [view(SETTINGS.random_size, SETTINGS.random_scale)] * (1 + SETTINGS.random_views)
    every = large + [view(SETTINGS.focal_size, SETTINGS.focal_scale)] * SETTINGS.focal_views
    return lambda film: [make(film) for make in every]


def lightly_views(lightly: ModuleSpec) -> ViewsOfAnImage:
    """MSNTransform without the rest of lightly 1.4.21, whose web client wants pydantic 1 and NumPy 1."""
    package = sys.modules["lightly"] = ModuleType("lightly")
    package.__path__ = list(lightly.submodule_search_locations or [])
    msn_transform = importlib.import_module("lightly.transforms.msn_transform")
    return msn_transform.MSNTransform(
        random_views=1 + SETTINGS.random_views, cj_prob=0.0, gaussian_blur=0.0, random_gray_scale=0.0
    )


def alternate(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each way; a first round warms up and does not count."""
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds + 1):
        for way, work in ways.items():
            start = time.perf_counter()
            work()
            seconds[way].append(time.perf_counter() - start)
    return {way: median(spent[1:]) for way, spent in seconds.items()}


def largest_difference(images: torch.Tensor) -> float:
    """Largest difference from Pillow over one crop of each image, in grey levels."""
    generator = torch.Generator().manual_seed(1)
    boxes = sample_crops(len(images), SIDE, SIDE, SETTINGS.random_scale, SETTINGS.ratio, generator)
    ours = resized_crop(images, boxes, torch.zeros(len(images), dtype=torch.bool), SETTINGS.random_size)
    gaps = []
    for image, (top, left, height, width), crop in zip(images, boxes.tolist(), ours, strict=True):
        film = Image.fromarray(image.numpy()).crop((left, top, left + width, top + height))
        resized = film.resize((SETTINGS.random_size,) * 2, Image.Resampling.BILINEAR)
        gaps.append(np.abs(np.asarray(resized) - crop.numpy()).max())
    return float(max(gaps))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64, help="batch size")
    parser.add_argument("--rounds", type=int, default=7)
    return parser.parse_args()


if __name__ == "__main__":
    main()
