"""The frozen encoder over the protocol's batches: what every head sees, computed once for all of them."""

from collections.abc import Iterator, Mapping

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from mmsn.evaluation.batches import Batches
from mmsn.evaluation.data import LabelledImages
from mmsn.evaluation.readings import Seen, read_tokens
from mmsn.randomness import generator

Records = Mapping[str, Mapping[str, Tensor]]
"""Split -> feature set -> encoded columns `[N, F]`."""


class Sight:
    """Embeds augmented training images and test views.

    With a bank, the first epochs are the protocol's own and their tokens are kept; every later epoch draws, image by
    image, one of those augmentations. So with as many augmentations as epochs the protocol is exact.

    Args:
        encoder: frozen, on the device of `batches`.
        batches: views.
        splits: `train`, `validate`, `test`.
        records: encoded EHR of the same images, empty where no head reads one.
        class_only: whether no head reads more than the class token.
        bank: augmentations kept an image; 0 keeps none.
    """

    def __init__(
        self,
        encoder: VisionTransformer,
        batches: Batches,
        splits: Mapping[str, LabelledImages],
        records: Records,
        class_only: bool,
        bank: int,
    ) -> None:
        self.encoder, self.batches, self.splits, self.class_only = encoder, batches, splits, class_only
        self.records = {
            split: {name: columns.to(batches.device) for name, columns in tables.items()}
            for split, tables in records.items()
        }
        self._bank = Bank(bank, len(splits["train"])) if bank else None

    def columns(self, feature_set: str | None) -> int:
        """Encoded columns F of a feature set, 0 of none."""
        return 0 if feature_set is None else self.records["train"][feature_set].shape[1]

    def training(self, epoch: int) -> Iterator[tuple[Seen, Tensor]]:
        """What is seen of the augmented training images and their targets `[B, L]`, in the epoch's order."""
        images = self.splits["train"]
        if self._bank is None or epoch < self._bank.size:
            yield from self._augmented(epoch)
            return
        for missing in self._bank.missing():  # of a run that was stopped and goes on
            for _ in self._augmented(missing):
                pass
        chosen = self._bank.draw(self.batches.seed, epoch)
        for rows in self.batches.rows(images, epoch):
            targets = torch.from_numpy(images.targets[rows]).to(self.batches.device)
            where = torch.from_numpy(rows)
            yield Seen(self._bank.tokens(chosen[where], where), self._records_of("train", where)), targets

    def testing(self, split: str) -> Iterator[Seen]:
        """What is seen of a split's test views, in its order."""
        start = 0
        for views in self.batches.testing(self.splits[split]):
            where = torch.arange(start, start + len(views))
            start += len(views)
            yield Seen(read_tokens(self.encoder, views, self.class_only), self._records_of(split, where))

    def _augmented(self, epoch: int) -> Iterator[tuple[Seen, Tensor]]:
        images = self.splits["train"]
        batches = zip(self.batches.rows(images, epoch), self.batches.training(images, epoch), strict=True)
        for rows, (views, targets) in batches:
            where = torch.from_numpy(rows)
            tokens = read_tokens(self.encoder, views, self.class_only)
            if self._bank is not None:
                self._bank.keep(epoch, where, tokens)
            yield Seen(tokens, self._records_of("train", where)), targets

    def _records_of(self, split: str, where: Tensor) -> dict[str, Tensor]:
        tables = self.records.get(split, {})
        return {name: columns[where.to(columns.device)] for name, columns in tables.items()}


class Bank:
    """Tokens of several augmentations of each training image.

    Args:
        size: augmentations B.
        images: N.
    """

    def __init__(self, size: int, images: int) -> None:
        self.size, self.images = size, images
        self._tokens: Tensor | None = None
        """`[B, N, T, D]`, made with the first batch, whose shape it takes."""
        self._kept = [0] * size

    def keep(self, augmentation: int, where: Tensor, tokens: Tensor) -> None:
        """Store tokens `[n, T, D]` of the images `where` `[n]`."""
        if self._tokens is None:
            self._tokens = tokens.new_empty(self.size, self.images, *tokens.shape[1:])
        self._tokens[augmentation, where.to(tokens.device)] = tokens
        self._kept[augmentation] += len(where)

    def missing(self) -> list[int]:
        """Augmentations that are not there yet."""
        return [augmentation for augmentation, kept in enumerate(self._kept) if kept < self.images]

    def draw(self, seed: int, epoch: int) -> Tensor:
        """Which augmentation each image has in an epoch, `[N]`."""
        return torch.randint(self.size, (self.images,), generator=generator("cpu", seed, "bank", epoch))

    def tokens(self, augmentations: Tensor, where: Tensor) -> Tensor:
        """Tokens `[n, T, D]` of one augmentation each."""
        assert self._tokens is not None  # `missing` came first
        device = self._tokens.device
        return self._tokens[augmentations.to(device), where.to(device)]
