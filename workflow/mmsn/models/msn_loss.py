"""The masked Siamese loss in small pure functions; semantics of lightly 1.4.21 and facebookresearch/msn."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class MsnLoss:
    """The loss and what must be watched with it; all scalars, entropies in nats (0 to log K)."""

    loss: Tensor
    cross_entropy: Tensor
    mean_entropy_loss: Tensor
    """log K minus the entropy of the mean anchor prediction, which is maximised; 0 when prototypes are used evenly.
    With a prior, the divergence from it."""
    target_entropy: Tensor
    anchor_entropy: Tensor
    used_prototypes: Tensor
    """How many prototypes are the most probable one of at least one target in the batch."""


def msn_loss(
    anchors: Tensor,
    targets: Tensor,
    prototypes: Tensor,
    temperature: float = 0.1,
    target_sharpening: float = 0.25,
    sinkhorn_iterations: int = 3,
    mean_entropy_weight: float = 1.0,
    prior: Tensor | None = None,
    past_targets: Tensor | None = None,
) -> MsnLoss:
    """Cross entropy of anchor views to sharpened targets, plus mean-entropy maximisation; in float32.

    Args:
        anchors: `[V * B, D]`, view-major: all images' view 1, then view 2, ...
        targets: `[B, D]`; no gradient flows through them.
        prototypes: `[K, D]`.
        temperature: softmax temperature tau of both sides.
        target_sharpening: T; target probabilities are raised to 1/T.
        sinkhorn_iterations: rounds of Sinkhorn normalisation of the targets.
        mean_entropy_weight: lambda.
        prior: `[K]`, what the mean anchor prediction is drawn to (PMSN); uniform when None (MSN).
        past_targets: `[Q, D]`, targets of earlier batches, which Sinkhorn sees beside this batch's.

    Raises:
        ValueError: when the anchors are not a whole number of views of the targets.
    """
    if len(anchors) % len(targets):
        raise ValueError(f"{len(anchors)} anchors are not a whole number of views of {len(targets)} targets")
    anchors, targets, prototypes = (F.normalize(x.float(), dim=1) for x in (anchors, targets, prototypes))
    log_anchor = F.log_softmax(anchors @ prototypes.T / temperature, dim=1)
    seen = targets if past_targets is None else torch.cat([targets, F.normalize(past_targets.float(), dim=1)])
    target = target_probabilities(seen, prototypes, temperature, target_sharpening, sinkhorn_iterations)[: len(targets)]
    views = len(anchors) // len(targets)
    cross_entropy = -(target.repeat(views, 1) * log_anchor).sum(dim=1).mean()
    mean_entropy_loss = prior_divergence(log_anchor.exp().mean(dim=0), prior)
    return MsnLoss(
        loss=cross_entropy + mean_entropy_weight * mean_entropy_loss,
        cross_entropy=cross_entropy.detach(),
        mean_entropy_loss=mean_entropy_loss.detach(),
        target_entropy=entropy(target).mean(),
        anchor_entropy=entropy(log_anchor.detach().exp()).mean(),
        used_prototypes=used(target),
    )


def prior_divergence(mean_prediction: Tensor, prior: Tensor | None) -> Tensor:
    """How far the mean anchor prediction `[K]` is from what it is drawn to; 0 when it is there.

    Without a prior, log K minus its entropy (MSN). With one, KL(prior || mean prediction), the direction that lightly
    1.4.21's `PMSNLoss` takes.
    """
    if prior is None:
        return math.log(len(mean_prediction)) - entropy(mean_prediction)
    return F.kl_div(mean_prediction.log(), prior, reduction="sum")


def power_law(prototypes: int, exponent: float) -> Tensor:
    """PMSN's prior `[K]`: p_k proportional to k^-exponent, k from 1 (Assran et al. 2023)."""
    mass = torch.arange(1, prototypes + 1, dtype=torch.float32) ** -exponent
    return mass / mass.sum()


@torch.no_grad()
def target_probabilities(
    targets: Tensor, prototypes: Tensor, temperature: float, sharpening: float, sinkhorn_iterations: int
) -> Tensor:
    """Softmax over prototypes, sharpened, Sinkhorn-normalised: `[B, D]`, `[K, D]` -> `[B, K]`, rows sum to 1."""
    probabilities = F.softmax(targets @ prototypes.T / temperature, dim=1)
    return sinkhorn(sharpen(probabilities, sharpening), sinkhorn_iterations)


def sharpen(probabilities: Tensor, temperature: float) -> Tensor:
    """`p^(1/T)` normalised over the last dimension; T = 1 changes nothing, smaller T is sharper."""
    powered = probabilities ** (1.0 / temperature)
    return powered / powered.sum(dim=-1, keepdim=True)


def sinkhorn(probabilities: Tensor, iterations: int) -> Tensor:
    """Equalise the mass of prototypes over a batch (SwAV): `[B, K]` -> `[B, K]`, rows sum to 1.

    With B images no prototype can hold more than B/K of the batch's mass, so B < K flattens every target.
    """
    if iterations <= 0:
        return probabilities
    images, prototypes = probabilities.shape
    mass = probabilities.T / probabilities.sum()
    for _ in range(iterations):
        mass = mass / mass.sum(dim=1, keepdim=True) / prototypes
        mass = mass / mass.sum(dim=0, keepdim=True) / images
    return (mass * images).T


def used(probabilities: Tensor) -> Tensor:
    """How many columns of `[B, K]` are the most probable one of at least one row; without waiting for the GPU."""
    first = probabilities.argmax(dim=1)
    return torch.zeros(probabilities.shape[1], device=first.device).index_fill_(0, first, 1.0).sum()


def entropy(probabilities: Tensor) -> Tensor:
    """Shannon entropy in nats over the last dimension; 0 log 0 is 0."""
    return torch.special.entr(probabilities).sum(dim=-1)
