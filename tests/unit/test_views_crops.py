"""Random resized crops: torchvision's distribution, Pillow's pixels, the same on a CPU and by tensors."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import fisher_exact, ks_2samp
from torchvision import transforms
from torchvision.transforms import functional

from mmsn.images.crops import UNCHANGED, compiled_crops, resized_crops, sample_crops
from mmsn.images.views import IMAGENET, crops_by_tensors, normalised_crops

RATIO = (3 / 4, 4 / 3)
RANDOM, FOCAL = (0.3, 1.0), (0.05, 0.3)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def radiograph_like(batch: int, side: int, seed: int = 0) -> torch.Tensor:
    """Smooth shading with noise, uint8 [batch, side, side]: neither flat nor nothing but noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side] / side
    phases = rng.uniform(0, 6, (batch, 2, 1, 1))
    shading = 120 + 70 * np.sin(9 * x + phases[:, 0]) * np.cos(7 * y + phases[:, 1])
    return torch.from_numpy((shading + rng.normal(0, 15, shading.shape)).clip(0, 255).astype(np.uint8))


def pillow(image: torch.Tensor, box: list[int], flip: bool, size: int, columns_first: bool = False) -> np.ndarray:
    """Crop, resize and mirror one image [H, W], as torchvision does on a Pillow image.

    `columns_first` resizes the width alone first: what one call did before Pillow 13, which starts with the height
    where that shrinks much more.
    """
    top, left, height, width = box
    crop = Image.fromarray(image.numpy()).crop((left, top, left + width, top + height))
    if columns_first:
        crop = crop.resize((size, height), Image.Resampling.BILINEAR)
    resized = np.asarray(crop.resize((size, size), Image.Resampling.BILINEAR)).astype(float)
    return resized[:, ::-1] if flip else resized


def drawn(batch: int, views: int, side: int, scale: tuple[float, float]) -> tuple[torch.Tensor, torch.Tensor]:
    boxes = sample_crops(batch * views, side, side, scale, RATIO, seeded()).view(batch, views, 4)
    return boxes, torch.rand(batch, views, generator=seeded(1)) < 0.5


def on_cpu(image: torch.Tensor, box: list[int], flip: bool, size: int) -> np.ndarray:
    return compiled_crops(image[None], torch.tensor([[box]]), torch.tensor([[flip]]), size, UNCHANGED)[0, 0, 0].numpy()


@pytest.mark.parametrize("film", [(256, 256), (256, 90), (90, 256)], ids=["square", "tall", "wide"])
@pytest.mark.parametrize("scale", [RANDOM, FOCAL], ids=["random", "focal"])
def test_boxes_have_torchvisions_distribution(scale, film):
    samples = 4000
    ours = sample_crops(samples, *film, scale, RATIO, seeded(1)).numpy()
    torch.manual_seed(2)
    blank = torch.empty(1, *film)
    theirs = np.array([transforms.RandomResizedCrop.get_params(blank, scale, RATIO) for _ in range(samples)])
    properties = {
        "area": lambda b: b[:, 2] * b[:, 3],
        "aspect": lambda b: b[:, 3] / b[:, 2],
        "top": lambda b: b[:, 0],
        "left": lambda b: b[:, 1],
        "height": lambda b: b[:, 2],
        "width": lambda b: b[:, 3],
        "space below": lambda b: b[:, 0] + b[:, 2],
        "space to the right": lambda b: b[:, 1] + b[:, 3],
    }
    for name, of in properties.items():
        assert ks_2samp(of(ours), of(theirs)).pvalue > 0.01, name


@pytest.mark.parametrize("film", [(256, 90), (90, 256)], ids=["tall", "wide"])
def test_boxes_fall_back_to_the_central_one_as_often_as_torchvisions(film):
    blank = torch.empty(1, *film)
    central = transforms.RandomResizedCrop.get_params(blank, (4.0, 5.0), RATIO)
    ours = [tuple(box) == central for box in sample_crops(3000, *film, RANDOM, RATIO, seeded(5)).tolist()]
    torch.manual_seed(6)
    theirs = [transforms.RandomResizedCrop.get_params(blank, RANDOM, RATIO) == central for _ in range(3000)]
    counts = [[sum(fallen), 3000 - sum(fallen)] for fallen in (ours, theirs)]
    assert counts[0][0] > 900  # ten tries fail often here
    assert fisher_exact(counts).pvalue > 0.01


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


