"""AdamW over what trains, with or without the exclusions from weight decay."""

import torch
from torch import nn

from mmsn.training.settings import TrainingSettings


def create_optimizer(model: nn.Module, settings: TrainingSettings) -> torch.optim.AdamW:
    """AdamW on every parameter that requires a gradient, in fused kernels.

    With `decay_exclusions`, biases, norms, positions, class and mask token and prototypes do not decay, as in
    facebookresearch/msn (`src/helper.py`, `init_opt`).
    """
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    excluded = [p for name, p in trained if settings.decay_exclusions and _never_decays(name, p)]
    without = {id(p) for p in excluded}
    groups = [
        {"params": [p for _, p in trained if id(p) not in without], "weight_decay": settings.weight_decay},
        {"params": excluded, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


def _never_decays(name: str, parameter: nn.Parameter) -> bool:
    special = ("cls_token", "mask_token", "pos_embed", "positions", "prototypes")
    return parameter.ndim == 1 or any(name.endswith(ending) for ending in special)
