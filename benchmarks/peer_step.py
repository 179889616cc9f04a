"""The released code's training step of vanilla MSN: what ours is measured against.

nyuad-cai/CXR-EHR-MSN (`src/models/baselinemodels.py`) builds it from lightly 1.4.21. Here it stands once, and takes
its modules either from `recreated`, which needs torchvision alone and computes what lightly's compute with the same
operations, or from `lightly`, which are lightly's own.
"""

import copy
import importlib
import importlib.util
import math
import sys
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.vision_transformer import VisionTransformer

from mmsn.images.views import Views

PROTOTYPES = 1024
MOMENTUM = 0.996
MASKED = 0.15
TEMPERATURE = 0.1


class Vit(NamedTuple):
    """Sizes of an encoder and of its views."""

    title: str
    width: int
    depth: int = 12
    heads: int = 6
    patch: int = 16
    side: int = 224
    focal_side: int = 96

    @property
    def arguments(self) -> dict[str, int]:
        """Of torchvision's VisionTransformer."""
        return {
            "image_size": self.side,
            "patch_size": self.patch,
            "num_layers": self.depth,
            "num_heads": self.heads,
            "hidden_dim": self.width,
            "mlp_dim": 4 * self.width,
        }


class Modules(NamedTuple):
    """What the step is built from."""

    encoder: Callable[[Vit], nn.Module]
    """Called with images and the tokens to keep."""
    head: Callable[[int], nn.Module]
    loss: Callable[[Tensor, Tensor, Tensor], Tensor]
    """Of anchors, targets, prototypes."""
    mask: Callable[[int, int, torch.device], Tensor]
    """Tokens to keep of (images, tokens)."""
    follow: Callable[[nn.Module, nn.Module], None]
    """Move the second towards the first."""


class PeerTraining:
    """Network, AdamW and mixed precision as Lightning's `16-mixed` has them."""

    def __init__(self, vit: Vit, modules: Modules, device: torch.device, precision: str = "fp32") -> None:
        torch.manual_seed(0)
        self.network = ReleasedMsn(vit, modules).to(device).train()
        trained = [p for p in self.network.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=1e-3)
        kinds = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
        self.autocast = partial(torch.autocast, device.type, kinds[precision], enabled=precision != "fp32")
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")

    def optimise(self, views: Views) -> Tensor:
        """One step; its loss."""
        with self.autocast():
            loss = self.network(views)
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.detach()


class ReleasedMsn(nn.Module):
    """Random and focal anchors go through encoder and head apart; the prototypes get no gradient."""

    def __init__(self, vit: Vit, modules: Modules) -> None:
        super().__init__()
        self.patch, self.modules_used = vit.patch, modules
        self.target, self.target_head = modules.encoder(vit), modules.head(vit.width)
        self.anchor, self.anchor_head = copy.deepcopy(self.target), copy.deepcopy(self.target_head)
        self.target.requires_grad_(False)
        self.target_head.requires_grad_(False)
        self.prototypes = nn.Linear(vit.width, PROTOTYPES, bias=False).weight

    def forward(self, views: Views) -> Tensor:
        self.modules_used.follow(self.anchor, self.target)
        self.modules_used.follow(self.anchor_head, self.target_head)
        targets = self.target_head(self.target(views.target))
        anchors = torch.cat([self.masked(views.random), self.masked(views.focal)])
        return self.modules_used.loss(anchors, targets, self.prototypes.data)

    def masked(self, images: Tensor) -> Tensor:
        patches = (images.shape[-1] // self.patch) ** 2  # the class token is not counted
        keep = self.modules_used.mask(len(images), patches, images.device)
        return self.anchor_head(self.anchor(images, keep))


class Encoder(VisionTransformer):
    """torchvision's ViT on views of any size; tokens are dropped once all of them are embedded."""

    def forward(self, images: Tensor, keep: Tensor | None = None) -> Tensor:
        patches = self.conv_proj(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(len(images), -1, -1), patches], dim=1)
        tokens = tokens + self.positions(patches.shape[1])
        if keep is not None:
            tokens = tokens.gather(1, keep[..., None].expand(-1, -1, tokens.shape[-1]))
        return self.encoder.ln(self.encoder.layers(self.encoder.dropout(tokens)))[:, 0]

    def positions(self, count: int) -> Tensor:
        learned = self.encoder.pos_embedding
        own = learned.shape[1] - 1
        if count == own:
            return learned
        plane = learned[:, 1:].transpose(1, 2).unflatten(2, (math.isqrt(own), -1))
        resized = F.interpolate(plane, scale_factor=math.sqrt(count / own), mode="bicubic")
        return torch.cat([learned[:, :1], resized.flatten(2).transpose(1, 2)], dim=1)


