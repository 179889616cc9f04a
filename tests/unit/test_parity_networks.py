"""With equal weights, encoder, heads, moving average and autoencoder answer as lightly 1.4.21 does.

Its answers are float64. Heads and moving average are compared in float32; encoder and autoencoder, where rounding adds
up over layers, in float64.
"""

import pytest
import torch

from mmsn.models.dino import DinoHead
from mmsn.models.heads import projection_head
from mmsn.models.mae import MaeOptions, MaskedAutoencoder, others, pixels_of_patches
from mmsn.models.moving_average import move_towards
from mmsn.models.vit import create_encoder, encode_tokens
from tests.golden import drawn
from tests.unit.reference import BACKBONE, answers, with_drawn_weights

GOLDEN, MASKS = answers("networks"), answers("losses")
D = drawn.WIDTH


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


def _encoder():
    return with_drawn_weights(create_encoder(BACKBONE.architecture, BACKBONE.options), "encoder").double()


def _first(name):
    return torch.from_numpy(drawn.views(0)[name][:1]).double()


def _assert_equal(ours, name):
    within = 1e-6 if ours.dtype == torch.float32 else 1e-12
    torch.testing.assert_close(ours.double(), GOLDEN[name], rtol=within, atol=within)


@pytest.mark.parametrize("name", ["target", "focal"])
def test_every_token_equals_lightlys_also_where_positions_are_interpolated(name):
    _assert_equal(encode_tokens(_encoder(), _first(name)), f"encoder.{name}")


@pytest.mark.parametrize("name", ["target", "focal"])
def test_tokens_of_masked_views_equal_lightlys(name):
    image = _first(name)
    keep = MASKS[f"mask.{(image.shape[-1] // drawn.PATCH) ** 2}"][:1].long()
    _assert_equal(encode_tokens(_encoder(), image, keep), f"encoder.{name}.kept")


def test_the_projection_head_equals_lightlys():
    head = with_drawn_weights(projection_head(D, 4 * D, D), "projection")
    embedded = torch.from_numpy(drawn.drawn("embedded", shape=(12, D)))
    _assert_equal(head(embedded), "msn_head.training")
    _assert_equal(head.eval()(embedded), "msn_head.evaluated")  # with the running statistics of the line above


def test_the_dino_head_equals_lightlys_weight_normalised_one():
    sizes = drawn.DINO_HEAD
    head = DinoHead(D, sizes["hidden"], sizes["bottleneck"], sizes["outputs"], init_std=0.2)
    embedded = torch.from_numpy(drawn.drawn("embedded", shape=(12, D)))
    _assert_equal(with_drawn_weights(head, "head")(embedded), "dino_head")


def test_the_target_follows_as_lightlys_does():
    source, target = (
        with_drawn_weights(projection_head(D, 4 * D, D), f"{name}.layers") for name in ("source", "target")
    )
    for _ in range(10):
        move_towards(target, source, 0.996)
    for name, parameter in target.named_parameters():
        _assert_equal(parameter, f"moved.layers.{name}")


def _autoencoder():
    options = MaeOptions(drawn.DECODER["depth"], drawn.DECODER["width"], drawn.DECODER["heads"])
    return with_drawn_weights(MaskedAutoencoder(_encoder(), None, options)).double()


def test_the_autoencoder_predicts_the_patches_that_lightlys_predicts():
    keep = MASKS["mask.197"][:1].long()
    masked = others(keep, 197)
    assert torch.equal(masked, GOLDEN["mae.masked"].long())
    _assert_equal(_autoencoder().reconstruct(_first("target"), keep, masked, None), "mae.predicted")


def test_pixels_lie_in_patches_as_lightlys_do():
    assert torch.equal(pixels_of_patches(_first("target").float(), drawn.PATCH), GOLDEN["mae.patches"])


def test_the_mae_loss_equals_lightlys():
    loss = _autoencoder()(_first("target"), MASKS["mask.197"][:1].long(), None).loss
    assert loss.item() == pytest.approx(GOLDEN["mae.loss"].item(), rel=1e-6)
