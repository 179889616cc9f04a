"""What shows a collapse while it happens: RankMe, feature spread, and a warning that says what to change."""

import resource
import sys
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from mmsn.images.store import PixelStore
from mmsn.images.views import normalise, resize
from mmsn.models.vit import class_embedding
from mmsn.training.settings import DinoSettings, PretrainSettings, TrainingSettings

MONITORED_IMAGES: Final = 256
"""How many of the run's first images RankMe and feature spread are taken on."""

FEWEST_DIRECTIONS: Final = 1.5
"""RankMe below which features are one direction and noise. Encoders of phantoms that learnt well had 4 of 128."""


@torch.no_grad()
def monitored(
    encoder: VisionTransformer, store: PixelStore, positions: NDArray[np.int64], device: torch.device
) -> dict[str, float]:
    """RankMe and feature spread of an encoder on the first images of the data, and the memory in use so far."""
    pixels = store.batch(positions[:MONITORED_IMAGES]).to(device)
    side = encoder.patch_embed.img_size
    trains = encoder.training
    encoder.eval()  # no dropout
    features = class_embedding(encoder, normalise(resize(pixels, side[0] if side else pixels.shape[-1])))
    encoder.train(trains)
    return {
        "rankme": rankme(features),
        "feature_spread": feature_spread(features),
        "peak_memory_gb": peak_memory_gb(device),
    }


def peak_memory_gb(device: torch.device) -> float:
    """Largest memory used so far in GB (1e9 bytes): of the GPU by torch, of the process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts bytes on a Mac, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def rankme(features: Tensor, epsilon: float = 1e-7) -> float:
    """Effective rank of `[N, D]` features: exp of the entropy of normalised singular values (Garrido et al. 2023)."""
    values = torch.linalg.svdvals(features.double())
    shares = values / values.sum().clamp_min(epsilon) + epsilon
    return float(torch.exp(-(shares * shares.log()).sum()))


def feature_spread(features: Tensor) -> float:
    """Mean over dimensions of the standard deviation of L2-normalised `[N, D]` features; 1/sqrt(D) when isotropic."""
    return float(torch.nn.functional.normalize(features.double(), dim=1).std(dim=0).mean())


def epoch_line(row: dict[str, float]) -> str:
    """What the log says of a row of the history."""
    shown = (
        ("loss", "loss", ".4f"),
        ("target_entropy", "target entropy", ".3f"),
        ("used_prototypes", "prototypes used", ".0f"),
        ("rankme", "RankMe", ".1f"),
        ("images_per_second", "images/s", ".0f"),
    )
    return ", ".join(f"{title} {row[name]:{spec}}" for name, title, spec in shown if name in row)


def collapse_warning(settings: TrainingSettings, used: float | None, rank: float, width: int) -> str | None:
    """A sentence for the log when the encoder gives nearly one answer for all images, else None; says what to change.

    Args:
        settings: of the run.
        used: prototypes (MSN) or outputs (DINO) in use, None for methods without.
        rank: RankMe of the kept encoder.
        width: its width D.
    """
    if rank < min(FEWEST_DIRECTIONS, width / 8):
        return (
            f"the encoder's features have an effective rank of {rank:.1f} of {width}: a collapse is likely; "
            f"{_remedy(settings)}"
        )
    if used is None or not isinstance(settings, PretrainSettings):
        return None
    possible = min(settings.prototypes, settings.batch_size)
    if used < 0.05 * possible:
        return (
            f"only {used:.0f} of {possible} prototypes are used: lower pretrain.prototypes, "
            "or set pretrain.trainable_prototypes: true"
        )
    return None


def _remedy(settings: TrainingSettings) -> str:
    if isinstance(settings, PretrainSettings):
        return "lower pretrain.learning_rate, or raise pretrain.mean_entropy_weight or pretrain.ema_momentum"
    if isinstance(settings, DinoSettings):
        return "set dino.centering: sinkhorn, or lower dino.learning_rate or dino.teacher_temperature"
    return "lower the section's learning_rate, or train for longer"
