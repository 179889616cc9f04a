"""Forest plot: one row a method, its value with both intervals, the reference as a line and band."""

import textwrap
from typing import Any, Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mmsn.errors import UserError
from mmsn.reporting.captions import Setting
from mmsn.reporting.figure_files import COLOURS, COLUMN_INCHES
from mmsn.reporting.number_format import percent
from mmsn.reporting.results_table import one_row_a_method, reference_name
from mmsn.reporting.schemas import METRIC_NAMES, METRICS, Facts, Metric

_ROW_INCHES: Final = 0.175
_FAMILY_GAP: Final = 0.5  # rows of space between groups
_LINE_INCHES: Final = 0.135
_LINES_OF_AXIS: Final = 3
_LEGEND_COLUMNS: Final = 2
_LEGEND_CHARACTERS: Final = 24  # two columns of more do not fit
_TITLE_CHARACTERS: Final = 60
_PALE: Final = 0.35
_SOLID: Final[dict[str, Any]] = {"markersize": 3.2, "markeredgewidth": 0, "linewidth": 0}
_OPEN: Final[dict[str, Any]] = {
    "markersize": 4.2,
    "markeredgewidth": 0.8,
    "markerfacecolor": "white",
    "linewidth": 0,
}
_SEED: Final[dict[str, Any]] = {"marker": ".", "markersize": 2, "markeredgewidth": 0, "linewidth": 0}
_STYLES: Final = {
    "baseline": ("grey", "s", "other pretraining"),
    "reference": ("black", "D", "reference"),
    "ehr": ("blue", "o", "MSN + EHR"),
    "control": ("vermilion", "^", "controls"),
}
"""Colour and marker by group; the marker tells them apart without the colour."""


def parse_metric(name: str) -> Metric:
    """Check the name of a metric.

    Raises:
        UserError: it is neither `auroc` nor `auprc`.
    """
    if name not in METRICS:
        raise UserError(f"--metric: {name!r}; choose one of {', '.join(METRICS)}")
    return name


def draw_forest(rows: pd.DataFrame, facts: Facts, setting: Setting, metric: Metric) -> Figure:
    """Draw the joined summary of `beside_published` at the width of one printed column.

    Thick pale bars: patient-level interval; thin dark lines: image-level interval, as published; small dots:
    single seeds; open markers: published values, where the joined rows have them.
    """
    chosen = rows[rows["metric"] == metric]
    shown = one_row_a_method(chosen)
    places = _places(shown)
    title = _title(setting)
    handles = _legend(shown, facts, reference_name(rows, facts))
    lines_of_text = len(title) + len(handles) / _LEGEND_COLUMNS + _LINES_OF_AXIS
    height = _ROW_INCHES * (max(places) + 1) + _LINE_INCHES * lines_of_text
    figure = Figure(figsize=(COLUMN_INCHES, height), layout="constrained")
    axes = figure.subplots()
    _draw_reference(axes, shown)
    for place, (_, row) in zip(places, shown.iterrows(), strict=True):
        _draw_row(axes, place, row, chosen)
    axes.set_yticks(places, [str(name) for name in shown["method_name"]])
    axes.set_ylim(max(places) + 0.7, -0.7)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.set_xlabel(f"macro {METRIC_NAMES[metric]}")
    figure.suptitle("\n".join(title), x=0.01, ha="left", fontsize=7.5)
    figure.legend(handles=handles, loc="outside lower left", ncols=_LEGEND_COLUMNS)
    return figure


def _title(setting: Setting) -> list[str]:
    return [line for text in (setting.title, setting.note) for line in textwrap.wrap(text, _TITLE_CHARACTERS)]


def _places(shown: pd.DataFrame) -> list[float]:
    """Vertical places of the rows, with a gap between groups."""
    place, places, before = -1.0, [], None
    for family in shown["family"]:
        place += 1 + (_FAMILY_GAP if before not in (None, family) else 0)
        places.append(place)
        before = family
    return places


def _draw_reference(axes: Axes, shown: pd.DataFrame) -> None:
    reference = shown[(shown["family"] == "reference") & shown["value"].notna()]
    if len(reference):
        row = reference.iloc[0]
        axes.axvspan(row["lo_patient"], row["hi_patient"], color="#e9e9e9", linewidth=0, zorder=0)
        axes.axvline(row["value"], color=COLOURS["black"], linewidth=0.6, linestyle=(0, (4, 2)), zorder=1)


def _draw_row(axes: Axes, place: float, row: pd.Series, all_rows: pd.DataFrame) -> None:
    name, marker, _ = _STYLES[row["family"]]
    colour = COLOURS[name]
    if pd.notna(row["value"]):
        bounds = row["lo_patient"], row["hi_patient"]
        axes.hlines(place, *bounds, color=colour, alpha=_PALE, linewidth=4, zorder=2)
        axes.hlines(place, row["lo"], row["hi"], color=colour, linewidth=0.9, zorder=3)
        seeds = all_rows[(all_rows["method"] == row["method"]) & all_rows["seed"].notna()]
        if len(seeds) > 1:
            axes.plot(seeds["value"], [place + 0.32] * len(seeds), color=colour, zorder=4, **_SEED)
        axes.plot(row["value"], place, color=colour, marker=marker, zorder=5, **_SOLID)
    else:
        across = axes.get_yaxis_transform()
        text = {"color": COLOURS["grey"], "style": "italic", "fontsize": 6.0}
        axes.text(0.01, place, row["missing"], va="center", transform=across, fontdict=text)
    if pd.notna(row["published_value"]):
        axes.plot(row["published_value"], place, color=colour, marker=marker, zorder=4, **_OPEN)


def _legend(shown: pd.DataFrame, facts: Facts, reference: str) -> list[Line2D]:
    """What is drawn, and nothing that is not."""
    level, grey = percent(facts.level), COLOURS["grey"]
    handles: list[Line2D] = []
    for family in dict.fromkeys(shown["family"][shown["value"].notna()]):
        colour, marker, label = _STYLES[family]
        name = textwrap.fill(f"{reference} (dashed line)", _LEGEND_CHARACTERS) if family == "reference" else label
        handles.append(Line2D([], [], color=COLOURS[colour], marker=marker, label=name, **_SOLID))
    handles += [
        Line2D([], [], color=grey, linewidth=0.9, label=f"{level} CI, images (as published)"),
        Line2D([], [], color=grey, linewidth=4, alpha=_PALE, label=f"{level} CI, patients"),
    ]
    if (shown["seeds"] > 1).any():
        handles.append(Line2D([], [], color=grey, label="single seeds", **_SEED))
    if shown["published_value"].notna().any():
        handles.append(Line2D([], [], color=grey, marker="o", label="published value", **_OPEN))
    return handles