def _head(width: int) -> nn.Module:
    hidden = 4 * width
    layers = [nn.Linear(width, hidden, bias=False), nn.BatchNorm1d(hidden), nn.GELU()]
    layers += [nn.Linear(hidden, hidden, bias=False), nn.BatchNorm1d(hidden), nn.GELU()]
    return nn.Sequential(*layers, nn.Linear(hidden, width))


def _mask(images: int, tokens: int, device: torch.device) -> Tensor:
    noise = torch.rand(images, tokens, device=device)
    noise[:, 0] = -1
    return noise.argsort(dim=1)[:, : int(tokens * (1 - MASKED))]


def _follow(source: nn.Module, target: nn.Module) -> None:
    for followed, learned in zip(target.parameters(), source.parameters(), strict=True):
        followed.data = followed.data * MOMENTUM + learned.data * (1 - MOMENTUM)


def _loss(anchors: Tensor, targets: Tensor, prototypes: Tensor) -> Tensor:
    """Cross entropy and mean-entropy maximisation, by logarithms of powers of probabilities as lightly does."""
    anchors, targets, prototypes = (F.normalize(rows, dim=1) for rows in (anchors, targets, prototypes))
    predicted = F.softmax(anchors @ prototypes.T / TEMPERATURE, dim=1)
    with torch.no_grad():
        wanted = F.softmax(targets @ prototypes.T / TEMPERATURE, dim=1) ** 4
        wanted = _sinkhorn(wanted / wanted.sum(dim=1, keepdim=True))
        wanted = wanted.repeat(len(anchors) // len(targets), 1)
    mean = predicted.mean(dim=0)
    disorder = (mean ** (-mean)).log().sum()
    return (predicted ** (-wanted)).log().sum(dim=1).mean() + math.log(len(mean)) - disorder


def _sinkhorn(wanted: Tensor) -> Tensor:
    images, prototypes = wanted.shape
    mass = wanted.T / wanted.sum()
    for _ in range(3):
        mass /= mass.sum(dim=1, keepdim=True)
        mass /= prototypes
        mass /= mass.sum(dim=0, keepdim=True)
        mass /= images
    return (mass * images).T


def recreated() -> Modules:
    """The step's modules without lightly."""
    norm = partial(nn.LayerNorm, eps=1e-6)
    return Modules(lambda vit: Encoder(**vit.arguments, norm_layer=norm), _head, _loss, _mask, _follow)


def lightly() -> Modules | None:
    """lightly's own, None where it is not installed; without its web client, which wants pydantic 1."""
    found = importlib.util.find_spec("lightly")
    if found is None:
        return None
    setattr(np, "float_", np.float64)  # noqa: B010  (lightly 1.4.21 imports a name that NumPy 2 dropped)
    package = sys.modules["lightly"] = ModuleType("lightly")
    package.__path__ = list(found.submodule_search_locations or [])
    package._torchvision_vit_available = True
    heads, autoencoder, loss, utils = (
        importlib.import_module(f"lightly.{name}")
        for name in ("models.modules.heads", "models.modules.masked_autoencoder", "loss.msn_loss", "models.utils")
    )
    return Modules(
        lambda vit: autoencoder.MAEBackbone(**vit.arguments),
        lambda width: heads.MSNProjectionHead(width, 4 * width, width),
        loss.MSNLoss(),
        lambda images, tokens, device: utils.random_token_mask((images, tokens), MASKED, device=device)[0],
        lambda source, target: utils.update_momentum(source, target, MOMENTUM),
    )
