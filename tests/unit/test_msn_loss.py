"""The masked Siamese loss behaves as a loss over prototypes must; that it is lightly's, test_parity_losses shows."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmsn.models.msn_loss import entropy, msn_loss, sharpen, sinkhorn


@given(st.integers(2, 8), st.integers(2, 12), st.integers(0, 2**31))
def test_sinkhorn_caps_the_mass_of_a_prototype(images, prototypes, seed):
    probabilities = torch.rand(images, prototypes, generator=torch.Generator().manual_seed(seed)).double()
    balanced = sinkhorn(probabilities / probabilities.sum(dim=1, keepdim=True), 50)
    torch.testing.assert_close(balanced.sum(dim=1), torch.ones(images).double())
    assert balanced.sum(dim=0).max() == pytest.approx(images / prototypes, rel=1e-2)


@given(st.integers(0, 2**31))
def test_sharpening_lowers_entropy_and_keeps_the_order(seed):
    probabilities = torch.rand(3, 9, generator=torch.Generator().manual_seed(seed)).softmax(dim=1)
    sharpened = sharpen(probabilities, 0.25)
    assert (entropy(sharpened) <= entropy(probabilities) + 1e-6).all()
    assert torch.equal(sharpened.argsort(dim=1), probabilities.argsort(dim=1))


def test_no_gradient_flows_into_the_targets():
    anchors, targets, prototypes = (torch.randn(n, 4, requires_grad=True) for n in (6, 2, 5))
    msn_loss(anchors, targets, prototypes).loss.backward()
    assert targets.grad is None
    assert anchors.grad is not None
    assert prototypes.grad is not None


def test_watched_quantities_stay_in_their_bounds():
    torch.manual_seed(0)
    result = msn_loss(torch.randn(20, 4), torch.randn(10, 4), torch.randn(7, 4))
    assert 0 <= result.target_entropy <= math.log(7) + 1e-6
    assert 0 <= result.anchor_entropy <= math.log(7) + 1e-6
    assert 0 <= result.mean_entropy_loss <= math.log(7) + 1e-6
    assert 1 <= result.used_prototypes <= 7


def test_anchors_that_are_not_whole_views_are_refused():
    with pytest.raises(ValueError, match="whole number of views"):
        msn_loss(torch.randn(5, 4), torch.randn(2, 4), torch.randn(3, 4))
