"""lightly's losses, schedules and masks, computed in float64 on float32 inputs."""

import torch
from torch import Tensor

from tests.golden import drawn
from tests.golden.oracle import DINOLoss, MSNLoss, PMSNLoss, cosine_schedule, kept_and_masked, sharpen, sinkhorn


def answers() -> dict[str, Tensor]:
    return {**_msn(), **_priors(), **_dino(), **_masks(), "dino.momentum": _momentum()}


def _msn() -> dict[str, Tensor]:
    found = {}
    for number, case in enumerate(drawn.MSN_CASES):
        anchors, targets, prototypes = _inputs(number)
        anchors.requires_grad_()
        criterion = MSNLoss(sinkhorn_iterations=case["iterations"], regularization_weight=case["weight"])
        loss = criterion(anchors, targets, prototypes, target_sharpen_temperature=case["sharpening"])
        loss.backward()
        sharpened = sharpen(_double(drawn.probabilities(number)), case["sharpening"])
        found[f"msn.{number}.loss"] = loss
        found[f"msn.{number}.cross_entropy"] = _cross_entropy(number)
        found[f"msn.{number}.gradient"] = anchors.grad
        found[f"msn.{number}.sharpened"] = sharpened
        found[f"msn.{number}.sinkhorn"] = sinkhorn(sharpened.clone(), case["iterations"])
    return {name: value.float() if value.numel() > 1000 else value for name, value in found.items()}


def _cross_entropy(number: int) -> Tensor:
    """The loss without the mean-entropy term."""
    case = drawn.MSN_CASES[number]
    criterion = MSNLoss(sinkhorn_iterations=case["iterations"], regularization_weight=0.0)
    return criterion(*_inputs(number), target_sharpen_temperature=case["sharpening"])


def _priors() -> dict[str, Tensor]:
    return {
        f"pmsn.{number}.{exponent}": PMSNLoss(power_law_exponent=exponent)(*_inputs(number))
        for number in range(2)
        for exponent in drawn.PRIOR_EXPONENTS
    }


def _dino() -> dict[str, Tensor]:
    """Loss and centre of epoch after epoch: the centre moves on and the teacher's temperature rises."""
    warmup = drawn.DINO_TEMPERATURES
    criterion = DINOLoss(drawn.DINO_CASE["outputs"], warmup["start"], warmup["end"], warmup["epochs"]).double()
    losses, centres = [], []
    for epoch in range(drawn.DINO_CASE["epochs"]):
        teacher, student = (list(_double(values)) for values in drawn.dino_inputs(epoch))
        losses.append(criterion(teacher, student, epoch))
        centres.append(criterion.center.flatten())
    temperatures = [*criterion.teacher_temp_schedule.double(), torch.tensor(criterion.teacher_temp).double()]
    return {
        "dino.losses": torch.stack(losses),
        "dino.centres": torch.stack(centres),
        "dino.temperatures": torch.stack(temperatures),
    }


def _masks() -> dict[str, Tensor]:
    """Tokens that are kept, ascending."""
    masks = {tokens: kept_and_masked(0, drawn.IMAGES, tokens, ratio)[0] for tokens, ratio in drawn.MASKS}
    return {f"mask.{tokens}": kept.sort(dim=1).values.to(torch.uint8) for tokens, kept in masks.items()}


def _momentum() -> Tensor:
    """Of the released DINO in each of 100 epochs: a schedule over 10."""
    return torch.tensor([cosine_schedule(epoch, 10, 0.996, 1) for epoch in range(100)], dtype=torch.float64)


def _inputs(number: int) -> list[Tensor]:
    return [_double(values) for values in drawn.msn_inputs(number)]


def _double(values: drawn.Array) -> Tensor:
    return torch.from_numpy(values).double()
