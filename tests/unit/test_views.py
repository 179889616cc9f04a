"""What the encoder sees in pretraining and in evaluation."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError
from scipy.stats import binomtest, chisquare
from torchvision import transforms

from mmsn.images.masks import keep_indices
from mmsn.images.settings import EvalViewSettings, ViewSettings
from mmsn.images.views import (
    IMAGENET,
    PretrainViews,
    TestTransform,
    TrainTransform,
    centre_crop,
    normalise,
)
from tests.unit.test_views_crops import radiograph_like, seeded

SMALL = ViewSettings(random_size=32, focal_size=16, focal_views=3)


def test_the_defaults_are_one_target_one_random_and_ten_focal_views():
    views = PretrainViews(ViewSettings())(radiograph_like(3, 256), seeded())
    assert views.target.shape == (3, 3, 224, 224)
    assert views.random.shape == (3, 3, 224, 224)
    assert views.focal.shape == (30, 3, 96, 96)
    assert all(view.is_contiguous() and view.dtype == torch.float32 for view in views)


def test_focal_views_come_view_by_view_as_a_list_of_views_concatenates():
    images = torch.arange(5, dtype=torch.uint8)[:, None, None].mul(50).expand(5, 64, 64).contiguous()
    focal = PretrainViews(SMALL)(images, seeded()).focal
    grey = (focal[:, 0] * IMAGENET.std[0] + IMAGENET.mean[0]) * 255
    torch.testing.assert_close(grey.mean(dim=(1, 2)), torch.tensor([0.0, 50, 100, 150, 200] * 3), atol=1e-2, rtol=0)


def test_the_same_seed_gives_the_same_views_and_another_seed_others():
    images = radiograph_like(10, 64)
    first, again, other = (PretrainViews(SMALL)(images, seeded(seed)) for seed in (7, 7, 8))
    for a, b, c in zip(first, again, other, strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)


def test_target_and_random_views_are_different_crops_of_equal_standing():
    views = PretrainViews(SMALL)(radiograph_like(6, 64), seeded())
    assert all(not torch.equal(a, b) for a, b in zip(views.target, views.random, strict=True))


def test_views_can_be_left_out():
    none = ViewSettings(random_size=32, random_views=0, focal_views=0)
    views = PretrainViews(none)(radiograph_like(2, 64), seeded())
    assert views.target.shape == (2, 3, 32, 32)
    assert (len(views.random), len(views.focal)) == (0, 0)


def test_impossible_settings_say_what_is_wrong():
    with pytest.raises(ValidationError, match="smaller number first"):
        ViewSettings(focal_scale=(0.3, 0.05))
    with pytest.raises(ValidationError, match="at most the whole image"):
        ViewSettings(random_scale=(0.3, 1.5))
    with pytest.raises(ValidationError, match="crop 224 is larger than resize 200"):
        EvalViewSettings(resize=200)


def test_normalisation_is_to_tensor_then_normalize():
    images = radiograph_like(2, 16)
    reference = transforms.Normalize(*IMAGENET)((images / 255)[:, None].expand(-1, 3, -1, -1))
    torch.testing.assert_close(normalise(images), reference, atol=1e-5, rtol=0)
    torch.testing.assert_close(normalise(images[None])[0], reference, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("side", "size"), [(256, 224), (73, 64), (9, 9)])
def test_the_centre_crop_is_torchvisions(side, size):
    images = radiograph_like(1, side)
    assert torch.equal(centre_crop(images, size), transforms.CenterCrop(size)(images))


def test_images_too_small_for_a_centre_crop_are_refused():
    with pytest.raises(ValueError, match="224 does not fit into 64 x 64"):
        centre_crop(radiograph_like(1, 64), 224)


def share_mirrored(views: torch.Tensor) -> tuple[int, int]:
    """How many of the views of a film that brightens to the right darken to the right, and how many there are."""
    return int((views[:, 0, :, 0] > views[:, 0, :, -1]).all(dim=1).sum()), len(views)


BRIGHTENS_TO_THE_RIGHT = torch.arange(0, 256, 4, dtype=torch.uint8).expand(400, 64, 64).contiguous()


@pytest.mark.parametrize("probability", [0.5, 0.2])
def test_views_are_mirrored_as_often_as_asked_for(probability):
    views = PretrainViews(SMALL.model_copy(update={"hflip": probability}))(BRIGHTENS_TO_THE_RIGHT, seeded(1))
    for kind in views:
        assert binomtest(*share_mirrored(kind), probability).pvalue > 0.01
    still = EvalViewSettings(resize=64, crop=64, degrees=0, translate=0, scale=(1, 1), hflip=probability)
    training = TrainTransform(still)(BRIGHTENS_TO_THE_RIGHT, seeded(2))
    assert binomtest(*share_mirrored(training), probability).pvalue > 0.01


def test_mirroring_never_or_always_is_possible():
    for probability, expected in [(0, 0), (1, 400)]:
        views = PretrainViews(SMALL.model_copy(update={"hflip": probability}))(BRIGHTENS_TO_THE_RIGHT, seeded())
        assert share_mirrored(views.target)[0] == expected


def test_views_of_an_image_are_mirrored_independently_of_each_other():
    views = PretrainViews(SMALL)(BRIGHTENS_TO_THE_RIGHT, seeded(3))
    darkens = (views.focal[:, 0, 0, 0] > views.focal[:, 0, 0, -1]).view(3, 400).sum(dim=0)
    often = torch.bincount(darkens, minlength=4).numpy()
    assert chisquare(often, 400 * np.array([1, 3, 3, 1]) / 8).pvalue > 0.01


@pytest.mark.parametrize("side", [256, 300, 512, 144])
def test_test_views_are_the_released_ones_on_pillow_images(side):
    images = radiograph_like(3, side)
    released = [
        transforms.Resize(256),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize(*IMAGENET),
    ]
    ours = TestTransform(EvalViewSettings())(images)
    assert ours.shape == (3, 3, 224, 224)
    for view, image in zip(ours, images, strict=True):
        reference = transforms.Compose(released)(Image.fromarray(image.numpy()).convert("RGB"))
        torch.testing.assert_close(view, reference, atol=1e-5, rtol=0)


def test_training_views_without_chance_are_the_test_views():
    still = EvalViewSettings(resize=73, crop=64, hflip=0, degrees=0, translate=0, scale=(1, 1))
    images = radiograph_like(2, 96)
    torch.testing.assert_close(TrainTransform(still)(images, seeded()), TestTransform(still)(images), atol=1e-5, rtol=0)


def test_training_views_vary_and_repeat_with_their_seed():
    settings = EvalViewSettings(resize=73, crop=64)
    images = radiograph_like(4, 73)
    first, again, other = (TrainTransform(settings)(images, seeded(seed)) for seed in (1, 1, 2))
    assert first.shape == (4, 3, 64, 64)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_released_evaluation_normalises_by_other_numbers_than_pretraining():
    images = radiograph_like(1, 64)
    chosen = EvalViewSettings(resize=64, crop=64, normalisation="released")
    view = TestTransform(chosen)(images)
    torch.testing.assert_close(view[:, 0], (images / 255 - 0.4884) / 0.2596, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("patches", "released", "aware"), [(196, 165, 166), (36, 29, 30)])
def test_masks_keep_the_published_numbers_of_patches(patches, released, aware):
    for class_token_aware, patches_kept in [(False, released), (True, aware)]:
        kept = keep_indices(500, patches, 0.15, class_token_aware, seeded())
        assert kept.shape == (500, 1 + patches_kept)
        assert (kept[:, 0] == 0).all()
        assert (kept.diff(dim=1) > 0).all()  # ascending, so none twice
        assert kept.max() == (patches if class_token_aware else patches - 1)


def test_every_patch_that_can_be_kept_is_kept_equally_often():
    for class_token_aware, share in [(True, 30 / 36), (False, 29 / 35)]:
        kept = keep_indices(4000, 36, 0.15, class_token_aware, seeded())
        often = torch.bincount(kept.flatten(), minlength=37)[1:] / 4000
        reachable = often if class_token_aware else often[:-1]
        assert (reachable - share).abs().max() < 0.03
        assert class_token_aware or often[-1] == 0


@given(patches=st.integers(1, 60), ratio=st.floats(0, 0.99), aware=st.booleans(), seed=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_the_class_token_is_never_masked(patches, ratio, aware, seed):
    kept = keep_indices(4, patches, ratio, aware, seeded(seed))
    assert (kept[:, 0] == 0).all()
    expected = int(patches * (1 - ratio)) + 1 if aware else max(1, int(patches * (1 - ratio)))
    assert kept.shape == (4, expected)


def test_a_mask_of_everything_is_refused():
    with pytest.raises(ValueError, match="mask_ratio is 1"):
        keep_indices(1, 36, 1, True, seeded())
