"""Dot plot of the AUROC by group of patients, and of the gap between groups with its interval."""

from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mmsn.figures.page import new_page, words_instead
from mmsn.figures.small_groups import FEWEST_PATIENTS
from mmsn.reporting.captions import Setting
from mmsn.reporting.figure_files import COLOURS
from mmsn.reporting.number_format import percent
from mmsn.representation.measured import MeasuredFacts
from mmsn.representation.subgroups import GAP, UNKNOWN, VARIABLES

_ROW_INCHES: Final = 0.155
_EXTRA_INCHES: Final = 1.4
_LEGEND_POINTS: Final = 10.5
_MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
_COLOURS: Final = ("blue", "orange", "green", "purple", "vermilion", "sky", "black")


def drawn_groups(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of `representation/**/groups.parquet` that are drawn: by group, with a value, not of few patients."""
    of_groups = rows["topic"].isin(list(VARIABLES)) & (rows["group"] != UNKNOWN)
    shown = rows[of_groups & rows["value"].notna() & (rows["patients"] >= FEWEST_PATIENTS)].copy()
    several = shown.groupby("method")["seed"].transform("nunique") > 1
    shown["row"] = shown["method_name"].where(~several, shown["method_name"] + ", seed " + shown["seed"].astype(str))
    compared = shown[shown["group"] == GAP]["topic"].unique()
    return shown[shown["topic"].isin(compared)]


def draw_gaps(rows: pd.DataFrame, facts: MeasuredFacts, setting: Setting) -> Figure:
    """Draw a column for every variable: above the groups' AUROC, below the largest difference between two of them.

    Args:
        rows: of `representation/**/groups.parquet`.
        facts: of the same file.
        setting: protocol, data set, backbone, note.
    """
    shown = drawn_groups(rows)
    title = f"AUROC by group of patients. {setting.title}"
    if shown.empty:
        return words_instead([title, setting.note], "no variable has two groups of enough patients with both classes")
    topics = [topic for topic in VARIABLES if topic in set(shown["topic"])]
    names = list(dict.fromkeys(shown["row"]))
    foot = [
        "Above: macro AUROC of each group, over the labels that all groups of the variable share. Below: largest minus "
        f"smallest group with its simultaneous {percent(facts.level)} interval; where that begins at 0 no difference "
        "is shown. Groups that are too small are in the table with the reason.",
    ]
    height = 2 * _ROW_INCHES * len(names) + _EXTRA_INCHES
    most = int(shown[shown["group"] != GAP].groupby("topic")["group"].nunique().max())
    figure = new_page(height, [title, setting.note], foot)
    panels = figure.subplots(2, len(topics), squeeze=False, sharey=True)
    for (above, below), topic in zip(panels.T, topics, strict=True):
        own = shown[shown["topic"] == topic]
        _draw_groups(above, own[own["group"] != GAP], names, VARIABLES[topic], most)
        _draw_gap(below, own[own["group"] == GAP], names)
    for axes in panels[:, 0]:
        axes.set_yticks(np.arange(len(names)), names)
        axes.set_ylim(len(names) - 0.4, -0.6)
    for axes in panels.ravel():
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    return figure


def _draw_groups(axes: Axes, rows: pd.DataFrame, names: list[str], variable: str, most: int) -> None:
    place = rows["row"].map({name: number for number, name in enumerate(names)})
    ends = rows.assign(place=place).groupby("place")["value"].agg(["min", "max"])
    axes.hlines(ends.index, ends["min"], ends["max"], color="#bdbdbd", linewidth=1, zorder=1)
    groups = list(dict.fromkeys(rows["group"]))
    handles = []
    for group, colour, marker in zip(groups, _COLOURS, _MARKERS, strict=False):
        style: dict[str, Any] = {"color": COLOURS[colour], "marker": marker, "linewidth": 0, "markersize": 3.4}
        mine = rows["group"] == group
        axes.plot(rows["value"][mine], place[mine], markeredgewidth=0, zorder=2, **style)
        handles.append(Line2D([], [], label=group, markeredgewidth=0, **style))
    axes.set_title(variable, loc="left", fontweight="bold", pad=_LEGEND_POINTS * -(-most // 2) + 3)
    axes.set_xlabel("macro AUROC")
    where: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (-0.06, 1.0), "ncols": 2}
    axes.legend(handles=handles, handletextpad=0.1, columnspacing=0.6, borderpad=0, borderaxespad=0, **where)


def _draw_gap(axes: Axes, rows: pd.DataFrame, names: list[str]) -> None:
    place = rows["row"].map({name: number for number, name in enumerate(names)})
    axes.hlines(place, rows["lo"], rows["hi"], color="black", linewidth=0.9)
    axes.plot(rows["value"], place, "o", color="black", markersize=3, markeredgewidth=0)
    axes.axvline(0, color=COLOURS["grey"], linewidth=0.6, linestyle=(0, (2, 2)))
    axes.set_xlim(0, None)
    axes.set_xlabel("gap in AUROC")
