"""Random affine maps: torchvision's parameters and torchvision's pixels."""

from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import ks_2samp
from torchvision import transforms
from torchvision.transforms import functional

from mmsn.images.affine import AffineParameters, affine, compiled_affine, sample_affine
from mmsn.images.crops import UNCHANGED
from mmsn.images.views import centre_crop, mirrored
from tests.unit.test_views_crops import radiograph_like, seeded

SIDE = 128


def drawn(batch: int = 24) -> AffineParameters:
    return sample_affine(batch, SIDE, SIDE, 45, 0.15, (0.85, 1.15), seeded())


def one_by_one(
    images: torch.Tensor, parameters: AffineParameters, interpolation: Literal["nearest", "bilinear"]
) -> torch.Tensor:
    mode = functional.InterpolationMode(interpolation)
    maps = zip(images, *(p.tolist() for p in parameters), strict=True)
    moved = [
        functional.affine(image[None], angle, shift, scale, [0.0, 0.0], mode, fill=[0.0])
        for image, angle, shift, scale in maps
    ]
    return torch.cat(moved)


def test_parameters_have_torchvisions_distribution():
    samples = 4000
    ours = sample_affine(samples, SIDE, SIDE, 45, 0.15, (0.85, 1.15), seeded(3))
    torch.manual_seed(4)
    theirs = [
        transforms.RandomAffine.get_params([-45, 45], [0.15, 0.15], [0.85, 1.15], None, [SIDE, SIDE])
        for _ in range(samples)
    ]
    for mine, other in [
        (ours.angle, [angle for angle, *_ in theirs]),
        (ours.shift[:, 0], [shift[0] for _, shift, *_ in theirs]),
        (ours.shift[:, 1], [shift[1] for _, shift, *_ in theirs]),
        (ours.scale, [scale for _, _, scale, _ in theirs]),
    ]:
        assert ks_2samp(mine.numpy(), other).pvalue > 0.01


def test_bilinear_maps_are_torchvisions():
    images = torch.rand(24, SIDE, SIDE, generator=seeded())
    theirs = one_by_one(images, drawn(), "bilinear")
    torch.testing.assert_close(affine(images, drawn(), "bilinear"), theirs, atol=1e-4, rtol=0)


def test_nearest_maps_are_torchvisions_but_for_rounding_ties():
    images = radiograph_like(24, SIDE).float()
    theirs = one_by_one(images, drawn(), "nearest")
    assert (affine(images, drawn()) != theirs).float().mean() < 1e-4


@pytest.mark.parametrize("size", [SIDE, 101])
def test_nearest_maps_are_those_of_the_released_pipeline_on_pillow_images(size):
    images, flips = radiograph_like(24, SIDE), torch.rand(24, generator=seeded(1)) < 0.5
    on_cpu = compiled_affine(images.float(), flips, drawn(), "nearest", size, UNCHANGED)[:, 0].numpy()
    by_tensors = centre_crop(affine(mirrored(images, flips), drawn()), size).numpy()
    every = zip(on_cpu, by_tensors, images, flips.tolist(), *(p.tolist() for p in drawn()), strict=True)
    for compiled, tensors, image, flip, angle, shift, scale in every:
        film = Image.fromarray(image.numpy())
        moved = functional.affine(functional.hflip(film) if flip else film, angle, shift, scale, [0.0, 0.0])
        theirs = np.asarray(functional.center_crop(moved, [size]))
        assert np.array_equal(compiled, theirs)
        assert (tensors != theirs).mean() < 0.005  # Pillow counts in 1/65536 pixels


def test_bilinear_maps_are_the_same_compiled_and_by_tensors():
    images, flips = radiograph_like(24, SIDE), torch.rand(24, generator=seeded(1)) < 0.5
    on_cpu = compiled_affine(images.float(), flips, drawn(), "bilinear", 101, UNCHANGED)[:, 0]
    by_tensors = centre_crop(affine(mirrored(images, flips), drawn(), "bilinear"), 101)
    torch.testing.assert_close(on_cpu, by_tensors, atol=0.02, rtol=0)


def test_bilinear_maps_are_pillows_within_one_grey_level_away_from_the_edge():
    images = torch.nn.functional.pad(radiograph_like(24, SIDE - 40), [20] * 4)  # so that every edge is black
    upright = torch.zeros(24, dtype=torch.bool)
    ours = compiled_affine(images.float(), upright, drawn(), "bilinear", SIDE, UNCHANGED)[:, 0].numpy()
    bilinear = functional.InterpolationMode.BILINEAR
    for moved, image, angle, shift, scale in zip(ours, images, *(p.tolist() for p in drawn()), strict=True):
        film = Image.fromarray(image.numpy())
        theirs = np.asarray(functional.affine(film, angle, shift, scale, [0.0, 0.0], bilinear))
        assert np.abs(moved - theirs).max() < 1.001  # Pillow cuts fractions off


def test_a_map_that_moves_nothing_changes_nothing():
    images = radiograph_like(3, 65)
    still = sample_affine(3, 65, 65, 0, 0, (1, 1), seeded())
    upright = torch.zeros(3, dtype=torch.bool)
    for interpolation in ("nearest", "bilinear"):
        moved = compiled_affine(images.float(), upright, still, interpolation, 65, UNCHANGED)[:, 0]
        torch.testing.assert_close(moved, images.float(), atol=1e-4, rtol=0)
    assert torch.equal(affine(images, still), images.float())


def test_a_shift_moves_right_and_down_and_leaves_black():
    images = torch.full((1, 10, 10), 50.0)
    one = torch.ones(1, dtype=torch.float64)
    moved = affine(images, AffineParameters(0 * one, torch.tensor([[3.0, 1.0]], dtype=torch.float64), one))
    assert (moved[0, 1:, 3:] == 50).all()
    assert moved.sum() == 9 * 7 * 50


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_channels_move_together(interpolation):
    images = torch.rand(2, 3, 20, 30, generator=seeded())
    parameters = sample_affine(2, 20, 30, 45, 0.15, (0.85, 1.15), seeded())
    together = affine(images, parameters, interpolation)
    assert torch.equal(together[:, 1], affine(images[:, 1], parameters, interpolation))
