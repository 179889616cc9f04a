"""Ten steps of each method as the released code takes them, written with lightly's modules.

Two epochs of five steps, so that the learning rate falls once, DINO's last layer thaws and its momentum moves. Views,
noise and EHR rows are drawn; the weights are too, the target's apart from the anchor's, as they are amid a training.
"""

import copy
import warnings
from typing import Final

import torch
from torch import Tensor, nn

from tests.golden import drawn
from tests.golden.oracle import (
    DINOLoss,
    MSNLoss,
    backbone,
    cosine_schedule,
    decoder,
    dino_head,
    kept_and_masked,
    msn_head,
    utils,
    with_drawn_weights,
)

Views = dict[str, Tensor]


class Msn(nn.Module):
    """Vanilla MSN: each group of anchors passes through the head on its own."""

    learning_rate, weight_decay = 1e-4, 1e-3

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.head = backbone(), msn_head()
        self.target_encoder, self.target_head = copy.deepcopy(self.encoder), copy.deepcopy(self.head)
        utils.deactivate_requires_grad(self.target_encoder)
        utils.deactivate_requires_grad(self.target_head)
        self.prototypes = nn.Linear(drawn.WIDTH, 1024, bias=False).weight
        self.criterion = MSNLoss()

    def loss(self, views: Views, ehr: Tensor, step: int, epoch: int) -> Tensor:
        utils.update_momentum(self.encoder, self.target_encoder, 0.996)
        utils.update_momentum(self.head, self.target_head, 0.996)
        targets = self.target_head(self.target_encoder(views["target"]))
        return self.criterion(self.anchors(views, ehr, step), targets, self.prototypes.data)

    def anchors(self, views: Views, ehr: Tensor, step: int) -> Tensor:
        return torch.cat([self.head(self.encoded(views[name], step)) for name in ("random", "focal")])

    def encoded(self, images: Tensor, step: int) -> Tensor:
        tokens = (images.shape[-1] // drawn.PATCH) ** 2  # the class token is not counted
        return self.encoder(images, idx_keep=kept_and_masked(step, len(images), tokens, 0.15)[0])

    def after_backward(self, epoch: int) -> None:
        """Leave the gradients alone."""


class MsnEhr(Msn):
    """MSN+EHR: every anchor with its image's EHR, all through the head together."""

    def __init__(self) -> None:
        super().__init__()
        self.f_ehr = nn.Linear(drawn.EHR_COLUMNS, 128)
        self.g = nn.Linear(128 + drawn.WIDTH, drawn.WIDTH)

    def anchors(self, views: Views, ehr: Tensor, step: int) -> Tensor:
        encoded = torch.cat([self.encoded(views[name], step) for name in ("random", "focal")])
        record = self.f_ehr(ehr).repeat((1 + drawn.FOCAL_VIEWS, 1))
        return self.head(self.g(torch.cat((encoded, record), 1)))


class Dino(nn.Module):
    """DINO: the teacher's head has weights of its own, and the momentum is taken on a schedule over 10 epochs."""

    learning_rate, weight_decay = 1e-5, 1e-4

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.head = backbone(), dino_head(freeze_last_layer=1)
        self.target_encoder, self.target_head = copy.deepcopy(self.encoder), dino_head()
        utils.deactivate_requires_grad(self.target_encoder)
        utils.deactivate_requires_grad(self.target_head)
        self.criterion = DINOLoss(output_dim=drawn.DINO_HEAD["outputs"], warmup_teacher_temp_epochs=5)

    def loss(self, views: Views, ehr: Tensor, step: int, epoch: int) -> Tensor:
        momentum = cosine_schedule(epoch, 10, 0.996, 1)
        utils.update_momentum(self.encoder, self.target_encoder, momentum)
        utils.update_momentum(self.head, self.target_head, momentum)
        seen = [views["target"], views["random"]]
        teacher = [self.target_head(self.target_encoder(view)) for view in seen]
        student = [self.head(self.encoder(view)) for view in [*seen, *views["focal"].split(drawn.IMAGES)]]
        return self.criterion(teacher, student, epoch=epoch)

    def after_backward(self, epoch: int) -> None:
        self.head.cancel_last_layer_gradients(current_epoch=epoch)


class Mae(nn.Module):
    """MAE: the class token counts as one of the tokens of which 60 % are masked."""

    learning_rate, weight_decay = 1e-5, 1e-4

    def __init__(self) -> None:
        super().__init__()
        self.encoder = backbone()
        self.decoder = decoder(self.encoder.seq_length)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, drawn.DECODER["width"]))
        self.criterion = nn.MSELoss()

    def loss(self, views: Views, ehr: Tensor, step: int, epoch: int) -> Tensor:
        images, tokens = views["target"], self.encoder.seq_length
        keep, masked = kept_and_masked(step, len(images), tokens, 0.6)
        embedded = self.decoder.embed(self.encoder.encode(images, keep))
        whole = utils.set_at_index(utils.repeat_token(self.mask_token, (len(images), tokens)), keep, embedded)
        predicted = self.decoder.predict(utils.get_at_index(self.decoder.decode(whole), masked))
        return self.criterion(predicted, utils.get_at_index(utils.patchify(images, drawn.PATCH), masked - 1))

    def after_backward(self, epoch: int) -> None:
        """Leave the gradients alone."""


METHODS: Final[dict[str, type[nn.Module]]] = {"msn": Msn, "msn+ehr": MsnEhr, "dino": Dino, "mae": Mae}


def answers() -> dict[str, Tensor]:
    """Losses of both precisions, and how far each parameter moved in float64."""
    warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
    found: dict[str, Tensor] = {}
    for name, method in METHODS.items():
        found[f"{name}.losses.float32"], _ = ten_steps(method, torch.float32)
        found[f"{name}.losses.float64"], moved = ten_steps(method, torch.float64)
        found |= {f"{name}.moved.{parameter}": distance.float() for parameter, distance in moved.items()}
    return found


def ten_steps(method: type[nn.Module], dtype: torch.dtype) -> tuple[Tensor, dict[str, Tensor]]:
    """Losses `[10]`, and the distance from first to last value of each parameter that moved."""
    network = with_drawn_weights(method()).to(dtype)
    first = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    optimizer = torch.optim.AdamW(network.parameters(), lr=network.learning_rate, weight_decay=network.weight_decay)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, eta_min=0, T_max=drawn.EPOCHS)
    losses = []
    for step in range(drawn.EPOCHS * drawn.STEPS_PER_EPOCH):
        epoch, place = divmod(step, drawn.STEPS_PER_EPOCH)
        views = {name: torch.from_numpy(view).to(dtype) for name, view in drawn.views(step).items()}
        ehr = torch.from_numpy(drawn.ehr()).to(dtype)[place * drawn.IMAGES : (place + 1) * drawn.IMAGES]
        loss = network.loss(views, ehr, step, epoch)
        optimizer.zero_grad()
        loss.backward()
        network.after_backward(epoch)
        optimizer.step()
        losses.append(loss.detach().double())
        if place == drawn.STEPS_PER_EPOCH - 1:
            scheduler.step()
    moved = {name: parameter.detach() - first[name] for name, parameter in network.named_parameters()}
    return torch.stack(losses), {name: distance for name, distance in moved.items() if distance.any()}
