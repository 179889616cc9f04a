"""Heat map of the AUROC differences to the reference, methods down and labels across."""

from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mmsn.figures.page import new_page, rounded, words_instead
from mmsn.figures.small_groups import FEWEST_PATIENTS
from mmsn.reporting.captions import Setting
from mmsn.reporting.number_format import percent
from mmsn.reporting.schemas import Facts

_ROW_INCHES: Final = 0.2
_HEADER_INCHES: Final = 1.35
_COLOURS: Final = "PuOr"
"""Purple and orange: told apart by colour-blind readers, and alike in lightness on either side of white."""
_ALPHA: Final = 0.05
_DARK: Final = 0.62
_SMALLEST_SCALE: Final = 0.01


def differences(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of `statistics/**/labels.parquet` that were compared with the reference, with the two marks.

    `clear`: the interval of the difference excludes 0. `holds`: so does it after Holm's correction, p < 0.05. A label
    with fewer than ten patients with a positive image, or ten negative images, is left out.
    """
    few = rows[["positive_patients", "negatives"]].min(axis=1) < FEWEST_PATIENTS
    compared = rows[rows["difference"].notna() & ~few].copy()
    compared["clear"] = (compared["difference_lo"] > 0) | (compared["difference_hi"] < 0)
    compared["holds"] = compared["p_holm"] < _ALPHA
    several = compared.groupby("method")["seed"].transform("nunique") > 1
    compared["row"] = compared["method_name"].where(
        ~several, compared["method_name"] + ", seed " + compared["seed"].astype(str)
    )
    return compared


def draw_differences(rows: pd.DataFrame, facts: Facts, setting: Setting, reference: str) -> Figure:
    """Draw one cell a method and label; numbers are hundredths of AUROC.

    Args:
        rows: of `statistics/**/labels.parquet`.
        facts: of the same file.
        setting: protocol, data set, backbone, note.
        reference: name of the reference.
    """
    title = f"Difference in AUROC to {reference}, by label. {setting.title}"
    shown = differences(rows)
    if shown.empty:
        reason = f"no label has {FEWEST_PATIENTS} positive test patients, or nothing was compared"
        return words_instead([title, setting.note], reason)
    values = _table(shown, "difference")
    left_out = [label for label in dict.fromkeys(rows["label"]) if label not in values.columns]
    foot = [
        f"Numbers: AUROC × 100. Box: the {percent(facts.level)} interval (DeLong, patients as clusters) excludes 0. "
        "Box and ∗: so it does after Holm's correction over every label and method of a kind, p < 0.05.",
        *(
            [f"Left out, fewer than {FEWEST_PATIENTS} positive patients or negative images: {', '.join(left_out)}."]
            if left_out
            else []
        ),
    ]
    figure = new_page(_HEADER_INCHES + _ROW_INCHES * len(values), [title, setting.note], foot)
    axes = figure.subplots()
    _draw(figure, axes, values, _table(shown, "clear"), _table(shown, "holds"), reference)
    return figure


def _table(shown: pd.DataFrame, column: str) -> pd.DataFrame:
    """Rows by methods and columns by labels, in the order of the file."""
    wide = shown.pivot_table(index="row", columns="label", values=column, sort=False, aggfunc="first", observed=True)
    return wide.loc[list(dict.fromkeys(shown["row"])), list(dict.fromkeys(shown["label"]))]


def _draw(
    figure: Figure, axes: Axes, values: pd.DataFrame, clear: pd.DataFrame, holds: pd.DataFrame, reference: str
) -> None:
    numbers = values.to_numpy(np.float64)
    extent = max(float(np.nanmax(np.abs(numbers))), _SMALLEST_SCALE)
    picture = axes.pcolormesh(
        numbers, cmap=_COLOURS, norm=TwoSlopeNorm(0, -extent, extent), edgecolors="white", linewidth=0.5
    )
    for row, column in np.ndindex(numbers.shape):
        value = numbers[row, column]
        if np.isnan(value):
            continue
        text = rounded(100 * float(value), 1, "+")
        _write(
            axes, row, column, text, bool(abs(value) > _DARK * extent), clear.iloc[row, column], holds.iloc[row, column]
        )
    axes.set_yticks(np.arange(len(values)) + 0.5, list(values.index))
    axes.set_xticks(
        np.arange(values.shape[1]) + 0.5, list(values.columns), rotation=40, ha="left", rotation_mode="anchor"
    )
    axes.xaxis.tick_top()
    axes.invert_yaxis()
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    bar = figure.colorbar(picture, ax=axes, shrink=min(1.0, 1.2 / (_ROW_INCHES * len(values))), aspect=12, pad=0.01)
    bar.set_label(f"AUROC minus {reference}'s")
    bar.outline.set_linewidth(0)


def _write(axes: Axes, row: int, column: int, text: str, dark: bool, clear: Any, holds: Any) -> None:
    colour = "white" if dark else "black"
    mark = "∗" if bool(holds) else ""
    axes.text(column + 0.5, row + 0.52, text + mark, ha="center", va="center", fontsize=5.5, color=colour)
    if bool(clear):
        frame = axes.add_patch(_box(column, row))
        frame.set_clip_on(False)


def _box(column: int, row: int) -> Rectangle:
    return Rectangle((column + 0.05, row + 0.08), 0.9, 0.84, fill=False, edgecolor="black", linewidth=0.9)
