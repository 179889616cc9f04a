"""The views of pretraining and of evaluation: ours for a whole batch beside one Pillow image at a time, on one core.

The peers are torchvision's transforms as lightly's MSNTransform composes them without jitter, blur and grey, and that
MSNTransform itself where lightly is installed; for evaluation the transforms of the released code. All start from
decoded images in memory (ours uint8 grey, the peers' Pillow RGB as the released code loads them, or grey) and end with
normalised tensors stacked per view.

Ways alternate, round by round; times are processor seconds, medians over the rounds after a first one that compiles.
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

from mmsn.images.crops import UNCHANGED, compiled_crops, sample_crops
from mmsn.images.settings import EvalViewSettings, ViewSettings
from mmsn.images.views import IMAGENET, PretrainViews, TestTransform, TrainTransform, crops_by_tensors

SIDE = 256
SETTINGS = ViewSettings()
EVALUATION = EvalViewSettings()
ViewsOfAnImage = Callable[[Image.Image], list[torch.Tensor]]
Ways = dict[str, Callable[[], object]]


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(1)
    images = simulate(arguments.images)
    films = [Image.fromarray(image.numpy()).convert("RGB") for image in images]
    print(f"{len(images)} images of {SIDE} pixels a side, one core, median of {arguments.rounds} rounds")
    kinds = {
        f"pretraining: 2 views of {SETTINGS.random_size} and {SETTINGS.focal_views} of {SETTINGS.focal_size} pixels": (
            pretraining(images, films)
        ),
        f"evaluation, training view of {EVALUATION.crop} pixels": training_views(images, films),
        f"evaluation, test view of {EVALUATION.crop} pixels": test_views(images, films),
    }
    for kind, ways in kinds.items():
        seconds = alternate(ways, arguments.rounds)
        ours = next(iter(seconds.values()))
        print(f"\n{kind:<52}{'ms/image':>9}{'images/s':>10}{'ours is':>10}")
        for way, spent in seconds.items():
            each = spent / len(images)
            print(f"  {way:<50}{each * 1e3:>9.3f}{1 / each:>10.0f}{spent / ours:>8.1f} x")
    different, largest = differences(images)
    print(f"\npixels that differ from Pillow's, same boxes, width first: {different}", end="")
    print(f"; from one resize call of this Pillow: by {largest:.0f} grey levels at most")


def simulate(count: int) -> torch.Tensor:
    """Smooth noise at several scales, uint8 [count, SIDE, SIDE]."""
    rng = np.random.default_rng(0)
    layers = [
        np.kron(rng.normal(0, 30, (count, SIDE // step, SIDE // step)), np.ones((step, step))) for step in (32, 8, 1)
    ]
    return torch.from_numpy((128 + sum(layers)).clip(0, 255).astype(np.uint8))


def pretraining(images: torch.Tensor, films: list[Image.Image]) -> Ways:
    make, generator = PretrainViews(SETTINGS), torch.Generator().manual_seed(0)
    grey = [film.convert("L") for film in films]
    ways: Ways = {
        "ours": lambda: make(images, generator),
        "ours by tensors, the way of a GPU, on this CPU": lambda: by_tensors(images, generator),
        "torchvision on Pillow RGB": lambda: one_by_one(films, torchvision_views()),
        "torchvision on Pillow grey, channels repeated": lambda: one_by_one(grey, torchvision_views()),
    }
    if lightly := importlib.util.find_spec("lightly"):
        ways["lightly's MSNTransform on Pillow RGB"] = partial(one_by_one, films, lightly_views(lightly))
    return ways


def training_views(images: torch.Tensor, films: list[Image.Image]) -> Ways:
    make, generator = TrainTransform(EVALUATION), torch.Generator().manual_seed(0)
    shift = (EVALUATION.translate, EVALUATION.translate)
    released = transforms.Compose(
        [
            transforms.Resize(EVALUATION.resize),
            transforms.RandomHorizontalFlip(EVALUATION.hflip),
            transforms.RandomAffine(EVALUATION.degrees, shift, EVALUATION.scale),
            transforms.CenterCrop(EVALUATION.crop),
            *finish(),
        ]
    )
    return {
        "ours": lambda: make(images, generator),
        "torchvision on Pillow RGB": lambda: torch.stack([released(film) for film in films]),
    }


def test_views(images: torch.Tensor, films: list[Image.Image]) -> Ways:
    make = TestTransform(EVALUATION)
    released = transforms.Compose(
        [transforms.Resize(EVALUATION.resize), transforms.CenterCrop(EVALUATION.crop), *finish()]
    )
    return {
        "ours": lambda: make(images),
        "torchvision on Pillow RGB": lambda: torch.stack([released(film) for film in films]),
    }


def finish() -> list[Callable[[Image.Image], torch.Tensor]]:
    repeat = transforms.Lambda(lambda pixels: pixels.expand(3, -1, -1).contiguous() if len(pixels) == 1 else pixels)
    return [transforms.ToTensor(), repeat, transforms.Normalize(*IMAGENET)]


def by_tensors(images: torch.Tensor, generator: torch.Generator) -> list[torch.Tensor]:
    large = drawn(images, 1 + SETTINGS.random_views, SETTINGS.random_scale, generator)
    focal = drawn(images, SETTINGS.focal_views, SETTINGS.focal_scale, generator)
    return [
        crops_by_tensors(images, *large, SETTINGS.random_size),
        crops_by_tensors(images, *focal, SETTINGS.focal_size),
    ]


def drawn(
    images: torch.Tensor, views: int, scale: tuple[float, float], generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    count = len(images)
    boxes = sample_crops(count * views, SIDE, SIDE, scale, SETTINGS.ratio, generator).view(count, views, 4)
    return boxes, torch.rand(count, views, generator=generator) < SETTINGS.hflip


def one_by_one(films: list[Image.Image], views_of: ViewsOfAnImage) -> list[torch.Tensor]:
    return [torch.stack(views) for views in zip(*map(views_of, films), strict=True)]


def torchvision_views() -> ViewsOfAnImage:
    def view(size: int, scale: tuple[float, float]) -> transforms.Compose:
        crop = transforms.RandomResizedCrop(size, scale=scale)
        return transforms.Compose([crop, transforms.RandomHorizontalFlip(SETTINGS.hflip), *finish()])

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


def alternate(ways: Ways, rounds: int) -> dict[str, float]:
    """Median processor seconds of each way."""
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds + 1):
        for way, work in ways.items():
            start = time.process_time()
            work()
            seconds[way].append(time.process_time() - start)
    return {way: median(spent[1:]) for way, spent in seconds.items()}


def differences(images: torch.Tensor) -> tuple[int, float]:
    """Pixels that differ from Pillow's, width resized first, and the largest difference from one call, in grey levels.

    One call resizes the height first since Pillow 13, where that shrinks much more.
    """
    generator = torch.Generator().manual_seed(1)
    different, largest = 0, 0.0
    for views, size, scale in (
        (1 + SETTINGS.random_views, SETTINGS.random_size, SETTINGS.random_scale),
        (SETTINGS.focal_views, SETTINGS.focal_size, SETTINGS.focal_scale),
    ):
        boxes, _ = drawn(images, views, scale, generator)
        upright = torch.zeros(boxes.shape[:2], dtype=torch.bool)
        ours = compiled_crops(images, boxes, upright, size, UNCHANGED)[:, :, 0].transpose(0, 1).numpy()
        for image, places, crops in zip(images, boxes.tolist(), ours, strict=True):
            film = Image.fromarray(image.numpy())
            for (top, left, height, width), crop in zip(places, crops, strict=True):
                cut = film.crop((left, top, left + width, top + height))
                narrowed = cut.resize((size, height), Image.Resampling.BILINEAR)
                different += int((np.asarray(narrowed.resize((size, size), Image.Resampling.BILINEAR)) != crop).sum())
                at_once = np.asarray(cut.resize((size, size), Image.Resampling.BILINEAR))
                largest = max(largest, np.abs(at_once - crop).max())
    return different, largest


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64, help="batch size")
    parser.add_argument("--rounds", type=int, default=9)
    return parser.parse_args()


if __name__ == "__main__":
    main()
