"""Which tokens of a view the anchor encoder sees."""

import torch
from torch import Tensor


def keep_indices(
    batch: int, patches: int, mask_ratio: float, class_token_aware: bool, generator: torch.Generator
) -> Tensor:
    """Draw each image's tokens to keep; token 0 is the class token, tokens 1..patches are the patches.

    Released (`class_token_aware=False`; lightly 1.4.21 `models/utils.py: random_token_mask` called with
    the number of patches as sequence length): the class token is one of int(patches * (1 - ratio)) kept
    tokens and the last patch is never kept: 165 of 196 patches at ratio .15. Aware: the class token and
    int(patches * (1 - ratio)) of all patches: 166 of 196.

    Returns:
        int64 [batch, kept] on the generator's device, ascending, the class token first.
    """
    if not 0 <= mask_ratio < 1:
        raise ValueError(f"mask_ratio is {mask_ratio}: it must be at least 0 and below 1")
    kept = int(patches * (1 - mask_ratio))
    if not class_token_aware:
        patches, kept = patches - 1, max(kept - 1, 0)
    return draw_tokens(batch, patches, kept, generator)


def draw_tokens(batch: int, patches: int, kept: int, generator: torch.Generator) -> Tensor:
    """Draw the class token and `kept` of the patches 1..patches for each image: int64 [batch, 1 + kept], ascending."""
    noise = torch.rand(batch, patches, generator=generator, device=generator.device)
    chosen = noise.argsort(dim=1)[:, :kept].sort(dim=1).values + 1
    return torch.cat([chosen.new_zeros(batch, 1), chosen], dim=1)
