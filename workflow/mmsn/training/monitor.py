"""What shows a collapse while it happens: RankMe, feature spread, and a warning that says what to change."""

import torch
from torch import Tensor

from mmsn.training.settings import PretrainSettings


def rankme(features: Tensor, epsilon: float = 1e-7) -> float:
    """Effective rank of `[N, D]` features: exp of the entropy of normalised singular values (Garrido et al. 2023)."""
    values = torch.linalg.svdvals(features.double())
    shares = values / values.sum().clamp_min(epsilon) + epsilon
    return float(torch.exp(-(shares * shares.log()).sum()))


def feature_spread(features: Tensor) -> float:
    """Mean over dimensions of the standard deviation of L2-normalised `[N, D]` features; 1/sqrt(D) when isotropic."""
    return float(torch.nn.functional.normalize(features.double(), dim=1).std(dim=0).mean())


def collapse_warning(settings: PretrainSettings, used_prototypes: float, rank: float, width: int) -> str | None:
    """A sentence for the log when the target gives nearly one answer for all images, else None."""
    if rank < min(4.0, width / 8):
        return (
            f"the target encoder's features have an effective rank of {rank:.1f} of {width}: a collapse is likely; "
            "lower pretrain.learning_rate, or raise pretrain.mean_entropy_weight or pretrain.ema_momentum"
        )
    possible = min(settings.prototypes, settings.batch_size)
    if used_prototypes < 0.05 * possible:
        return (
            f"only {used_prototypes:.0f} of {possible} prototypes are used: lower pretrain.prototypes, "
            "or set pretrain.trainable_prototypes: true"
        )
    return None
