"""The target (teacher) of MSN and DINO: an exponential moving average of what trains."""

import torch
from torch import nn


@torch.no_grad()
def move_towards(target: nn.Module, source: nn.Module, momentum: float) -> None:
    """`target <- momentum * target + (1 - momentum) * source` for every parameter; buffers stay the target's own.

    As lightly 1.4.21 (`models/utils.py`, `update_momentum`), in one call for all parameters.
    """
    torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), 1.0 - momentum)
