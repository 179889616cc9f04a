"""Views of one radiograph and the patches that masking leaves of them (the paper's figure 2)."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mmsn.figures.page import new_page
from mmsn.images.masks import keep_indices
from mmsn.images.settings import ViewSettings
from mmsn.images.views import IMAGENET, PretrainViews

_ACROSS: Final = 5
_LARGE_INCHES: Final = 1.75
_SMALL_INCHES: Final = 1.45
_FOCAL_SHOWN: Final = 10
_HIDDEN: Final = np.array([0.90, 0.62, 0.0])  # Okabe and Ito's orange: no grey level of a radiograph looks like it


@dataclass(frozen=True)
class Masking:
    """How the study masks anchor views; keys of `pretrain`."""

    mask_ratio: float
    mask_random: bool
    mask_focal: bool
    class_token_aware: bool


@dataclass(frozen=True)
class MaskedView:
    """One view as the encoder gets it."""

    grey: NDArray[np.float64]
    """[S, S] in 0..1."""
    kept: NDArray[np.bool_]
    """[S / patch, S / patch] patches that the encoder sees."""

    @property
    def counted(self) -> str:
        """165 of 196 patches; the class token comes on top."""
        return f"{int(self.kept.sum())} of {self.kept.size} patches"


@dataclass(frozen=True)
class DrawnViews:
    """The views of one image."""

    target: MaskedView
    random: tuple[MaskedView, ...]
    focal: tuple[MaskedView, ...]


def masked_views(image: NDArray[np.uint8], views: ViewSettings, masking: Masking, patch: int, seed: int) -> DrawnViews:
    """Cut the views of one radiograph and draw their masks, as a step of pretraining does.

    Args:
        image: [S, S] grey levels.
        views: sizes, scales and numbers of views.
        masking: ratio, and which views are masked.
        patch: side of a patch in pixels.
        seed: of crops and masks.
    """
    draws = torch.Generator().manual_seed(seed)
    cut = PretrainViews(views)(torch.from_numpy(image.copy())[None], draws)
    random = _masked(cut.random, masking, masking.mask_random, patch, draws)
    focal = _masked(cut.focal, masking, masking.mask_focal, patch, draws)
    return DrawnViews(_masked(cut.target, masking, False, patch, draws)[0], random, focal)


def _masked(
    views: torch.Tensor, masking: Masking, masked: bool, patch: int, draws: torch.Generator
) -> tuple[MaskedView, ...]:
    grid = views.shape[-1] // patch
    kept = torch.ones(len(views), grid * grid, dtype=torch.bool)
    if masked and masking.mask_ratio and len(views):
        tokens = keep_indices(len(views), grid * grid, masking.mask_ratio, masking.class_token_aware, draws)
        kept = torch.zeros_like(kept).scatter(1, tokens[:, 1:] - 1, True)
    grey = (views[:, 0] * IMAGENET.std[0] + IMAGENET.mean[0]).clamp(0, 1).double().numpy()
    return tuple(
        MaskedView(picture, mask.reshape(grid, grid)) for picture, mask in zip(grey, kept.numpy(), strict=True)
    )


def coloured(view: MaskedView) -> NDArray[np.float64]:
    """The view as RGB [S, S, 3]: hidden patches are flat orange."""
    patch = len(view.grey) // len(view.kept)
    seen = np.kron(view.kept, np.ones((patch, patch), dtype=np.bool_))[..., None]
    return np.asarray(np.where(seen, np.repeat(view.grey[..., None], 3, axis=2), _HIDDEN))


def draw_masking(
    image: NDArray[np.uint8], found: DrawnViews, masking: Masking, origin: str, title: str, note: str
) -> Figure:
    """Draw the radiograph, the target view, the random views and up to ten focal views with their masks.

    Args:
        image: [S, S] grey levels.
        found: its views.
        masking: how they were masked.
        origin: where the radiograph is from, in a sentence.
        title: of the figure.
        note: what makes the data special.
    """
    focal = found.focal[:_FOCAL_SHOWN]
    rows = -(-len(focal) // _ACROSS)
    left_out = len(found.focal) - len(focal)
    foot = [
        origin,
        "Orange patches are dropped before the encoder; the class token is always kept and not counted.",
        *([] if masking.class_token_aware else ["As released, the last patch of a masked view is never kept."]),
        *([f"{left_out} further focal views are not shown."] if left_out else []),
    ]
    figure = new_page(_LARGE_INCHES + rows * _SMALL_INCHES, [title, note], foot)
    above, below = np.asarray(figure.subfigures(2, 1, height_ratios=[_LARGE_INCHES, max(rows, 0.01) * _SMALL_INCHES]))
    large = [("radiograph", np.repeat(image[..., None] / 255, 3, axis=2))]
    large.append((f"target view: {found.target.counted}", coloured(found.target)))
    large += [(f"random anchor view: {view.counted}", coloured(view)) for view in found.random[:2]]
    for axes, (name, picture) in zip(above.subplots(1, len(large)), large, strict=True):
        _show(axes, name, picture)
    if focal:
        panels = below.subplots(rows, _ACROSS, squeeze=False).ravel()
        for place, axes in enumerate(panels):
            if place < len(focal):
                _show(axes, f"focal view: {focal[place].counted}", coloured(focal[place]))
            else:
                axes.set_axis_off()
    return figure


def _show(axes: Axes, name: str, picture: NDArray[np.float64]) -> None:
    axes.imshow(picture, interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(name, fontsize=6)
