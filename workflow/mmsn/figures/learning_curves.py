"""AUROC over the share of the training images: a panel a method, the reference in each."""

import math
from typing import Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from mmsn.figures.page import new_page, words_instead
from mmsn.reporting.captions import Setting
from mmsn.reporting.figure_files import COLOURS
from mmsn.reporting.number_format import count

_ACROSS: Final = 4
_PANEL_INCHES: Final = 1.5


def curves(labels: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Macro AUROC of every method, share and draw over the labels that count everywhere, and the labels that do not.

    A curve over a changing set of labels would rise or fall with the set; so a label that any subset could not teach,
    or the test set cannot judge, is left out at all shares. With several seeds a draw's value is the mean over them.

    Args:
        labels: a row a run, share, draw and label: auroc, excluded.

    Returns:
        Columns method, method_name, family, share, draw, auroc, in the order of `labels`.
    """
    out = list(dict.fromkeys(labels["label"][labels["excluded"] != ""]))
    used = labels[~labels["label"].isin(out)]
    keys = ["method", "method_name", "family", "share", "draw"]
    macro = used.groupby([*keys, "seed"], sort=False)["auroc"].mean().groupby(keys, sort=False).mean()
    return macro.reset_index(), out


def draw_curves(labels: pd.DataFrame, setting: Setting, by: str, images: int) -> Figure:
    """Draw a panel for every method beside the reference: line through the means, a dot for each subset.

    Args:
        labels: as in `curves`.
        setting: protocol, data set, backbone, note.
        by: what subsets are drawn by, `patient` or `image`.
        images: of the test set.
    """
    rows, out = curves(labels)
    title = f"{setting.title}: AUROC over the share of the training images"
    if rows.empty:
        return words_instead([title, setting.note], "no label could be taught by every subset and judged")
    reference = rows[rows["family"] == "reference"]
    others = [name for name in dict.fromkeys(rows["method_name"]) if name not in set(reference["method_name"])]
    panels = others or [str(reference["method_name"].iloc[0])]
    used = labels["label"].nunique() - len(out)
    foot = [
        f"Macro AUROC over {used} labels in {count(images)} test images; line: mean of the random subsets, dots: "
        f"single subsets, drawn by {by}.",
        *(
            [f"Left out at every share, because a subset or the test set lacks a class: {', '.join(out)}."]
            if out
            else []
        ),
    ]
    across = min(_ACROSS, len(panels))
    down = math.ceil(len(panels) / across)
    figure = new_page(down * _PANEL_INCHES + 0.3, [title, setting.note], foot, legend_beside=True)
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    for axes, name in zip(grid.ravel(), panels, strict=False):
        _draw_panel(axes, reference, rows[rows["method_name"] == name], name)
    for axes in grid.ravel()[len(panels) :]:
        axes.set_axis_off()
    for axes in grid[:, 0]:
        axes.set_ylabel("macro AUROC")
    for place, axes in enumerate(grid.ravel()[: len(panels)]):
        _axis_of_shares(axes, rows, last=place + across >= len(panels))
    if others and len(reference):
        figure.legend(handles=_legend(reference), loc="outside upper right", ncols=2)
    return figure


def _draw_panel(axes: Axes, reference: pd.DataFrame, own: pd.DataFrame, name: str) -> None:
    if name not in set(reference["method_name"]):
        _draw_line(axes, reference, COLOURS["grey"], "s", (0, (4, 1.5)))
    _draw_line(axes, own, COLOURS["blue"], "o", "-")
    axes.set_title(name, loc="left")
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))


def _draw_line(
    axes: Axes, rows: pd.DataFrame, colour: str, marker: str, dash: str | tuple[float, tuple[float, ...]]
) -> None:
    mean = rows.groupby("share")["auroc"].mean()
    axes.plot(100 * mean.index, mean, color=colour, linestyle=dash, linewidth=1, marker=marker, markersize=3)
    axes.plot(100 * rows["share"], rows["auroc"], "o", color=colour, markersize=1.8, alpha=0.6, markeredgewidth=0)


def _axis_of_shares(axes: Axes, rows: pd.DataFrame, last: bool) -> None:
    shares = sorted(100 * share for share in rows["share"].unique())
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(shares))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(shares, [f"{share:g}" for share in shares])
    axes.tick_params(labelbottom=last)
    if last:
        axes.set_xlabel("training images (%)")


def _legend(reference: pd.DataFrame) -> list[Line2D]:
    name = str(reference["method_name"].iloc[0])
    grey, blue = COLOURS["grey"], COLOURS["blue"]
    return [
        Line2D([], [], color=grey, linestyle=(0, (4, 1.5)), linewidth=1, marker="s", markersize=3, label=name),
        Line2D([], [], color=blue, linewidth=1, marker="o", markersize=3, label="the method above the panel"),
    ]
