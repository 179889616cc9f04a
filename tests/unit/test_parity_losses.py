"""Losses, schedules and masks agree with lightly 1.4.21, whose answers in float64 lie in tests/golden."""

import pytest
import torch

from mmsn.images import masks
from mmsn.models.dino_loss import dino_loss, moved_centre
from mmsn.models.msn_loss import msn_loss, power_law, sharpen, sinkhorn
from mmsn.training.schedule import target_momentum
from tests.golden import drawn
from tests.unit.reference import answers, noise, released, released_step

GOLDEN = answers("losses")
CASES = range(len(drawn.MSN_CASES))


def _inputs(case):
    return [torch.from_numpy(values) for values in drawn.msn_inputs(case)]


def _msn_loss(case, anchors=None, prior=None):
    """Loss of a case, in float32."""
    chosen = drawn.MSN_CASES[case]
    own, targets, prototypes = _inputs(case)
    return msn_loss(
        own if anchors is None else anchors,
        targets,
        prototypes,
        target_sharpening=chosen["sharpening"],
        sinkhorn_iterations=chosen["iterations"],
        mean_entropy_weight=chosen["weight"],
        prior=prior,
    )


@pytest.mark.parametrize("case", CASES)
def test_the_msn_loss_and_its_gradient_equal_lightlys(case):
    anchors = _inputs(case)[0].requires_grad_()
    loss = _msn_loss(case, anchors).loss
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(GOLDEN[f"msn.{case}.loss"].item(), rel=1e-6)
    torch.testing.assert_close(anchors.grad, GOLDEN[f"msn.{case}.gradient"].float(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_sharpening_equals_lightlys(case):
    sharpened = sharpen(torch.from_numpy(drawn.probabilities(case)), drawn.MSN_CASES[case]["sharpening"])
    torch.testing.assert_close(sharpened, GOLDEN[f"msn.{case}.sharpened"].float(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_sinkhorn_equals_lightlys(case):
    balanced = sinkhorn(GOLDEN[f"msn.{case}.sharpened"].float(), drawn.MSN_CASES[case]["iterations"])
    torch.testing.assert_close(balanced, GOLDEN[f"msn.{case}.sinkhorn"].float(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_cross_entropy_and_mean_entropy_term_each_equal_lightlys(case):
    result = _msn_loss(case)
    without = GOLDEN[f"msn.{case}.cross_entropy"].item()
    assert result.cross_entropy.item() == pytest.approx(without, rel=1e-6)
    added = drawn.MSN_CASES[case]["weight"] * result.mean_entropy_loss.item()
    assert added == pytest.approx(GOLDEN[f"msn.{case}.loss"].item() - without, abs=1e-6)


@pytest.mark.parametrize("exponent", drawn.PRIOR_EXPONENTS)
@pytest.mark.parametrize("case", [0, 1])
def test_the_power_law_prior_equals_lightlys_pmsn_loss(case, exponent):
    loss = _msn_loss(case, prior=power_law(drawn.MSN_CASES[case]["prototypes"], exponent)).loss
    assert loss.item() == pytest.approx(GOLDEN[f"pmsn.{case}.{exponent}"].item(), rel=1e-6)


def test_the_dino_loss_and_its_centre_equal_lightlys_epoch_after_epoch():
    centre = torch.zeros(drawn.DINO_CASE["outputs"])
    temperatures = [*GOLDEN["dino.temperatures"].tolist(), *[drawn.DINO_TEMPERATURES["end"]] * 2]
    for epoch, temperature in enumerate(temperatures):
        teacher, student = (torch.from_numpy(values) for values in drawn.dino_inputs(epoch))
        loss = dino_loss(student, teacher, centre, teacher_temperature=temperature).loss
        centre = moved_centre(centre, teacher, momentum=0.9)
        assert loss.item() == pytest.approx(GOLDEN["dino.losses"][epoch].item(), rel=1e-6)
        torch.testing.assert_close(centre, GOLDEN["dino.centres"][epoch].float(), rtol=1e-6, atol=1e-6)
    assert len(temperatures) == len(GOLDEN["dino.losses"])


def test_the_teachers_temperature_rises_as_lightlys():
    warmup = drawn.DINO_TEMPERATURES
    step = released_step(
        "dino",
        teacher_temperature_start=warmup["start"],
        teacher_temperature=warmup["end"],
        teacher_warmup_epochs=warmup["epochs"],
    )
    ours = [step.teacher_temperature(epoch) for epoch in range(len(GOLDEN["dino.temperatures"]))]
    assert ours == pytest.approx(GOLDEN["dino.temperatures"].tolist(), rel=1e-6)


def test_the_released_dinos_momentum_swings_as_lightlys():
    settings = released("dino", epochs=100)
    ours = [target_momentum(settings, epoch, step=3, steps_per_epoch=5) for epoch in range(100)]
    assert ours == pytest.approx(GOLDEN["dino.momentum"].tolist(), abs=1e-12)
    assert min(ours[11:]) < 0.9961  # back where it started


@pytest.mark.parametrize(("patches", "kept"), [(196, 166), (36, 30)])
def test_equal_noise_keeps_the_tokens_that_the_released_mask_keeps(monkeypatch, patches, kept):
    monkeypatch.setattr(torch, "rand", lambda *size, **_: noise(0, *size))
    ours = masks.keep_indices(drawn.IMAGES, patches, 0.15, class_token_aware=False, generator=torch.Generator())
    assert ours.shape == (drawn.IMAGES, kept)
    assert torch.equal(ours, GOLDEN[f"mask.{patches}"].long())


@pytest.mark.parametrize("patches", [196, 36])
def test_the_released_mask_keeps_the_class_token_and_never_the_last_patch(patches):
    draws = torch.Generator().manual_seed(0)
    released_mask = masks.keep_indices(500, patches, 0.15, class_token_aware=False, generator=draws)
    aware = masks.keep_indices(500, patches, 0.15, class_token_aware=True, generator=draws)
    assert (released_mask[:, 0] == 0).all()
    assert released_mask.max() == patches - 1
    assert (aware == patches).any(dim=1).double().mean() == pytest.approx(0.85, abs=0.05)
    assert aware.shape[1] == released_mask.shape[1] + 1


def test_equal_noise_keeps_the_tokens_that_the_released_mae_keeps(monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda *size, **_: noise(0, *size))
    kept = released_step("mae").kept_patches
    ours = masks.draw_tokens(drawn.IMAGES, 196, kept, torch.Generator())
    assert kept == 77
    assert torch.equal(ours, GOLDEN["mask.197"].long())
