"""Several processes that train one model, started by torchrun; with one process nothing here does anything."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from mmsn.errors import UserError
from mmsn.images.share import Share


@dataclass(frozen=True)
class World:
    """The processes of a run and this one's place among them."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and messages."""
        return self.rank == 0

    def share(self, whole: int) -> Share:
        """This process's images of a step of `whole` images.

        Raises:
            UserError: when they cannot be split evenly.
        """
        if whole % self.size:
            raise UserError(f"batch_size: {whole} images cannot be split over {self.size} processes; use a multiple")
        own = whole // self.size
        return Share(self.rank * own, own, whole)

    def any(self, *flags: bool, device: torch.device) -> tuple[bool, ...]:
        """Whether each flag is set in some process; every process gets the same answer."""
        if self.size == 1:
            return flags
        answers = torch.tensor(flags, dtype=torch.float32, device=device)
        dist.all_reduce(answers, op=dist.ReduceOp.MAX)
        return tuple(answer > 0 for answer in answers.tolist())

    def mean(self, values: Tensor) -> Tensor:
        """Mean of each value over the processes."""
        if self.size == 1:
            return values
        summed = values.clone()
        dist.all_reduce(summed)
        return summed / self.size


@contextmanager
def joined(device: torch.device) -> Iterator[World]:
    """Join the processes that torchrun started, if it did: NCCL between GPUs, gloo between CPUs."""
    if "WORLD_SIZE" not in os.environ or int(os.environ["WORLD_SIZE"]) == 1:
        yield World()
        return
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield World(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
