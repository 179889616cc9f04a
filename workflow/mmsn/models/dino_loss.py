"""The DINO loss; semantics of lightly 1.4.21 and facebookresearch/dino, and DINOv2's way of centring the teacher."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from mmsn.models.msn_loss import entropy, sinkhorn, used

Centering = Literal["mean", "sinkhorn"]


@dataclass(frozen=True)
class DinoLoss:
    """The loss and what must be watched with it; all scalars, entropies in nats (0 to log K)."""

    loss: Tensor
    target_entropy: Tensor
    """Of the teacher: 0 or log K is a collapse."""
    anchor_entropy: Tensor
    """Of the student."""
    used_prototypes: Tensor
    """How many outputs are the teacher's most probable one for at least one view."""


def dino_loss(
    student: Tensor,
    teacher: Tensor,
    centre: Tensor,
    student_temperature: float = 0.1,
    teacher_temperature: float = 0.04,
    centering: Centering = "mean",
    sinkhorn_iterations: int = 3,
) -> DinoLoss:
    """Mean cross entropy of each student view to each other teacher view; in float32.

    Args:
        student: `[S, B, K]`; the first T views are those that the teacher saw.
        teacher: `[T, B, K]`; no gradient flows through it.
        centre: `[K]`, subtracted from the teacher under `mean`.
        student_temperature: of the softmax.
        teacher_temperature: of the softmax; lower is sharper.
        centering: how what the teacher says of every image is taken out of its targets.
        sinkhorn_iterations: rounds of normalisation under `sinkhorn`.

    Raises:
        ValueError: when there is no pair of different views.
    """
    if len(student) < 2:
        raise ValueError(f"{len(student)} student views: DINO compares different views of an image")
    if centering == "sinkhorn":
        targets = sinkhorn_targets(teacher, teacher_temperature, sinkhorn_iterations)
    else:
        targets = F.softmax((teacher.detach().float() - centre) / teacher_temperature, dim=-1)
    log_student = F.log_softmax(student.float() / student_temperature, dim=-1)
    pairs = -torch.einsum("tbk,sbk->ts", targets, log_student)
    same = torch.eye(len(teacher), len(student), dtype=torch.bool, device=pairs.device)
    different = pairs.numel() - len(teacher)
    return DinoLoss(
        loss=pairs.masked_fill(same, 0.0).sum() / (different * student.shape[1]),
        target_entropy=entropy(targets).mean(),
        anchor_entropy=entropy(log_student.detach().exp()).mean(),
        used_prototypes=used(targets.flatten(0, 1)),
    )


@torch.no_grad()
def sinkhorn_targets(teacher: Tensor, temperature: float, iterations: int) -> Tensor:
    """Targets `[T, B, K]` in which all outputs have equal shares of the batch's global views (DINOv2, after SwAV).

    Args:
        teacher: `[T, B, K]`, of the whole batch; the T * B views are normalised together.
        temperature: lower is sharper.
        iterations: rounds; DINOv2 has 3.
    """
    # In float64: the exponentials of a cold teacher leave the range of float32.
    scores = teacher.detach().flatten(0, 1).double() / temperature
    return sinkhorn((scores - scores.max()).exp(), iterations).float().view_as(teacher)


def moved_centre(centre: Tensor, teacher: Tensor, momentum: float) -> Tensor:
    """The centre `[K]` moved towards the mean of the teacher's outputs `[T, B, K]`."""
    return centre * momentum + teacher.float().mean(dim=(0, 1)) * (1.0 - momentum)
