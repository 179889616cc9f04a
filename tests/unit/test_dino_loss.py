"""The two ways in which DINO keeps its teacher from collapse; that `mean` is lightly's, test_parity_losses shows."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsn.methods import parse_method
from mmsn.models.dino import Dino, DinoOptions
from mmsn.models.dino_loss import dino_loss, moved_centre, sinkhorn_targets
from mmsn.models.msn_loss import entropy, target_probabilities
from mmsn.models.vit import create_encoder
from mmsn.presets import PRESETS
from tests.unit.training_parts import BACKBONE, settings_of

SEEDS = st.integers(0, 2**31)
FEW = settings(max_examples=25)
HEAD = {"head_hidden": 16, "head_bottleneck": 8, "head_outputs": 12}


def _outputs(seed, *shape):
    """Cosines, as the head's outputs are: `[T, B, K]`."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def _by_loops(outputs, temperature, iterations):
    """Sinkhorn-Knopp in words: every output gets an equal share of the views, then every view sums to 1, and again."""
    views, answers = outputs.shape
    q = [[math.exp(float(outputs[v, k]) / temperature) for k in range(answers)] for v in range(views)]
    for _ in range(iterations):
        for k in range(answers):
            mass = sum(q[v][k] for v in range(views))
            for v in range(views):
                q[v][k] /= mass * answers
        for v in range(views):
            mass = sum(q[v])
            q[v] = [share / mass for share in q[v]]
    return np.array(q)


@pytest.mark.parametrize("temperature", [0.04, 0.07])
def test_sinkhorn_targets_equal_plain_loops_over_all_global_views(temperature):
    teacher = _outputs(0, 2, 9, 7)
    targets = sinkhorn_targets(teacher, temperature, 3)
    expected = _by_loops(teacher.flatten(0, 1), temperature, 3).reshape(2, 9, 7)
    np.testing.assert_allclose(targets.numpy(), expected, rtol=1e-5, atol=1e-8)


@FEW
@given(SEEDS)
def test_sinkhorn_of_dino_and_of_msn_have_one_limit(seed):
    # MSN normalises every image's softmax once more before the first round, which no limit remembers
    generator = torch.Generator().manual_seed(seed)
    embedded, prototypes = (
        torch.nn.functional.normalize(torch.randn(n, 5, generator=generator).double(), dim=1) for n in (12, 6)
    )
    of_msn = target_probabilities(embedded, prototypes, temperature=0.5, sharpening=1.0, sinkhorn_iterations=100)
    of_dino = sinkhorn_targets((embedded @ prototypes.T)[None], 0.5, 100)[0]
    torch.testing.assert_close(of_dino.double(), of_msn, rtol=1e-3, atol=1e-4)


@FEW
@given(SEEDS, st.integers(1, 3), st.integers(2, 9), st.integers(2, 12))
def test_every_output_has_an_equal_share_of_the_views(seed, views, images, outputs):
    targets = sinkhorn_targets(_outputs(seed, views, images, outputs), 0.5, 100)
    torch.testing.assert_close(targets.sum(dim=2), torch.ones(views, images))
    shares = torch.full((outputs,), views * images / outputs)
    torch.testing.assert_close(targets.sum(dim=(0, 1)), shares, rtol=1e-2, atol=1e-3)


@FEW
@given(SEEDS)
def test_what_the_teacher_says_of_every_image_is_not_in_the_targets(seed):
    teacher, common = _outputs(seed, 2, 8, 6), _outputs(seed + 1, 6)
    torch.testing.assert_close(sinkhorn_targets(teacher + common, 0.1, 3), sinkhorn_targets(teacher, 0.1, 3))


def test_a_teacher_that_tells_images_apart_a_little_is_heard_under_sinkhorn_alone():
    little = 0.01 * _outputs(0, 2, 32, 8)
    common = torch.linspace(0, 1, 8)
    student, nothing = torch.zeros(4, 32, 8), torch.zeros(8)
    by_mean = dino_loss(student, little + common, nothing)
    by_sinkhorn = dino_loss(student, little + common, nothing, centering="sinkhorn")
    assert by_mean.used_prototypes == 1  # the centre has not come there yet
    assert by_sinkhorn.used_prototypes == 8
    assert by_sinkhorn.target_entropy < math.log(8)


def test_sinkhorn_targets_of_a_cold_teacher_are_finite_and_sharp():
    targets = sinkhorn_targets(_outputs(0, 2, 8, 5), 0.01, 3)
    assert targets.isfinite().all()
    assert entropy(targets).mean() < 0.5


def test_no_gradient_flows_into_the_teacher():
    student, teacher = _outputs(0, 3, 4, 5).requires_grad_(), _outputs(1, 2, 4, 5).requires_grad_()
    dino_loss(student, teacher, torch.zeros(5), centering="sinkhorn").loss.backward()
    assert teacher.grad is None
    assert student.grad is not None


def _network(**options):
    torch.manual_seed(0)
    return Dino(create_encoder(BACKBONE.architecture, BACKBONE.options), None, DinoOptions(**HEAD, **options))


def test_the_centre_moves_under_mean_alone():
    views = torch.rand(2, 4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    by_mean, by_sinkhorn = _network(), _network(centering="sinkhorn")
    with torch.no_grad():
        seen = by_mean.target_encoder.forward_head(by_mean.target_encoder.forward_features(views.flatten(0, 1)))
        teacher = by_mean.target_head(seen).unflatten(0, (2, 4))
    losses = [network(views, None, None, 0.04).loss for network in (by_mean, by_sinkhorn)]
    torch.testing.assert_close(by_mean.centre, moved_centre(torch.zeros(12), teacher, 0.9))
    assert not by_sinkhorn.centre.any()
    assert losses[0] != losses[1]


def test_every_preset_centres_as_published():
    for preset in PRESETS:
        assert settings_of(parse_method("dino"), preset).centering == "mean"
