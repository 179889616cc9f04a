"""The linear protocol: several runs on one frozen encoder, sharing every augmented forward pass."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from mmsn.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from mmsn.console import logger, progress
from mmsn.errors import StoppedBySignal
from mmsn.evaluation.batches import Batches
from mmsn.evaluation.data import LabelledImages
from mmsn.evaluation.probe import Probe
from mmsn.evaluation.settings import LinearSettings
from mmsn.evaluation.trial import RunRecord
from mmsn.evaluation.validation import macro_auroc
from mmsn.images.store import PixelStore
from mmsn.models.vit import class_embedding
from mmsn.signals import StopRequest


@dataclass(frozen=True)
class LinearResult:
    """The trained probes, the best of them on validation, and its test scores `[N, L]`."""

    probes: tuple[Probe, ...]
    chosen: Probe
    test_scores: NDArray[np.float32]

    @property
    def records(self) -> tuple[RunRecord, ...]:
        """How each run went."""
        return tuple(probe.record for probe in self.probes)

    @property
    def chosen_record(self) -> RunRecord:
        """How the best one did."""
        return self.chosen.record


class LinearEvaluation:
    """Trains the probes of one encoder.

    Args:
        encoder: frozen; its class token after the final norm is the embedding.
        store: pixels.
        splits: `train`, `validate`, `test`.
        settings: of the protocol.
        seed: of weights, order and augmentation.
        device: to compute on.
        description: what the progress bar says.
        checkpoint: where the probes are saved after each epoch, and taken up again.
        fingerprint: identifies encoder, images and settings; another one's checkpoint is refused.
    """

    def __init__(
        self,
        encoder: VisionTransformer,
        store: PixelStore,
        splits: dict[str, LabelledImages],
        settings: LinearSettings,
        seed: int,
        device: torch.device,
        description: str,
        checkpoint: Path,
        fingerprint: str,
    ) -> None:
        self.encoder = encoder.to(device).eval().requires_grad_(False)
        self.splits, self.settings = splits, settings
        self.seed, self.device, self.description = seed, device, description
        self.checkpoint, self.fingerprint, self._stop = checkpoint, fingerprint, StopRequest()
        self.batches = Batches(store, settings, seed, device)

    def run(self) -> LinearResult:
        """Train every probe, choose the best on validation, score the test split."""
        validation = self.embeddings(self.splits["validate"])
        probes = [self._new_probe(index) for index in range(len(self.settings.runs))]
        first = self._taken_up(probes)
        with self._stop:
            for epoch in range(first, self.settings.max_epochs):
                active = [probe for probe in probes if not probe.stopped]
                if not active:
                    break
                self._train_epoch(active, epoch)
                for probe in active:
                    probe.close_epoch(self._validation_auroc(probe, validation))
                self._save(probes, epoch + 1)
        chosen = max(probes, key=lambda probe: probe.best_auroc)
        chosen.restore_best()
        logger.info(
            *("%s: best run %s, epoch %d of %d, validation AUROC %.4f", self.description, chosen.run.id),
            *(chosen.best_epoch, chosen.epochs, chosen.best_auroc),
        )
        scores = chosen.scores(self.embeddings(self.splits["test"]))
        return LinearResult(tuple(probes), chosen, scores.cpu().numpy())

    @torch.no_grad()
    def embeddings(self, images: LabelledImages) -> Tensor:
        """Class tokens `[N, D]` of test views, in the order of `images`."""
        return torch.cat([class_embedding(self.encoder, views) for views in self.batches.testing(images)])

    def _save(self, probes: list[Probe], epochs: int) -> None:
        tensors = {f"{probe.run.id}.{name}": t for probe in probes for name, t in probe.tensors().items()}
        standing = {"epochs": epochs, "probes": {probe.run.id: probe.standing() for probe in probes}}
        save_checkpoint(self.checkpoint, self.fingerprint, tensors, standing)

    def _taken_up(self, probes: list[Probe]) -> int:
        """Restore saved probes; the epoch to go on with."""
        saved = load_checkpoint(self.checkpoint, self.fingerprint)
        if saved is None:
            return 0
        for probe in probes:
            part = Checkpoint(saved.part(f"{probe.run.id}."), None)
            probe.restore(part, saved.state["probes"][probe.run.id])
        logger.info("%s: linear probes go on at epoch %d", self.description, saved.state["epochs"] + 1)
        return int(saved.state["epochs"])

    def _new_probe(self, index: int) -> Probe:
        run, labels = self.settings.runs[index], self.splits["train"].targets.shape[1]
        return Probe(run, self.settings, self.encoder.embed_dim, labels, self.seed, self.device)

    def _train_epoch(self, probes: list[Probe], epoch: int) -> None:
        steps = self.batches.steps(self.splits["train"])
        label = f"{self.description}: linear probes, epoch {epoch + 1} of {self.settings.max_epochs}"
        for features, targets in progress(self._augmented(epoch), label, steps):
            if self._stop.made:
                raise StoppedBySignal(self.description)
            for probe in probes:
                probe.learn(features, targets)

    def _augmented(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Embeddings `[B, D]` of augmented training images and their targets, in the epoch's order."""
        for views, targets in self.batches.training(self.splits["train"], epoch):
            with torch.no_grad():
                features = class_embedding(self.encoder, views)
            yield features, targets

    def _validation_auroc(self, probe: Probe, features: Tensor) -> float:
        scores = probe.scores(features).cpu().numpy()
        return macro_auroc(self.splits["validate"].targets, scores)
