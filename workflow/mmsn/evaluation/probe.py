"""One linear head on a frozen encoder."""

import torch
from torch import Tensor, nn

from mmsn.evaluation.settings import ProbeRun, ProtocolSettings
from mmsn.evaluation.trial import Trial
from mmsn.models.supervised import masked_bce
from mmsn.randomness import derived_seed


class Probe(Trial):
    """A linear head `[D] -> [L]` in training."""

    def __init__(
        self, run: ProbeRun, settings: ProtocolSettings, width: int, labels: int, seed: int, device: torch.device
    ) -> None:
        self.head = new_head(run, width, labels, seed).to(device)
        optimizer = torch.optim.Adam(self.head.parameters(), lr=run.learning_rate, weight_decay=0.0)
        super().__init__(run, settings, self.head, optimizer)

    def learn(self, features: Tensor, targets: Tensor) -> None:
        """One Adam step on features `[B, D]` and targets `[B, L]`."""
        loss = masked_bce(self.head(features), targets)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    @torch.no_grad()
    def scores(self, features: Tensor) -> Tensor:
        """Probabilities `[N, L]` for `[N, D]` with the weights as they are now."""
        return torch.sigmoid(self.head(features))


def new_head(run: ProbeRun, width: int, labels: int, seed: int) -> nn.Linear:
    """A head with its first weights: the same whether a run is trained alone or beside others."""
    torch.manual_seed(derived_seed(seed, "probe", run.id))
    return nn.Linear(width, labels)
