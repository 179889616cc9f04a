"""Random resized crops: torchvision's distribution, Pillow's pixels."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import ks_2samp
from torchvision import transforms
from torchvision.transforms import functional

from mmsn.images.crops import resized_crop, resized_crops, sample_crops

RATIO = (3 / 4, 4 / 3)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def radiograph_like(batch: int, side: int, seed: int = 0) -> torch.Tensor:
    """Smooth shading with noise, uint8 [batch, side, side]: neither flat nor nothing but noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side] / side
    phases = rng.uniform(0, 6, (batch, 2, 1, 1))
    shading = 120 + 70 * np.sin(9 * x + phases[:, 0]) * np.cos(7 * y + phases[:, 1])
    return torch.from_numpy((shading + rng.normal(0, 15, shading.shape)).clip(0, 255).astype(np.uint8))


def pillow(image: torch.Tensor, box: list[int], flip: bool, size: int) -> np.ndarray:
    top, left, height, width = box
    crop = Image.fromarray(image.numpy()).crop((left, top, left + width, top + height))
    resized = np.asarray(crop.resize((size, size), Image.Resampling.BILINEAR)).astype(float)
    return resized[:, ::-1] if flip else resized


@pytest.mark.parametrize("scale", [(0.3, 1.0), (0.05, 0.3)], ids=["random", "focal"])
def test_boxes_have_torchvisions_distribution(scale):
    samples = 4000
    ours = sample_crops(samples, 256, 256, scale, RATIO, seeded(1)).numpy()
    torch.manual_seed(2)
    blank = torch.empty(1, 256, 256)
    theirs = np.array([transforms.RandomResizedCrop.get_params(blank, scale, RATIO) for _ in range(samples)])
    properties = {
        "area": lambda b: b[:, 2] * b[:, 3],
        "aspect": lambda b: b[:, 3] / b[:, 2],
        "top": lambda b: b[:, 0],
        "left": lambda b: b[:, 1],
        "height": lambda b: b[:, 2],
        "width": lambda b: b[:, 3],
        "space below": lambda b: b[:, 0] + b[:, 2],
    }
    for name, of in properties.items():
        assert ks_2samp(of(ours), of(theirs)).pvalue > 0.01, name


@given(
    height=st.integers(1, 80),
    width=st.integers(1, 80),
    low=st.floats(0.01, 1),
    narrow=st.floats(0.2, 1),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_every_box_lies_within_the_image(height, width, low, narrow, seed):
    boxes = sample_crops(50, height, width, (low, 1.0), (narrow, 1 / narrow), seeded(seed))
    top, left, h, w = boxes.unbind(1)
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] >= 1).all()
    assert (top + h <= height).all()
    assert (left + w <= width).all()


@pytest.mark.parametrize(("height", "width"), [(200, 20), (20, 200), (64, 64)])
def test_when_no_box_fits_the_crop_is_torchvisions_central_one(height, width):
    too_large = (4.0, 5.0)
    expected = transforms.RandomResizedCrop.get_params(torch.empty(1, height, width), too_large, RATIO)
    boxes = sample_crops(3, height, width, too_large, RATIO, seeded())
    assert boxes.tolist() == [list(expected)] * 3


@pytest.mark.parametrize(("size", "scale"), [(224, (0.3, 1.0)), (96, (0.05, 0.3)), (32, (0.3, 1.0))])
def test_crops_are_pillows_within_one_grey_level(size, scale):
    images = radiograph_like(24, 256)
    boxes = sample_crops(24, 256, 256, scale, RATIO, seeded())
    flips = torch.rand(24, generator=seeded(1)) < 0.5
    crops = resized_crop(images, boxes, flips, size).round().numpy()
    for crop, *reference in zip(crops, images, boxes.tolist(), flips.tolist(), strict=True):
        assert np.abs(crop - pillow(*reference, size)).max() <= 1


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_crops_are_torchvisions_for_any_box_and_size(data):
    side, size = data.draw(st.integers(2, 48)), data.draw(st.integers(1, 64))
    top, left = data.draw(st.integers(0, side - 1)), data.draw(st.integers(0, side - 1))
    height, width = data.draw(st.integers(1, side - top)), data.draw(st.integers(1, side - left))
    image = torch.rand(1, 3, side, side, generator=seeded(side))
    boxes = torch.tensor([[top, left, height, width]])
    ours = resized_crop(image, boxes, torch.tensor([False]), size)
    theirs = functional.resized_crop(image, top, left, height, width, [size, size], antialias=True)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_pixels_outside_the_box_have_no_weight():
    images = torch.zeros(1, 64, 64, dtype=torch.uint8)
    images[0, 20:40, 10:50] = 100
    crop = resized_crop(images, torch.tensor([[20, 10, 20, 40]]), torch.tensor([False]), 96)
    torch.testing.assert_close(crop, torch.full_like(crop, 100.0))


def test_a_flip_mirrors_left_to_right_and_not_upside_down():
    images = radiograph_like(1, 64)
    box = torch.tensor([[5, 9, 40, 30]])
    plain = resized_crop(images, box, torch.tensor([False]), 32)
    mirrored = resized_crop(images, box, torch.tensor([True]), 32)
    assert not torch.equal(plain, mirrored)
    torch.testing.assert_close(mirrored, plain.flip(-1), atol=1e-4, rtol=0)


@pytest.mark.parametrize("scale", [(0.3, 1.0), (0.05, 0.3)], ids=["whole image", "windows"])
def test_many_crops_of_an_image_are_the_same_as_one_by_one(scale):
    images = torch.rand(3, 2, 70, 90, generator=seeded())
    boxes = sample_crops(12, 70, 90, scale, RATIO, seeded()).view(3, 4, 4)
    flips = torch.rand(3, 4, generator=seeded(1)) < 0.5
    together = resized_crops(images, boxes, flips, 48)
    assert together.shape == (3, 4, 2, 48, 48)
    for view in range(4):
        alone = resized_crop(images, boxes[:, view], flips[:, view], 48)
        torch.testing.assert_close(together[:, view], alone, atol=1e-5, rtol=0)


def test_short_floats_asked_for_by_training_do_not_reach_the_pixels():
    images, boxes = radiograph_like(2, 64), torch.tensor([[0, 0, 50, 60], [8, 3, 20, 30]])
    flips = torch.tensor([True, False])
    exact = resized_crop(images, boxes, flips, 48)
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(resized_crop(images, boxes, flips, 48), exact)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="SKIPPED: no CUDA device here")
def test_a_gpu_gives_the_same_crops():
    images = radiograph_like(4, 256)
    boxes = sample_crops(40, 256, 256, (0.05, 0.3), RATIO, seeded()).view(4, 10, 4)
    flips = torch.rand(4, 10, generator=seeded(1)) < 0.5
    on_gpu = resized_crops(images.cuda(), boxes.cuda(), flips.cuda(), 96).cpu()
    torch.testing.assert_close(on_gpu, resized_crops(images, boxes, flips, 96), atol=1e-2, rtol=0)
