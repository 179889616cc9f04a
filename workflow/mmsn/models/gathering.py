"""Embeddings of all processes of a distributed run, so that heads and losses see the whole batch.

Encoders work on each process's own images; what follows is small, and every process computes it for all images. So
BatchNorm, Sinkhorn, centre and mean-entropy term are those of one process with the whole batch, exactly.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class _Gathered(torch.autograd.Function):
    """All-gather with a gradient: torch.distributed.nn's hands gloo gradients that are not contiguous (torch 2.11)."""

    @staticmethod
    def forward(context: Any, rows: Tensor) -> Tensor:
        context.own = len(rows)
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        summed = gradients[0].contiguous().clone()
        dist.all_reduce(summed)
        start = dist.get_rank() * context.own
        return summed[start : start + context.own]


def whole_batch(rows: Tensor) -> Tensor:
    """Rows of all processes, `[B, ...]` -> `[W * B, ...]`, in the order of their ranks; unchanged without processes.

    Gradients flow back to the process that a row came from. They arrive summed over the processes, each of which has
    the whole loss, so that the mean that DistributedDataParallel takes is the gradient of the whole loss.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return rows
    gather: Callable[[Tensor], Tensor] = _Gathered.apply
    return gather(rows)


def whole_views(rows: Tensor, images: int) -> Tensor:
    """View-major rows of all processes: `[V * B, ...]` -> `[V * W * B, ...]`, view-major over the whole batch.

    Args:
        rows: all images' view 1, then view 2, ...
        images: B, the images of this process.
    """
    by_image = rows.unflatten(0, (-1, images)).transpose(0, 1).contiguous()
    return whole_batch(by_image).transpose(0, 1).flatten(0, 1)
