"""Attention maps of the last layer, the reference beside one other method (the paper's figure 4)."""

from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from mmsn.figures.attention import AttentionMaps
from mmsn.figures.page import new_page, words_instead
from mmsn.reporting.figure_files import COLOURS, COLUMN_INCHES, TWO_COLUMNS_INCHES

_ROW_INCHES: Final = 1.5
_HEAD_INCHES: Final = 0.98
_LABEL_INCHES: Final = 0.4
_MAP: Final = "cividis"
"""From blue to yellow, alike for colour-blind readers and rising in lightness, so that it survives grey print."""
_OPACITY: Final = 0.7
_ENDS: Final = (1.0, 99.0)
"""Percentiles of all maps' values where the scale ends."""
_STYLES: Final = (("grey", "s"), ("blue", "o"))
_NARROW: Final = 0.9
_NO_IMAGE: Final = "no test image has any of the labels"


def draw_attention(maps: AttentionMaps, title: str, note: str) -> Figure:
    """Draw a row for every image: the radiograph, each method's map with its heads averaged, and the scores."""
    if not len(maps.images):
        return words_instead([title, note], _NO_IMAGE)
    mean = maps.patches.mean(axis=2)
    scale = _scale(mean)
    foot = [*_sentences(maps), "Heads averaged. Right: probability by the linear protocol; bold labels are present."]
    rows, methods = len(maps.images), len(maps.methods)
    figure = new_page(rows * _ROW_INCHES + 0.35, [title, note], foot, legend_beside=True)
    panels = figure.subplots(rows, methods + 2, squeeze=False, width_ratios=[1] * (methods + 1) + [_NARROW])
    for place, row in enumerate(panels):
        _show(row[0], maps.images[place])
        row[0].set_ylabel(maps.chosen_for[place])
        for axes, own in zip(row[1:-1], mean[:, place], strict=True):
            _overlay(axes, maps.images[place], own, scale)
        _draw_scores(row[-1], maps, place, last=place == rows - 1)
    for axes, name in zip(panels[0], ("radiograph", *maps.methods, "scores"), strict=True):
        axes.set_title(name)
    _colour_bar(figure, panels[:, 1:-1], scale)
    figure.legend(handles=_legend(maps), loc="outside upper right", ncols=methods)
    return figure


def draw_heads(maps: AttentionMaps, title: str, note: str) -> Figure:
    """Draw a row for every image and method: the radiograph, then a map for each head of the last layer."""
    if not len(maps.images):
        return words_instead([title, note], _NO_IMAGE)
    scale = _scale(maps.patches)
    rows, heads = len(maps.images) * len(maps.methods), maps.attention.shape[2]
    width = min(TWO_COLUMNS_INCHES, max(_LABEL_INCHES + (heads + 1) * _HEAD_INCHES, COLUMN_INCHES))
    figure = new_page(rows * _HEAD_INCHES + 0.6, [title, note], _sentences(maps), width)
    panels = figure.subplots(rows, heads + 1, squeeze=False)
    for place, row in enumerate(panels):
        image, method = divmod(place, len(maps.methods))
        _show(row[0], maps.images[image])
        row[0].set_ylabel(f"{maps.chosen_for[image] if method == 0 else ''}\n{maps.methods[method]}", fontsize=6)
        for axes, own in zip(row[1:], maps.patches[method, image], strict=True):
            _overlay(axes, maps.images[image], own, scale)
    for number, axes in enumerate(panels[0]):
        axes.set_title(f"head {number}" if number else "radiograph")
    _colour_bar(figure, panels, scale)
    return figure


def _sentences(maps: AttentionMaps) -> list[str]:
    return [
        "What the class token attends to in the last layer; one scale for all maps. Each row: a test image drawn at "
        f"random among those with the label at its left. {maps.how}",
    ]


def _scale(values: NDArray[np.float32]) -> Normalize:
    low, high = (float(end) for end in np.percentile(values, _ENDS))
    return Normalize(low, high if high > low else low + 1)


def _show(axes: Axes, image: NDArray[np.uint8]) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=255)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)


def _overlay(axes: Axes, image: NDArray[np.uint8], own: NDArray[np.float32], scale: Normalize) -> None:
    _show(axes, image)
    side = len(image)
    extent = (-0.5, side - 0.5, side - 0.5, -0.5)
    axes.imshow(own, cmap=_MAP, norm=scale, alpha=_OPACITY, extent=extent, interpolation="nearest")


def _colour_bar(figure: Figure, panels: Any, scale: Normalize) -> None:
    bar = figure.colorbar(
        ScalarMappable(scale, _MAP), ax=panels, location="bottom", shrink=0.6, aspect=45, pad=0.01, extend="both"
    )
    bar.set_label("attention to a patch, as a multiple of uniform attention")


def _draw_scores(axes: Axes, maps: AttentionMaps, image: int, last: bool) -> None:
    places = np.arange(len(maps.labels))
    axes.hlines(places, 0, 1, color="#dddddd", linewidth=0.6, zorder=1)
    for method, (colour, marker) in zip(range(len(maps.methods)), _STYLES, strict=False):
        axes.plot(maps.scores[method, image], places, marker, color=COLOURS[colour], markersize=3.4, markeredgewidth=0)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(len(places) - 0.5, -0.5)
    axes.set_xticks([0, 0.5, 1])
    axes.tick_params(labelbottom=last)
    axes.yaxis.tick_right()
    axes.set_yticks(places, maps.labels)
    for text, target in zip(axes.get_yticklabels(), maps.targets[image], strict=True):
        text.set_fontsize(6)
        text.set_fontweight("bold" if target == 1 else "normal")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    if last:
        axes.set_xlabel("probability")


def _legend(maps: AttentionMaps) -> list[Line2D]:
    return [
        Line2D([], [], color=COLOURS[colour], marker=marker, linewidth=0, markersize=3.4, label=name)
        for name, (colour, marker) in zip(maps.methods, _STYLES, strict=False)
    ]
