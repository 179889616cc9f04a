"""t-SNE maps: three groups of labels down, methods across (the paper's figure 3)."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mmsn.figures.page import new_page, rounded, words_instead
from mmsn.figures.small_groups import FEWEST_PATIENTS
from mmsn.figures.tsne_points import GROUPS, TsneFacts
from mmsn.reporting.figure_files import COLOURS, TWO_COLUMNS_INCHES
from mmsn.reporting.number_format import count, percent

_LEGEND_INCHES: Final = 1.3
_WIDEST_INCHES: Final = 2.0
_TEXT_INCHES: Final = 0.38
_COLOURS: Final = ("blue", "orange", "green", "purple", "black")
_NAMES: Final = {
    "silhouette": ("silhouette", 2),
    "davies_bouldin": ("Davies-B.", 1),
    "calinski_harabasz": ("Calinski-H.", 1),
}
_LARGE: Final = 100
"""Numbers from here on need no decimals."""
_INK: Final = 1500.0
"""Area of all markers of a panel together, in square points: fewer points are drawn larger."""


@dataclass(frozen=True)
class TsneMap:
    """One method's map."""

    name: str
    points: pd.DataFrame
    """Rows of `tsne_points.POINTS`."""
    quality: pd.DataFrame
    """Rows of `tsne_points.QUALITY`."""
    facts: TsneFacts


def draw_maps(maps: list[TsneMap], title: str, note: str) -> Figure:
    """Draw every map once for each group of labels; the points of other labels are pale behind them.

    Args:
        maps: of the same images.
        title: of the figure.
        note: what makes the data special.
    """
    facts = maps[0].facts
    drawn = sorted(int(group) for group in maps[0].points["group"].dropna().unique())
    if not drawn:
        return words_instead([title, note], f"no label is the only one of {FEWEST_PATIENTS} training patients' images")
    foot = [
        f"t-SNE (openTSNE {facts.version}, perplexity {facts.perplexity:g}, seed {facts.seed}, "
        f"threads {facts.threads}) of "
        f"{count(facts.images)} training images of {count(facts.patients)} patients with a single label; pale: the "
        "other labels. Axes have no unit, and distances between clusters mean little.",
        f"Below the maps: silhouette, Davies-Bouldin and Calinski-Harabasz of the embeddings themselves, with "
        f"{percent(facts.level)} bootstrap intervals of patients; "
        "higher is better but for Davies-Bouldin.",
        f"Labels of fewer than {FEWEST_PATIENTS} patients have no colour of their own.",
    ]
    side = min((TWO_COLUMNS_INCHES - _LEGEND_INCHES) / len(maps), _WIDEST_INCHES)
    figure = new_page(len(drawn) * (side + _TEXT_INCHES) + 0.15, [title, note], foot)
    panels = figure.subplots(len(drawn), len(maps), squeeze=False)
    for row, group in zip(panels, drawn, strict=True):
        colours = _colours_of(maps[0].points, group)
        for axes, one in zip(row, maps, strict=True):
            _draw_map(axes, one, group, colours)
        row[-1].legend(
            handles=_legend(maps[0].points, colours), loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=6,
            title=GROUPS[group].replace(" labels", "\nlabels"), title_fontsize=6.5, alignment="left",
            handletextpad=0.1,
        )  # fmt: skip
    for axes, one in zip(panels[0], maps, strict=True):
        axes.set_title(one.name)
    return figure


def _colours_of(points: pd.DataFrame, group: int) -> dict[str, str]:
    """Labels of a group, the most frequent first, and their colours."""
    names = points["label"][points["group"] == group].value_counts(sort=False)
    in_order = sorted(names.index, key=lambda name: (-names[name], name))
    return {str(name): COLOURS[colour] for name, colour in zip(in_order, _COLOURS, strict=False)}


def _draw_map(axes: Axes, one: TsneMap, group: int, colours: dict[str, str]) -> None:
    points = one.points
    size = float(np.clip(_INK / max(len(points), 1), 0.12, 4.0))
    mine = points[points["group"] == group]
    others = points[points["group"] != group]
    axes.scatter(others["x"], others["y"], s=size, c="#e4e4e4", linewidths=0, rasterized=True, zorder=1)
    mixed = mine.sample(frac=1, random_state=one.facts.seed)  # no label lies on top of the others by its name alone
    axes.scatter(
        mixed["x"], mixed["y"], s=1.6 * size, c=[colours[name] for name in mixed["label"]], linewidths=0,
        rasterized=True, zorder=2,
    )  # fmt: skip
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_box_aspect(1)
    for side in axes.spines.values():
        side.set_visible(True)
        side.set_color("#bdbdbd")
    axes.set_xlabel("\n".join(_sentences(one.quality[one.quality["group"] == group])), fontsize=5.5, linespacing=1.3)


def _sentences(quality: pd.DataFrame) -> list[str]:
    """The three measures as a reader sees them; why there is none, once."""
    excluded = [reason for reason in quality["excluded"].unique() if reason]
    if excluded:
        return excluded
    lines = []
    for row in quality.to_dict("records"):
        name, digits = _NAMES[row["measure"]]
        digits = digits if row["hi"] < _LARGE else 0
        value, lo, hi = (rounded(row[key], digits) for key in ("value", "lo", "hi"))
        lines.append(f"{name} {value} ({lo}, {hi})")
    return lines


def _legend(points: pd.DataFrame, colours: dict[str, str]) -> list[Line2D]:
    sizes = points["label"].value_counts()
    return [
        Line2D([], [], color=colour, marker="o", markersize=3.5, linewidth=0, label=f"{name}\n{count(sizes[name])}")
        for name, colour in colours.items()
    ]
