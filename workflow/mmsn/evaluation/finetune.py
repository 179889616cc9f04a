"""Fine-tuning: encoder and head trained together, one run after the other, restartable at any step."""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from mmsn.checkpoint import Checkpoint, Tensors, load_checkpoint, save_checkpoint
from mmsn.console import logger, progress
from mmsn.errors import StoppedBySignal, UserError
from mmsn.evaluation.batches import Batches
from mmsn.evaluation.classifier import FineTuned
from mmsn.evaluation.data import LabelledImages
from mmsn.evaluation.settings import FinetuneSettings, ProbeRun
from mmsn.evaluation.trial import RunRecord
from mmsn.evaluation.validation import macro_auroc
from mmsn.images.store import PixelStore
from mmsn.randomness import derived_seed
from mmsn.signals import StopRequest
from mmsn.training.precision import suit_attention


@dataclass(frozen=True)
class FinetuneResult:
    """How each run went, the best of them on validation, and its test scores `[N, L]`."""

    records: tuple[RunRecord, ...]
    chosen_record: RunRecord
    test_scores: NDArray[np.float32]
    head: nn.Linear
    """Of the best; the encoder that was given has its weights too."""


class FineTuning:
    """Fine-tunes one encoder in several runs, each of which starts from its weights as given.

    Of the runs that have ended only the best keeps its weights. Views, order and the head's first weights are those of
    the linear protocol of the same seed.

    Args:
        encoder: trained in place.
        store: pixels.
        splits: `train`, `validate`, `test`.
        settings: of the protocol.
        seed: of weights, order, augmentation and the backbone's own dropout.
        device: to compute on.
        description: what the progress bar says.
        checkpoint: where the work is saved, and taken up again.
        fingerprint: identifies encoder, images and settings; another one's checkpoint is refused.
        seconds_between_saves: the time that a job killed without warning may lose.
        ehr: split -> encoded EHR `[N, F]` of its images, which the head reads beside the class token; None without.
    """

    def __init__(
        self,
        encoder: VisionTransformer,
        store: PixelStore,
        splits: dict[str, LabelledImages],
        settings: FinetuneSettings,
        seed: int,
        device: torch.device,
        description: str,
        checkpoint: Path,
        fingerprint: str,
        seconds_between_saves: float = 120.0,
        ehr: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.encoder = encoder.to(device).requires_grad_(True)
        self._given = {name: value.detach().clone() for name, value in encoder.state_dict().items()}
        self.splits, self.settings, self.seed, self.device = splits, settings, seed, device
        self.batches = Batches(store, settings, seed, device)
        self._ehr = {split: columns.to(device) for split, columns in (ehr or {}).items()}
        self.description, self.checkpoint, self.fingerprint = description, checkpoint, fingerprint
        self._seconds_between_saves, self._saved_at = seconds_between_saves, time.monotonic()
        self._stop = StopRequest()
        self._records: list[RunRecord] = []
        self._best: Tensors = {}
        """Weights of the best run that has ended."""
        self._step = 0
        """Steps done in the epoch that is under way."""

    def run(self) -> FinetuneResult:
        """Train every run to its end, choose the best on validation, score the test split.

        Raises:
            StoppedBySignal: after saving, when a signal asked to stop.
            UserError: when no run gave finite scores.
        """
        taken_up = self._taken_up()
        with self._stop:
            while len(self._records) < len(self.settings.runs):
                trial = taken_up or self._new_trial()
                taken_up = None
                self._train(trial)
                self._conclude(trial)
        chosen = self._chosen()
        logger.info(
            *("%s: best run %s, epoch %d of %d, validation AUROC %.4f", self.description, chosen.run.id),
            *(chosen.best_epoch, chosen.epochs, chosen.best_auroc),
        )
        best = self._trial_of(chosen.run)
        best.module.load_state_dict(self._best)
        return FinetuneResult(tuple(self._records), chosen, self._scores(best, "test"), best.model.head)

    def _train(self, trial: FineTuned) -> None:
        while trial.epochs < self.settings.max_epochs and not trial.stopped:
            self._train_epoch(trial)
            self._close_epoch(trial)
            self._save_if_due(trial)

    def _train_epoch(self, trial: FineTuned) -> None:
        images, epoch = self.splits["train"], trial.epochs
        label = f"{self.description}: fine-tuning {trial.run.id}, epoch {epoch + 1} of {self.settings.max_epochs}"
        batches = self.batches.training(images, epoch, self._step)
        rows = self.batches.rows(images, epoch, self._step)
        for views, targets in progress(batches, label, self.batches.steps(images) - self._step):
            torch.manual_seed(derived_seed(self.seed, "dropout", trial.run.id, epoch, self._step))
            trial.learn(views, targets, self._ehr_of("train", torch.from_numpy(next(rows))))
            self._step += 1
            self._save_if_due(trial)

    def _close_epoch(self, trial: FineTuned) -> None:
        scores = self._scores(trial, "validate")
        if np.isfinite(scores).all():
            trial.close_epoch(macro_auroc(self.splits["validate"].targets, scores))
        else:
            trial.give_up()
            logger.warning(
                *("warning: %s: run %s has no finite scores after epoch %d and ends there", self.description),
                *(trial.run.id, trial.epochs),
            )
        self._step = 0

    def _conclude(self, trial: FineTuned) -> None:
        """Keep the run's record, and its best weights if no run before was better."""
        before = max((record.best_auroc for record in self._records), default=-math.inf)
        if trial.best_auroc > before:
            self._best = trial.best
        self._records.append(trial.record)
        self._save(None)

    def _chosen(self) -> RunRecord:
        chosen = max(self._records, key=lambda record: record.best_auroc)
        if not math.isfinite(chosen.best_auroc):
            raise UserError(f"{self.description}: no run gave finite scores; lower the learning rates of finetune.runs")
        return chosen

    def _new_trial(self) -> FineTuned:
        return self._trial_of(self.settings.runs[len(self._records)])

    def _trial_of(self, run: ProbeRun) -> FineTuned:
        self.encoder.load_state_dict(self._given)
        columns = self._ehr["train"].shape[1] if self._ehr else 0
        trial = FineTuned(run, self.settings, self.encoder, self._labels, self.seed, self.device, columns)
        suit_attention(self.encoder, self.device, trial.precision)
        return trial

    @property
    def _labels(self) -> int:
        return self.splits["train"].targets.shape[1]

    def _scores(self, trial: FineTuned, split: str) -> NDArray[np.float32]:
        """Probabilities `[N, L]` of a split's test views."""
        return np.concatenate(list(self._scored(trial, split)))

    def _scored(self, trial: FineTuned, split: str) -> Iterator[NDArray[np.float32]]:
        start = 0
        for views in self.batches.testing(self.splits[split]):
            ehr = self._ehr_of(split, torch.arange(start, start + len(views)))
            start += len(views)
            yield trial.scores(views, ehr).cpu().numpy()

    def _ehr_of(self, split: str, rows: Tensor) -> Tensor | None:
        return self._ehr[split][rows.to(self.device)] if self._ehr else None

    def _save_if_due(self, trial: FineTuned) -> None:
        if self._stop.made or time.monotonic() - self._saved_at >= self._seconds_between_saves:
            self._save(trial)
        if self._stop.made:
            raise StoppedBySignal(self.description)

    def _save(self, trial: FineTuned | None) -> None:
        """Save the runs that have ended and the one under way, None between two."""
        best = {f"best.{name}": value for name, value in self._best.items()}
        under_way = {f"trial.{name}": value for name, value in trial.tensors().items()} if trial else {}
        standing = {
            "records": [asdict(record) | {"run": record.run.model_dump()} for record in self._records],
            "step": self._step,
            "trial": trial.standing() if trial else None,
        }
        save_checkpoint(self.checkpoint, self.fingerprint, best | under_way, standing)
        self._saved_at = time.monotonic()

    def _taken_up(self) -> FineTuned | None:
        """Restore what was saved; the run under way, None where none was."""
        saved = load_checkpoint(self.checkpoint, self.fingerprint)
        if saved is None:
            return None
        records = saved.state["records"]
        self._records = [RunRecord(**{**record, "run": ProbeRun(**record["run"])}) for record in records]
        self._best = {name: value.to(self.device) for name, value in saved.part("best.").items()}
        self._step = saved.state["step"]
        if saved.state["trial"] is None:
            return None
        trial = self._new_trial()
        trial.restore(Checkpoint(saved.part("trial."), None), saved.state["trial"])
        place = trial.epochs + 1, self._step + 1
        logger.info("%s: fine-tuning goes on with run %s, epoch %d, step %d", self.description, trial.run.id, *place)
        return trial
