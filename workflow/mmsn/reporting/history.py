"""Curves of pretraining: is it learning, and is it collapsing."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle, product
from typing import Final, Literal, TypeAlias

import pandas as pd
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mmsn.errors import UserError
from mmsn.reporting.figure_files import COLOURS, TWO_COLUMNS_INCHES
from mmsn.reporting.runs import HistoryDescription

Dash: TypeAlias = Literal["-"] | tuple[float, tuple[float, ...]]
_PANELS: Final = {
    "loss": "loss",
    "cross_entropy": "cross entropy",
    "mean_entropy_loss": "mean-entropy term",
    "learning_rate": "learning rate",
    "target_entropy": "target entropy",
    "anchor_entropy": "anchor entropy",
    "used_prototypes": "prototypes in use",
    "rankme": "RankMe",
}
"""Columns of history.parquet that are drawn, and their titles. The second row shows a collapse: entropies or
RankMe that fall towards 0, few prototypes in use."""
_BOUND: Final = "entropy_bound"
_BOUNDED: Final = ("target_entropy", "anchor_entropy")
"""Panels with a grey line at the largest entropy there can be."""
_ACROSS: Final = 4
_PANEL_INCHES: Final = 1.5
_LEGEND_LINE_INCHES: Final = 0.14
_LEGEND_COLUMNS: Final = 3
_DASHES: Final[tuple[Dash, ...]] = ("-", (0, (4, 1.5)), (0, (1, 1)))
_COLOURS: Final = ("black", "blue", "vermilion", "green", "orange", "sky", "purple", "grey")
_LINES: Final = [(COLOURS[colour], dash) for dash, colour in product(_DASHES, _COLOURS)]
"""24 kinds of line; a further run starts again."""


def history_frame(table: pa.Table, source: str) -> pd.DataFrame:
    """Mean of every drawn column by epoch, from one run's history.parquet.

    Args:
        table: one row an epoch or a logged step; columns that a method does not have are absent or null.
        source: the file, named in errors.

    Raises:
        UserError: no column `epoch`, no rows, or none of the columns to draw.
    """
    names = [name for name in (*_PANELS, _BOUND) if name in table.column_names]
    if "epoch" not in table.column_names or not names or not table.num_rows:
        raise UserError(f"{source}: no rows, no column 'epoch', or none of {', '.join(_PANELS)}; pretrain again")
    rows: pd.DataFrame = table.select(["epoch", *names]).to_pandas()
    return rows.groupby("epoch").mean()


def legend_names(runs: Sequence[HistoryDescription]) -> dict[str, HistoryDescription]:
    """Runs by name, with the id where a name alone would stand for several (seeds, backbones)."""
    names = [run.name for run in runs]
    return {run.name if names.count(run.name) == 1 else f"{run.name} ({run.id})": run for run in runs}


def draw_history(curves: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw a panel for every column that some run has; runs differ in colour, then in dashes.

    Args:
        curves: name in the legend -> `history_frame`.
    """
    drawn = [name for name in _PANELS if any(name in own and own[name].notna().any() for own in curves.values())]
    down = math.ceil(len(drawn) / _ACROSS)
    legend = math.ceil(len(curves) / _LEGEND_COLUMNS) * _LEGEND_LINE_INCHES
    size = (TWO_COLUMNS_INCHES, down * _PANEL_INCHES + legend + 0.15)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(down, min(_ACROSS, len(drawn)), squeeze=False).ravel()
    for axes, name in zip(panels, drawn, strict=False):
        _draw_panel(axes, name, curves)
    for axes in panels[len(drawn) :]:
        axes.set_axis_off()
    handles = [
        Line2D([], [], color=colour, linestyle=dash, linewidth=1, label=name)
        for name, (colour, dash) in _styled(curves)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(_LEGEND_COLUMNS, len(curves)))
    return figure


def _draw_panel(axes: Axes, column: str, curves: Mapping[str, pd.DataFrame]) -> None:
    for name, (colour, dash) in _styled(curves):
        values = curves[name].get(column)
        if values is not None and values.notna().any():
            known = values.dropna()
            marker = "." if len(known) == 1 else ""
            axes.plot(known.index, known, color=colour, linestyle=dash, linewidth=0.9, marker=marker, markersize=3)
    if column in _BOUNDED:
        for bound in sorted({float(own[_BOUND].iloc[0]) for own in curves.values() if _BOUND in own}):
            if math.isfinite(bound):
                axes.axhline(bound, color=COLOURS["grey"], linewidth=0.6, linestyle=(0, (2, 2)))
    axes.set_title(_PANELS[column])
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.ticklabel_format(axis="y", scilimits=(-2, 4))


def _styled(names: Iterable[str]) -> list[tuple[str, tuple[str, Dash]]]:
    return [(name, style) for name, style in zip(names, cycle(_LINES), strict=False)]
