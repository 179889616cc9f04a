"""The linear protocol's own probe, for attributes of the patient in place of findings, on stored embeddings."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mmsn.evaluation.settings import LinearSettings, ProbeRun
from mmsn.evaluation.trial import Trial
from mmsn.evaluation.validation import macro_auroc
from mmsn.models.supervised import masked_bce
from mmsn.randomness import derived_seed, generator
from mmsn.statistics.ranking import Floats

Embeddings = NDArray[np.float32]


@dataclass(frozen=True)
class Probed:
    """Embeddings [N, D] and attributes [N, A] of 1, 0, NaN (unknown) of one split."""

    embeddings: Embeddings
    attributes: Floats


def attribute_scores(
    train: Probed, validate: Probed, test: Embeddings, settings: LinearSettings, seed: int
) -> tuple[Floats, ProbeRun]:
    """Probabilities [Q, A] of test images' attributes, and the run that was best on validation.

    One linear layer `[D] -> [A]` in each of the protocol's runs: the same loss, optimiser, learning rates, schedules,
    batch size, early stop and choice by macro AUROC on validation as for the findings. But images are seen in their
    test view in every epoch, because embeddings are stored, where the protocol augments training images.

    Args:
        train: of training images.
        validate: of validation images; at least one attribute with both values.
        test: [Q, D].
        settings: of the linear protocol.
        seed: of first weights and order.
    """
    with _one_torch_thread():
        trials = [_AttributeProbe(run, settings, train, seed) for run in settings.runs]
        features, targets = torch.from_numpy(train.embeddings), torch.from_numpy(train.attributes.astype(np.float32))
        for epoch in range(settings.max_epochs):
            active = [trial for trial in trials if not trial.stopped]
            if not active:
                break
            order = torch.randperm(len(features), generator=generator("cpu", seed, "attribute order", epoch))
            for rows in order.split(settings.batch_size):
                batch, known = features[rows], targets[rows]
                for trial in active:
                    trial.learn(batch, known)
            for trial in active:
                trial.close_epoch(
                    macro_auroc(validate.attributes.astype(np.float32), trial.scores(validate.embeddings))
                )
        chosen = max(trials, key=lambda trial: trial.best_auroc)
        chosen.restore_best()
        return chosen.scores(test).astype(np.float64), chosen.run


class _AttributeProbe(Trial):
    def __init__(self, run: ProbeRun, settings: LinearSettings, train: Probed, seed: int) -> None:
        torch.manual_seed(derived_seed(seed, "attributes", run.id))
        self.head = nn.Linear(train.embeddings.shape[1], train.attributes.shape[1])
        optimizer = torch.optim.Adam(self.head.parameters(), lr=run.learning_rate, weight_decay=0.0)
        super().__init__(run, settings, self.head, optimizer)

    def learn(self, features: Tensor, targets: Tensor) -> None:
        """One Adam step on features `[B, D]` and targets `[B, A]`."""
        loss = masked_bce(self.head(features), targets)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    @torch.no_grad()
    def scores(self, features: Embeddings) -> NDArray[np.float32]:
        """Probabilities `[N, A]`."""
        scored: NDArray[np.float32] = torch.sigmoid(self.head(torch.from_numpy(features))).numpy()
        return scored


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    """Steps this small are slower on several threads, and not the same to the bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
