"""One linear head on a frozen encoder."""

import torch
from torch import Tensor

from mmsn.evaluation.readings import CLASS, Reading, ReadingHead, Seen, make_head
from mmsn.evaluation.settings import ProbeRun, ProtocolSettings
from mmsn.evaluation.trial import Trial
from mmsn.models.supervised import masked_bce
from mmsn.randomness import derived_seed


class Probe(Trial):
    """A linear head in training.

    Args:
        run: schedule and learning rate.
        settings: of the protocol.
        head: of `new_head`.
        device: to train on.
    """

    def __init__(self, run: ProbeRun, settings: ProtocolSettings, head: ReadingHead, device: torch.device) -> None:
        self.reading, self.head = head.reading, head.to(device).linear
        super().__init__(
            run, settings, head, torch.optim.Adam(head.parameters(), lr=run.learning_rate, weight_decay=0.0)
        )

    @property
    def id(self) -> str:
        """Its reading and run."""
        return f"{self.reading.id}.{self.run.id}"

    def learn(self, seen: Seen, targets: Tensor) -> None:
        """One Adam step on what is seen of a batch and its targets `[B, L]`."""
        loss = masked_bce(self.module(seen), targets)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    @torch.no_grad()
    def scores(self, seen: Seen) -> Tensor:
        """Probabilities `[B, L]` with the weights as they are now."""
        return torch.sigmoid(self.module(seen))


def new_head(
    run: ProbeRun, width: int, labels: int, seed: int, reading: Reading = CLASS, heads: int = 1, columns: int = 0
) -> ReadingHead:
    """A head with its first weights: the same whether a run is trained alone or beside others.

    Args: as in `make_head`; the weights depend on `seed`, the run and the reading.
    """
    address = (seed, "probe", run.id) if reading == CLASS else (seed, "probe", run.id, reading.id)
    torch.manual_seed(derived_seed(*address))
    return make_head(reading, width, heads, columns, labels)
