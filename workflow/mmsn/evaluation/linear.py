"""The linear protocol: several runs on one frozen encoder, sharing every augmented forward pass."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from mmsn.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from mmsn.console import logger, progress
from mmsn.errors import StoppedBySignal
from mmsn.evaluation.batches import Batches
from mmsn.evaluation.data import LabelledImages
from mmsn.evaluation.probe import Probe, new_head
from mmsn.evaluation.readings import CLASS, Reading, Seen, attention_heads
from mmsn.evaluation.settings import LinearSettings
from mmsn.evaluation.sight import Records, Sight
from mmsn.evaluation.trial import RunRecord
from mmsn.evaluation.validation import macro_auroc
from mmsn.images.store import PixelStore
from mmsn.models.vit import class_embedding
from mmsn.signals import StopRequest

_KEPT_BYTES: Final = 1e9
"""Validation tokens up to this size are kept from epoch to epoch; all tokens of many images are embedded again."""


@dataclass(frozen=True)
class LinearResult:
    """The trained probes of one reading, the best of them on validation, and its test scores `[N, L]`."""

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

    @property
    def head(self) -> nn.Linear:
        """Its linear layer."""
        return self.chosen.head


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
        readings: what heads read; every reading is trained in every run.
        records: encoded EHR of the images, for readings with a feature set.
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
        readings: Sequence[Reading] = (CLASS,),
        records: Records | None = None,
    ) -> None:
        self.encoder = encoder.to(device).eval().requires_grad_(False)
        self.splits, self.settings = splits, settings
        self.seed, self.device, self.description = seed, device, description
        self.checkpoint, self.fingerprint, self._stop = checkpoint, fingerprint, StopRequest()
        self.batches = Batches(store, settings, seed, device)
        self.readings = tuple(readings)
        class_only = all(reading.tokens == "class" for reading in readings)
        self.sight = Sight(self.encoder, self.batches, splits, records or {}, class_only, settings.bank)
        self._kept: list[Seen] | None = None

    def run(self) -> LinearResult:
        """Train every probe of the published reading, choose the best on validation, score the test split."""
        return self.run_all()[CLASS]

    def run_all(self) -> dict[Reading, LinearResult]:
        """The same for every reading."""
        runs = range(len(self.settings.runs))
        probes = [self._new_probe(reading, index) for reading in self.readings for index in runs]
        first = self._taken_up(probes)
        with self._stop:
            for epoch in range(first, self.settings.max_epochs):
                active = [probe for probe in probes if not probe.stopped]
                if not active:
                    break
                self._train_epoch(active, epoch)
                scores = self._scores(active, self._validation())
                for probe, of_probe in zip(active, scores, strict=True):
                    probe.close_epoch(macro_auroc(self.splits["validate"].targets, of_probe))
                self._save(probes, epoch + 1)
        return self._concluded(probes)

    @torch.no_grad()
    def embeddings(self, images: LabelledImages) -> Tensor:
        """Class tokens `[N, D]` of test views, in the order of `images`."""
        return torch.cat([class_embedding(self.encoder, views) for views in self.batches.testing(images)])

    def _concluded(self, probes: list[Probe]) -> dict[Reading, LinearResult]:
        """The best run of each reading, tested."""
        trained = {reading: tuple(probe for probe in probes if probe.reading == reading) for reading in self.readings}
        best = {reading: max(ours, key=lambda probe: probe.best_auroc) for reading, ours in trained.items()}
        for probe in best.values():
            probe.restore_best()
            where = probe.run.id, probe.best_epoch, probe.epochs, probe.best_auroc
            message = "%s, %s: best run %s, epoch %d of %d, validation AUROC %.4f"
            logger.info(message, self.description, probe.reading.id, *where)
        scores = self._scores(list(best.values()), self.sight.testing("test"))
        results = zip(best.items(), scores, strict=True)
        return {reading: LinearResult(trained[reading], chosen, tested) for (reading, chosen), tested in results}

    def _save(self, probes: list[Probe], epochs: int) -> None:
        tensors = {f"{probe.id}.{name}": t for probe in probes for name, t in probe.tensors().items()}
        standing = {"epochs": epochs, "probes": {probe.id: probe.standing() for probe in probes}}
        save_checkpoint(self.checkpoint, self.fingerprint, tensors, standing)

    def _taken_up(self, probes: list[Probe]) -> int:
        """Restore saved probes; the epoch to go on with."""
        saved = load_checkpoint(self.checkpoint, self.fingerprint)
        if saved is None:
            return 0
        for probe in probes:
            part = Checkpoint(saved.part(f"{probe.id}."), None)
            probe.restore(part, saved.state["probes"][probe.id])
        logger.info("%s: linear probes go on at epoch %d", self.description, saved.state["epochs"] + 1)
        return int(saved.state["epochs"])

    def _new_probe(self, reading: Reading, index: int) -> Probe:
        run, labels = self.settings.runs[index], self.splits["train"].targets.shape[1]
        columns = self.sight.columns(reading.feature_set)
        head = new_head(run, self.encoder.embed_dim, labels, self.seed, reading, attention_heads(self.encoder), columns)
        return Probe(run, self.settings, head, self.device)

    def _train_epoch(self, probes: list[Probe], epoch: int) -> None:
        steps = self.batches.steps(self.splits["train"])
        label = f"{self.description}: linear probes, epoch {epoch + 1} of {self.settings.max_epochs}"
        for seen, targets in progress(self.sight.training(epoch), label, steps):
            if self._stop.made:
                raise StoppedBySignal(self.description)
            for probe in probes:
                probe.learn(seen, targets)

    def _validation(self) -> Iterable[Seen]:
        """What is seen of the validation images; kept from epoch to epoch where it is small."""
        if self._kept is not None:
            return self._kept
        if not self.sight.class_only and self._bytes_of("validate") > _KEPT_BYTES:
            return self.sight.testing("validate")
        self._kept = list(self.sight.testing("validate"))
        return self._kept

    def _bytes_of(self, split: str) -> int:
        assert self.encoder.pos_embed is not None  # create_encoder made sure
        return 4 * len(self.splits[split]) * self.encoder.pos_embed[0].numel()

    @staticmethod
    def _scores(probes: Sequence[Probe], batches: Iterable[Seen]) -> list[NDArray[np.float32]]:
        """Each probe's scores `[N, L]`; the encoder sees a batch once for all of them."""
        parts: list[list[Tensor]] = [[] for _ in probes]
        for seen in batches:
            for probe, part in zip(probes, parts, strict=True):
                part.append(probe.scores(seen))
        return [torch.cat(part).cpu().numpy() for part in parts]
