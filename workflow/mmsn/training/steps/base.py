"""What the training loop knows of a method: a module with a loss."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from mmsn.images.share import Share

Sight = Any
"""What a method sees of a batch: views and masks, of a type of its own. Nothing may write into it: runs that see the
same share it."""
Watched = dict[str, Tensor]
"""Scalars by name: `loss`, which carries the gradient, and what the history keeps beside it."""


class Batch(NamedTuple):
    """The images of one step, or this process's share of them."""

    pixels: Tensor
    """`[B, S, S]` uint8"""
    ehr: Tensor | None
    """`[B, n]` float32, None for methods without EHR."""
    targets: Tensor | None
    """`[B, 14]` labels, NaN where ignored; None for methods that do not need them."""
    partners: Tensor | None
    """`[B, S, S]` uint8, another image of the same study where there is one; None unless positives are of the study."""
    share: Share
    """Which images of the step's whole batch these are."""

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""
        return self._each(lambda part: part.to(device, non_blocking=True), self.share)

    def split(self, parts: int) -> "list[Batch]":
        """The images in `parts` equal parts, one after the other, each part of a smaller step."""
        if parts == 1:
            return [self]
        size = len(self.pixels) // parts
        share = Share(self.share.first // parts, size, self.share.whole // parts)
        return [self._each(partial(_part, size=size, number=number), share) for number in range(parts)]

    def _each(self, change: Callable[[Tensor], Tensor], share: Share) -> "Batch":
        ehr, targets, partners = (None if t is None else change(t) for t in (self.ehr, self.targets, self.partners))
        return Batch(change(self.pixels), ehr, targets, partners, share)


def _part(whole: Tensor, size: int, number: int) -> Tensor:
    return whole[number * size : (number + 1) * size]


class PretrainingStep(nn.Module, ABC):
    """A method's network together with its views and masks: `forward` takes a batch and gives the loss."""

    @property
    @abstractmethod
    def encoder(self) -> VisionTransformer:
        """The encoder that trains."""

    @property
    def kept_encoder(self) -> VisionTransformer:
        """The encoder that is evaluated; the one that trains, unless a target follows it."""
        return self.encoder

    @property
    def answers(self) -> int | None:
        """How many prototypes or outputs an image is given a distribution over; its entropy is at most their log."""
        return None

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.parameters()).device

    @abstractmethod
    def look(self, batch: Batch, draws: torch.Generator) -> Sight:
        """Views and masks of a batch; all randomness comes from `draws`, which is at the same place in every process.

        A function of the settings, the patch size and the images alone: steps that agree in these see the same.
        """

    @abstractmethod
    def judge(self, batch: Batch, sight: Sight, epoch: int) -> Watched:
        """Loss of a batch of which `look` has made `sight`."""

    def forward(self, batch: Batch, draws: torch.Generator, epoch: int) -> Watched:
        """Loss of a batch."""
        return self.judge(batch, self.look(batch, draws), epoch)

    def follow(self, momentum: float) -> None:
        """Move the target, where there is one."""

    def after_backward(self, epoch: int) -> None:
        """What a method does to its gradients before the optimiser sees them."""

    def compile_blocks(self) -> None:
        """Compile every transformer block in place; names of weights stay."""
        for module in self.modules():
            if isinstance(module, VisionTransformer):
                module.blocks.compile(dynamic=False)


def watched(result: Any) -> Watched:
    """The fields of a loss dataclass by name."""
    return {name: getattr(result, name) for name in result.__dataclass_fields__}