@pytest.mark.parametrize("scale", [RANDOM, FOCAL], ids=["random", "focal"])
@pytest.mark.parametrize(("side", "size"), [(256, 224), (256, 96), (512, 96), (512, 224), (144, 32)])
def test_crops_are_pillows(side, size, scale):
    images = radiograph_like(4, side)
    boxes, flips = drawn(4, 6, side, scale)
    views = compiled_crops(images, boxes, flips, size, UNCHANGED)[:, :, 0].numpy()
    for image in range(4):
        for view in range(6):
            how = images[image], boxes[image, view].tolist(), bool(flips[image, view]), size
            assert np.array_equal(views[view, image], pillow(*how, columns_first=True))
            assert np.abs(views[view, image] - pillow(*how)).max() <= 1


@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_crops_are_pillows_for_any_box_and_size(data):
    side, size = data.draw(st.integers(1, 80)), data.draw(st.integers(1, 64))
    top, left = data.draw(st.integers(0, side - 1)), data.draw(st.integers(0, side - 1))
    box = [top, left, data.draw(st.integers(1, side - top)), data.draw(st.integers(1, side - left))]
    image, flip = radiograph_like(1, side, seed=side)[0], data.draw(st.booleans())
    assert np.array_equal(on_cpu(image, box, flip, size), pillow(image, box, flip, size, columns_first=True))


def test_black_and_white_stay_what_they_are():
    for level in (0, 255):
        flat = torch.full((50, 50), level, dtype=torch.uint8)
        assert (on_cpu(flat, [3, 5, 31, 44], False, 64) == level).all()
        assert (on_cpu(flat, [3, 5, 31, 44], False, 7) == level).all()


def test_views_are_those_of_torchvisions_transforms_on_a_pillow_image():
    images = radiograph_like(3, 256)
    boxes, flips = drawn(3, 4, 256, FOCAL)
    views = normalised_crops(images, boxes, flips, 96)
    finish = transforms.Compose([transforms.ToTensor(), transforms.Normalize(*IMAGENET)])
    for image in range(3):
        for view in range(4):
            grey = pillow(images[image], boxes[image, view].tolist(), bool(flips[image, view]), 96, columns_first=True)
            reference = finish(Image.fromarray(grey.astype(np.uint8)).convert("RGB"))
            torch.testing.assert_close(views[view, image], reference, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("size", "scale"), [(224, RANDOM), (96, FOCAL), (32, RANDOM)])
def test_a_cpu_and_the_way_of_a_gpu_give_the_same_views_within_a_grey_level(size, scale):
    images = radiograph_like(6, 256)
    boxes, flips = drawn(6, 4, 256, scale)
    one_level = torch.tensor([1 / (255 * std) for std in IMAGENET.std])[:, None, None]
    gap = normalised_crops(images, boxes, flips, size) - crops_by_tensors(images, boxes, flips, size)
    assert (gap.abs() < 1.001 * one_level).all()
    assert (gap / one_level).square().mean().sqrt() < 0.5  # two roundings and no bias
    assert (gap / one_level).mean().abs() < 0.02


def test_several_threads_give_the_same_views_as_one():
    images = radiograph_like(7, 64)
    boxes, flips = drawn(7, 3, 64, FOCAL)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = normalised_crops(images, boxes, flips, 48)
        torch.set_num_threads(3)
        assert torch.equal(normalised_crops(images, boxes, flips, 48), alone)
        assert normalised_crops(images[:0], boxes[:0], flips[:0], 48).shape == (3, 0, 3, 48, 48)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("box", [[-1, 0, 9, 9], [0, 0, 0, 9], [60, 0, 5, 9], [0, 0, 9, 65]])
def test_boxes_that_reach_out_of_the_image_are_refused(box):
    with pytest.raises(ValueError, match=r"do not fit 1 images of 64 x 64"):
        on_cpu(torch.zeros(64, 64, dtype=torch.uint8), box, False, 16)


def test_more_boxes_than_images_are_refused():
    with pytest.raises(ValueError, match=r"do not fit 1 images"):
        normalised_crops(radiograph_like(1, 64), *drawn(2, 3, 64, FOCAL), 16)


