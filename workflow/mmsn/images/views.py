"""The views that pretraining and evaluation give the encoder: tensors in, normalised tensors out.

Every random choice comes from the `torch.Generator` handed in and is drawn on its device, so a CPU
generator gives the same views of images on any device.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from mmsn.images.affine import random_affine
from mmsn.images.crops import resized_crops, sample_crops
from mmsn.images.settings import EvalViewSettings, ViewSettings

_AT_ONCE_ON_CPU = 8  # images whose crops and weights stay in the cache
_AT_ONCE_ON_GPU = 128  # images; bounds the weights of their focal views to 250 MB


class Normalisation(NamedTuple):
    """Mean and standard deviation of the three channels, for grey levels divided by 255."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


IMAGENET: Final = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
NORMALISATIONS: Final = {
    "imagenet": IMAGENET,
    "released": Normalisation((0.4884, 0.4550, 0.4171), (0.2596, 0.2530, 0.2556)),
}


class Views(NamedTuple):
    """The views of B images, float32; view-major: the first view of each image, then each second."""

    target: Tensor
    """[B, 3, random_size, random_size]"""
    random: Tensor
    """[B * random_views, 3, random_size, random_size]"""
    focal: Tensor
    """[B * focal_views, 3, focal_size, focal_size]"""


def normalise(images: Tensor, by: Normalisation = IMAGENET, out: Tensor | None = None) -> Tensor:
    """Turn grey levels 0..255 [..., H, W], uint8 or float, into the encoder's float32 [..., 3, H, W].

    `out` takes the result where given.
    """
    if out is None:
        out = torch.empty(*images.shape[:-2], 3, *images.shape[-2:], device=images.device)
    grey = images.float()
    for channel, (mean, std) in enumerate(zip(*by, strict=True)):
        black = torch.tensor(-mean / std)
        torch.add(black, grey, alpha=1 / (255 * std), out=out[..., channel, :, :])
    return out


def centre_crop(images: Tensor, size: int) -> Tensor:
    """Cut the middle [..., size, size] out of [..., H, W], as torchvision's CenterCrop does.

    Raises:
        ValueError: the images are smaller than that.
    """
    height, width = images.shape[-2:]
    if size > min(height, width):
        raise ValueError(f"a centre crop of {size} does not fit into {height} x {width}")
    top, left = round((height - size) / 2), round((width - size) / 2)
    return images[..., top : top + size, left : left + size]


def horizontal_flip(images: Tensor, p: float, generator: torch.Generator) -> Tensor:
    """Mirror each of the images [B, ..., W] left to right with probability `p`."""
    chosen = _coins((images.shape[0],), p, generator).to(images.device)
    return torch.where(chosen.view(-1, *[1] * (images.ndim - 1)), images.flip(-1), images)


def _coins(shape: tuple[int, ...], p: float, generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device) < p


def resize(images: Tensor, side: int) -> Tensor:
    """Resize [B, S, S], uint8 or float, to float32 [B, side, side], antialiased, as torchvision's Resize."""
    pixels = images.float()
    if images.shape[-1] == images.shape[-2] == side:
        return pixels
    return interpolate(pixels[:, None], (side, side), mode="bilinear", antialias=True)[:, 0]


@dataclass(frozen=True)
class PretrainViews:
    """Target, random and focal views of a batch: crop, mirror, normalise (SPEC 3; lightly's MSNTransform)."""

    settings: ViewSettings

    def __call__(self, images: Tensor, generator: torch.Generator) -> Views:
        """Draw the views of uint8 images [B, S, S]; the target view is cropped as the random views are."""
        chosen = self.settings
        large = self._views(images, 1 + chosen.random_views, chosen.random_size, chosen.random_scale, generator)
        focal = self._views(images, chosen.focal_views, chosen.focal_size, chosen.focal_scale, generator)
        return Views(large[0], large[1:].flatten(0, 1), focal.flatten(0, 1))

    def _views(
        self, images: Tensor, count: int, size: int, scale: tuple[float, float], generator: torch.Generator
    ) -> Tensor:
        """Normalised crops [count, B, 3, size, size]."""
        B, H, W = images.shape
        boxes = sample_crops(B * count, H, W, scale, self.settings.ratio, generator).view(B, count, 4)
        flips = _coins((B, count), self.settings.hflip, generator)
        out = torch.empty(count, B, 3, size, size, device=images.device)
        at_once = _AT_ONCE_ON_CPU if images.device.type == "cpu" else _AT_ONCE_ON_GPU
        for start in range(0, B if count else 0, at_once):
            some = slice(start, start + at_once)
            crops = resized_crops(images[some], boxes[some], flips[some], size)
            normalise(crops.transpose(0, 1), out=out[:, some])
        return out


@dataclass(frozen=True)
class TrainTransform:
    """Training views of evaluation: resize, mirror, affine, centre crop, normalise (SPEC 4)."""

    settings: EvalViewSettings

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Make uint8 images [B, S, S] float32 [B, 3, crop, crop]."""
        chosen = self.settings
        resized = horizontal_flip(resize(images, chosen.resize), chosen.hflip, generator)
        moved = random_affine(resized, chosen.degrees, chosen.translate, chosen.scale, generator, chosen.interpolation)
        return normalise(centre_crop(moved, chosen.crop), NORMALISATIONS[chosen.normalisation])


@dataclass(frozen=True)
class TestTransform:
    """Test views of evaluation: resize, centre crop, normalise (SPEC 4)."""

    __test__ = False  # not a test case, whatever pytest makes of the name
    settings: EvalViewSettings

    def __call__(self, images: Tensor) -> Tensor:
        """Make uint8 images [B, S, S] float32 [B, 3, crop, crop]."""
        chosen = self.settings
        cropped = centre_crop(resize(images, chosen.resize), chosen.crop)
        return normalise(cropped, NORMALISATIONS[chosen.normalisation])
