"""An encoder and a linear head that are trained together."""

from collections.abc import Iterator

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from mmsn.evaluation.probe import new_head
from mmsn.evaluation.settings import FinetuneSettings, ProbeRun
from mmsn.evaluation.trial import Trial
from mmsn.models.supervised import masked_bce
from mmsn.models.vit import class_embedding
from mmsn.training.precision import autocast, computed_precision


class Classifier(nn.Module):
    """A linear head on the class token after the final norm, and on the encoded EHR beside it where there is one."""

    def __init__(self, encoder: VisionTransformer, head: nn.Linear) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, views: Tensor, ehr: Tensor | None = None) -> Tensor:
        """`[B, 3, S, S]`, and `[B, F]` where the head reads a record -> logits `[B, L]`."""
        token = class_embedding(self.encoder, views)
        return self.head(token if ehr is None else torch.cat([token, ehr.to(token)], dim=1))


class FineTuned(Trial):
    """An encoder with a new head in training; the encoder is the one given, not a copy.

    Adam without weight decay and the head's first weights are those of the linear protocol. With `columns` the head
    reads as many of encoded EHR beside the class token.
    """

    def __init__(
        self,
        run: ProbeRun,
        settings: FinetuneSettings,
        encoder: VisionTransformer,
        labels: int,
        seed: int,
        device: torch.device,
        columns: int = 0,
    ) -> None:
        head = new_head(run, encoder.embed_dim, labels, seed, columns=columns).linear
        self.model = Classifier(encoder, head).to(device)
        self.device, self.precision = device, computed_precision(settings.precision, device)
        groups = parameter_groups(self.model, run.learning_rate, settings.layer_decay)
        super().__init__(run, settings, self.model, torch.optim.Adam(groups, weight_decay=0.0, fused=True))

    def learn(self, views: Tensor, targets: Tensor, ehr: Tensor | None = None) -> None:
        """One Adam step on views `[B, 3, S, S]`, targets `[B, L]` and encoded EHR `[B, F]` where the head reads it."""
        self.model.train()
        loss = masked_bce(self._logits(views, ehr), targets)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    @torch.no_grad()
    def scores(self, views: Tensor, ehr: Tensor | None = None) -> Tensor:
        """Probabilities `[B, L]` with the weights as they are now."""
        self.model.eval()
        return torch.sigmoid(self._logits(views, ehr))

    def give_up(self) -> None:
        """End after an epoch without finite scores; what was best before stays."""
        self.epochs += 1
        self.stopped = True

    def _logits(self, views: Tensor, ehr: Tensor | None) -> Tensor:
        with autocast(self.device, self.precision):
            logits: Tensor = self.model(views, ehr)
        return logits.float()


def parameter_groups(model: Classifier, learning_rate: float, decay: float) -> list[dict[str, object]]:
    """Groups for an optimiser, one a learning rate, the lowest layers first.

    The head and the final norm have the whole rate, the last block `decay` times that, the block below it `decay`
    squared and so on; patch embedding, positions and class token lie below the first block (facebookresearch/mae,
    `util/lr_decay.py`). With `decay` 1 there is one group.
    """
    groups: dict[float, list[nn.Parameter]] = {}
    for depth, parameter in _by_depth(model):
        groups.setdefault(learning_rate * decay**depth, []).append(parameter)
    return [{"params": groups[rate], "lr": rate} for rate in sorted(groups)]


def _by_depth(model: Classifier) -> Iterator[tuple[int, nn.Parameter]]:
    """Each trained parameter with how many layers lie above its own: 0 for the head and the final norm."""
    blocks = len(model.encoder.blocks)
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if name.startswith("encoder.blocks."):
            yield blocks - int(name.split(".")[2]), parameter
        else:
            yield 0 if name.startswith(("head.", "encoder.norm.")) else blocks + 1, parameter
