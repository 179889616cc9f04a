"""The views that pretraining and evaluation give the encoder: tensors in, normalised tensors out.

Every random choice comes from the `torch.Generator` handed in and is drawn on its device, so a CPU
generator gives the same views of images on any device.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from mmsn.images.affine import AffineParameters, affine, compiled_affine, sample_affine
from mmsn.images.crops import UNCHANGED, Levels, compiled_crops, empty_on_cpu, resized_crops, sample_crops
from mmsn.images.settings import EvalViewSettings, ViewSettings
from mmsn.images.share import Share, all_of

_AT_ONCE_ON_GPU = 128  # images; bounds the weights of their focal views to 250 MB


class Normalisation(NamedTuple):
    """Mean and standard deviation of the three channels, for grey levels divided by 255."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def levels(self) -> Levels:
        """What it makes of grey levels 0..255."""
        slopes = tuple(1 / (255 * std) for std in self.std)
        return Levels(slopes, tuple(-mean / std for mean, std in zip(*self, strict=True)))


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
        out = _empty(*images.shape[:-2], 3, *images.shape[-2:], device=images.device)
    grey = images.float()
    for channel, (slope, black) in enumerate(zip(*by.levels, strict=True)):
        torch.add(torch.tensor(black), grey, alpha=slope, out=out[..., channel, :, :])
    return out


def _empty(*shape: int, device: torch.device) -> Tensor:
    return empty_on_cpu(*shape) if device.type == "cpu" else torch.empty(shape, device=device)


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


def mirrored(images: Tensor, chosen: Tensor) -> Tensor:
    """Mirror the `chosen` [B] of images [B, ..., W] left to right."""
    return torch.where(chosen.to(images.device).view(-1, *[1] * (images.ndim - 1)), images.flip(-1), images)


def _coins(shape: tuple[int, ...], p: float, generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device) < p


def resize(images: Tensor, side: int) -> Tensor:
    """Resize [B, S, S], uint8 or float, to float32 [B, side, side], antialiased, as torchvision's Resize.

    On a CPU uint8 becomes whole grey levels, those of Pillow.
    """
    B, H, W = images.shape
    if H == W == side:
        return images.float()
    if images.device.type == "cpu" and images.dtype == torch.uint8:
        whole = torch.tensor([0, 0, H, W]).expand(B, 1, 4)
        return compiled_crops(images, whole, torch.zeros(B, 1, dtype=torch.bool), side, UNCHANGED)[0, :, 0]
    return interpolate(images.float()[:, None], (side, side), mode="bilinear", antialias=True)[:, 0]


def normalised_crops(images: Tensor, boxes: Tensor, flips: Tensor, size: int, by: Normalisation = IMAGENET) -> Tensor:
    """Crop, mirror, resize and normalise on the images' device.

    Args:
        images: uint8 [B, H, W].
        boxes: int64 [B, V, 4]: top, left, height, width.
        flips: bool [B, V].
        size: side of a view in pixels.
        by: the encoder's normalisation.

    Returns:
        float32 [V, B, 3, size, size].
    """
    if images.device.type == "cpu":
        return compiled_crops(images, boxes, flips, size, by.levels)
    return crops_by_tensors(images, boxes, flips, size, by)


def crops_by_tensors(images: Tensor, boxes: Tensor, flips: Tensor, size: int, by: Normalisation = IMAGENET) -> Tensor:
    """The way of a GPU through `normalised_crops`; a CPU can go it too, to the same views within a grey level."""
    B, V = flips.shape
    out = torch.empty(V, B, 3, size, size, device=images.device)
    for start in range(0, B if V else 0, _AT_ONCE_ON_GPU):
        some = slice(start, start + _AT_ONCE_ON_GPU)
        crops = resized_crops(images[some], boxes[some], flips[some], size)
        normalise(crops.transpose(0, 1), by, out=out[:, some])
    return out


@dataclass(frozen=True)
class PretrainViews:
    """Target, random and focal views of a batch: crop, mirror, normalise (SPEC 3; lightly's MSNTransform)."""

    settings: ViewSettings

    def __call__(
        self,
        images: Tensor,
        generator: torch.Generator,
        share: Share | None = None,
        partners: Tensor | None = None,
    ) -> Views:
        """Draw the views of uint8 images [B, S, S]; the target view is cropped as the random views are.

        Args:
            images: one source of views each.
            generator: drawn from for all images of the step.
            share: which of the step's images these are; all of them when None.
            partners: uint8 [B, S, S], what the target views are cut from where it is not `images`.
        """
        chosen, share = self.settings, share or all_of(images)
        large_boxes, large_flips = self._drawn(images, 1 + chosen.random_views, chosen.random_scale, share, generator)
        focal_boxes, focal_flips = self._drawn(images, chosen.focal_views, chosen.focal_scale, share, generator)
        if partners is None:
            large = normalised_crops(images, large_boxes, large_flips, chosen.random_size)
            target, random = large[0], large[1:]
        else:
            target = normalised_crops(partners, large_boxes[:, :1], large_flips[:, :1], chosen.random_size)[0]
            random = normalised_crops(images, large_boxes[:, 1:], large_flips[:, 1:], chosen.random_size)
        focal = normalised_crops(images, focal_boxes, focal_flips, chosen.focal_size)
        return Views(target, random.flatten(0, 1), focal.flatten(0, 1))

    def _drawn(
        self, images: Tensor, count: int, scale: tuple[float, float], share: Share, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Boxes [B, count, 4] and flips [B, count] of these images, drawn for all of the step."""
        height, width = images.shape[-2:]
        boxes = sample_crops(share.whole * count, height, width, scale, self.settings.ratio, generator)
        flips = _coins((share.whole, count), self.settings.hflip, generator)
        return boxes.view(share.whole, count, 4)[share.rows], flips[share.rows]


@dataclass(frozen=True)
class TrainTransform:
    """Training views of evaluation: resize, mirror, affine, centre crop, normalise (SPEC 4)."""

    settings: EvalViewSettings

    def __call__(self, images: Tensor, generator: torch.Generator, share: Share | None = None) -> Tensor:
        """Make uint8 images [B, S, S] float32 [B, 3, crop, crop]; `share` as in `PretrainViews`."""
        chosen, share = self.settings, share or all_of(images)
        flips = _coins((share.whole,), chosen.hflip, generator)[share.rows]
        resized = resize(images, chosen.resize)
        parameters = sample_affine(
            share.whole, chosen.resize, chosen.resize, chosen.degrees, chosen.translate, chosen.scale, generator
        )
        own = AffineParameters(*(values[share.rows] for values in parameters))
        by = NORMALISATIONS[chosen.normalisation]
        if images.device.type == "cpu":
            return compiled_affine(resized, flips, own, chosen.interpolation, chosen.crop, by.levels)
        moved = affine(mirrored(resized, flips), own, chosen.interpolation)
        return normalise(centre_crop(moved, chosen.crop), by)


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
