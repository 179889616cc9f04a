"""The views that both protocols train and test on, addressed by seed, epoch and step."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmsn.evaluation.data import LabelledImages
from mmsn.evaluation.settings import ProtocolSettings
from mmsn.images.settings import EvalViewSettings
from mmsn.images.store import PixelStore
from mmsn.images.views import TestTransform, TrainTransform
from mmsn.randomness import generator

_TEST_BATCH: Final = 256


@dataclass(frozen=True)
class Batches:
    """Views of labelled images; every protocol of a seed sees the same ones in the same order."""

    store: PixelStore
    settings: ProtocolSettings
    seed: int
    device: torch.device

    def steps(self, images: LabelledImages) -> int:
        """Steps of an epoch; the last batch may be smaller."""
        return -(-len(images) // self.settings.batch_size)

    def rows(self, images: LabelledImages, epoch: int, first_step: int = 0) -> Iterator[NDArray[np.int64]]:
        """Which of `images` are in each batch of an epoch, from `first_step` on."""
        size = self.settings.batch_size
        order = torch.randperm(len(images), generator=generator("cpu", self.seed, "probe order", epoch)).numpy()
        for step in range(first_step, self.steps(images)):
            yield order[step * size : (step + 1) * size]

    def training(self, images: LabelledImages, epoch: int, first_step: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Augmented views `[B, 3, S, S]` and targets `[B, L]` in the epoch's order, from `first_step` on."""
        view = TrainTransform(self.settings.views)
        for step, rows in enumerate(self.rows(images, epoch, first_step), start=first_step):
            pixels = self.store.batch(images.positions[rows]).to(self.device)
            draws = generator(self.device, self.seed, "probe views", epoch, step)
            yield view(pixels, draws), torch.from_numpy(images.targets[rows]).to(self.device)

    def testing(self, images: LabelledImages) -> Iterator[Tensor]:
        """Test views `[B, 3, S, S]`, in the order of `images`."""
        return test_views(self.store, self.settings.views, images, self.device)


def test_views(
    store: PixelStore, settings: EvalViewSettings, images: LabelledImages, device: torch.device
) -> Iterator[Tensor]:
    """Test views `[B, 3, S, S]` of every image, in their order; the last batch may be smaller."""
    view = TestTransform(settings)
    for start in range(0, len(images), _TEST_BATCH):
        yield view(store.batch(images.positions[start : start + _TEST_BATCH]).to(device))