def test_where_no_cache_can_be_written_the_code_is_compiled_all_the_same(monkeypatch):
    monkeypatch.setattr("numba.core.caching.CacheImpl._locator_classes", [])
    from mmsn.images.machine_code import machine_code

    @machine_code("int64(int64)")
    def twice(number):
        return 2 * number

    assert twice(21) == 42


@pytest.mark.parametrize(("size", "scale"), [(224, RANDOM), (96, FOCAL), (32, RANDOM)])
def test_crops_by_tensors_are_pillows_within_one_grey_level(size, scale):
    images = radiograph_like(24, 256)
    boxes, flips = drawn(24, 1, 256, scale)
    crops = resized_crops(images, boxes, flips, size)[:, 0].round().numpy()
    for crop, image, box, flip in zip(crops, images, boxes[:, 0].tolist(), flips[:, 0].tolist(), strict=True):
        assert np.abs(crop - pillow(image, box, flip, size, columns_first=True)).max() <= 1


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_crops_by_tensors_are_torchvisions_for_any_box_and_size(data):
    side, size = data.draw(st.integers(2, 48)), data.draw(st.integers(1, 64))
    top, left = data.draw(st.integers(0, side - 1)), data.draw(st.integers(0, side - 1))
    height, width = data.draw(st.integers(1, side - top)), data.draw(st.integers(1, side - left))
    image = torch.rand(1, 3, side, side, generator=seeded(side))
    boxes = torch.tensor([[[top, left, height, width]]])
    ours = resized_crops(image, boxes, torch.tensor([[False]]), size)[:, 0]
    theirs = functional.resized_crop(image, top, left, height, width, [size, size], antialias=True)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_pixels_outside_the_box_have_no_weight():
    images = torch.zeros(1, 64, 64, dtype=torch.uint8)
    images[0, 20:40, 10:50] = 100
    crop = resized_crops(images, torch.tensor([[[20, 10, 20, 40]]]), torch.tensor([[False]]), 96)
    torch.testing.assert_close(crop, torch.full_like(crop, 100.0))
    assert (on_cpu(images[0], [20, 10, 20, 40], False, 96) == 100).all()


def test_a_flip_mirrors_left_to_right_and_not_upside_down():
    images = radiograph_like(1, 64)
    boxes, flips = torch.tensor([[[5, 9, 40, 30]] * 2]), torch.tensor([[False, True]])
    plain, mirrored = resized_crops(images, boxes, flips, 32)[0]
    assert not torch.equal(plain, mirrored)
    torch.testing.assert_close(mirrored, plain.flip(-1), atol=1e-4, rtol=0)
    plain, mirrored = compiled_crops(images, boxes, flips, 32, UNCHANGED)[:, 0, 0]
    assert torch.equal(mirrored, plain.flip(-1))


def test_many_crops_of_an_image_are_the_same_as_one_by_one():
    images = torch.rand(3, 2, 70, 90, generator=seeded())
    boxes = sample_crops(12, 70, 90, FOCAL, RATIO, seeded()).view(3, 4, 4)
    flips = torch.rand(3, 4, generator=seeded(1)) < 0.5
    together = resized_crops(images, boxes, flips, 48)
    assert together.shape == (3, 4, 2, 48, 48)
    for view in range(4):
        one = slice(view, view + 1)
        alone = resized_crops(images, boxes[:, one], flips[:, one], 48)
        torch.testing.assert_close(together[:, one], alone, atol=1e-5, rtol=0)


def test_short_floats_asked_for_by_training_do_not_reach_the_pixels():
    images, boxes = radiograph_like(2, 64), torch.tensor([[[0, 0, 50, 60]], [[8, 3, 20, 30]]])
    flips = torch.tensor([[True], [False]])
    exact = resized_crops(images, boxes, flips, 48)
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(resized_crops(images, boxes, flips, 48), exact)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="SKIPPED: no CUDA device here")
def test_a_gpu_gives_the_same_views_as_a_cpu():
    images = radiograph_like(4, 256)
    boxes, flips = drawn(4, 10, 256, FOCAL)
    on_gpu = normalised_crops(images.cuda(), boxes.cuda(), flips.cuda(), 96).cpu()
    torch.testing.assert_close(on_gpu, crops_by_tensors(images, boxes, flips, 96), atol=1e-3, rtol=0)
    one_level = torch.tensor([1 / (255 * std) for std in IMAGENET.std])[:, None, None]
    assert ((on_gpu - normalised_crops(images, boxes, flips, 96)).abs() < 1.001 * one_level).all()
