"""How much a model computes for an image, relative to another: multiply-adds of transformer blocks, no more."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_SIZES: Final = {"tiny": (192, 12), "small": (384, 12), "base": (768, 12), "large": (1024, 24), "huge": (1280, 32)}
"""Width and depth that a timm name stands for."""
FORWARD_AND_BACKWARD: Final = 3
"""A backward pass computes twice as much as a forward pass."""


@dataclass(frozen=True)
class Shape:
    """What decides how much a vision transformer computes."""

    width: int
    depth: int
    patch: int

    def forward(self, side: int, kept: float = 1.0) -> float:
        """Multiply-adds of one image of `side` pixels with a share `kept` of its patches."""
        tokens = kept * (side // self.patch) ** 2 + 1
        return self.depth * tokens * (12 * self.width**2 + 2 * tokens * self.width)

    @property
    def parameters(self) -> int:
        """Weights of blocks and patch embedding."""
        return self.depth * 12 * self.width**2 + 3 * self.patch**2 * self.width


def shape_of(backbone: Mapping[str, Any]) -> Shape:
    """The shape of a configured backbone; of an unknown architecture that of ViT-S."""
    options, name = backbone.get("options") or {}, str(backbone.get("architecture", ""))
    width, depth = next((size for word, size in _SIZES.items() if f"_{word}_" in name), _SIZES["small"])
    named = re.search(r"_patch(\d+)", name)
    patch = int(named[1]) if named else 16
    return Shape(
        int(options.get("embed_dim", width)),
        int(options.get("depth", depth)),
        int(options.get("patch_size", patch)),
    )


def training_step(shape: Shape, family: str, settings: Mapping[str, Any]) -> float:
    """Multiply-adds of one image's step: target forward, anchors or student forward and backward."""
    views = settings["views"]
    if family.startswith("supervised"):
        return FORWARD_AND_BACKWARD * shape.forward(views["crop"])
    whole = shape.forward(views["random_size"])
    focal = views["focal_views"] * shape.forward(views["focal_size"], _kept(family, settings))
    if family == "dino":
        return 2 * whole + FORWARD_AND_BACKWARD * (2 * whole + focal)
    if family == "mae":
        decoder = Shape(settings["decoder_width"], settings["decoder_depth"], shape.patch)
        seen = shape.forward(views["random_size"], 1 - settings["mask_ratio"])
        return FORWARD_AND_BACKWARD * (seen + decoder.forward(views["random_size"]))
    random = views["random_views"] * shape.forward(views["random_size"], _kept(family, settings))
    return whole + FORWARD_AND_BACKWARD * (random + focal)


def _kept(family: str, settings: Mapping[str, Any]) -> float:
    return 1.0 if family == "dino" else 1.0 - float(settings.get("mask_ratio", 0.0))
