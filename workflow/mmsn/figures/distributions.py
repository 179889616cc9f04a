"""Distributions of the EHR variables in the cohort, with what is not known (the paper's figures B1 and S1)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mmsn.ehr.settings import Variable
from mmsn.figures.page import new_page
from mmsn.figures.small_groups import FEWEST_PATIENTS
from mmsn.reporting.figure_files import COLOURS
from mmsn.reporting.number_format import count

_ACROSS: Final = 3
_PANEL_INCHES: Final = 1.55
_BIN_YEARS: Final = 5
_BINS: Final = 20
_TITLES: Final = {
    "sex": "Sex",
    "age": "Age at study",
    "view": "View position",
    "pos": "Patient orientation",
    "mort": "In-hospital mortality",
    "icu": "ICU stay",
}
_UNITS: Final = {"age": "years", "creatinine": "mg/dL", "haemoglobin": "g/dL", "bmi": "kg/m²"}
_WORDS: Final = {"F": "female", "M": "male", "not_icu": "not in an ICU", "icu": "in an ICU"}


@dataclass(frozen=True)
class Distribution:
    """How one variable's values are spread over the images."""

    name: str
    bars: tuple[tuple[str, float], ...]
    """Categorical: value and share of all images. Those of few patients are left out."""
    edges: tuple[float, ...]
    """Continuous: the B + 1 edges of the bins; empty for a categorical one."""
    shares: tuple[float, ...]
    """Continuous: [B] share of all images; NaN for a bin of few patients."""
    missing: float
    """Share of all images."""
    median: float
    """Continuous: of the known values."""
    left_out: int
    """Values or bins of fewer than `FEWEST_PATIENTS` patients."""
    outside: int
    """Continuous: images beyond the edges."""

    @property
    def title(self) -> str:
        """The variable's name in words."""
        return _TITLES.get(self.name, self.name.replace("_", " "))


def distribution(name: str, variable: Variable, values: pd.Series, patients: pd.Series) -> Distribution:
    """Count one variable.

    Args:
        name: of the variable.
        variable: its kind, values and range.
        values: [N] raw, null where unknown.
        patients: [N] subject_id.
    """
    of = _of_categories if variable.kind == "categorical" else _of_numbers
    return of(name, variable, values, patients)


def _of_categories(name: str, variable: Variable, values: pd.Series, patients: pd.Series) -> Distribution:
    bars, left_out = [], 0
    for value in variable.values:
        chosen = values == value
        if patients[chosen].nunique() >= FEWEST_PATIENTS:
            bars.append((_WORDS.get(value, value), float(chosen.mean())))
        else:
            left_out += int(chosen.any())
    missing = float(values.isna().mean())
    return Distribution(name, tuple(bars), (), (), missing, math.nan, left_out, 0)


def _of_numbers(name: str, variable: Variable, values: pd.Series, patients: pd.Series) -> Distribution:
    assert variable.range is not None  # the settings make sure
    low, high = variable.range
    numbers = pd.to_numeric(values).to_numpy(np.float64, na_value=np.nan)
    if name == "age":
        edges = np.arange(low - low % _BIN_YEARS, high + _BIN_YEARS, _BIN_YEARS, dtype=np.float64)
    else:
        edges = np.linspace(low, high, _BINS + 1)
    known = ~np.isnan(numbers)
    inside = known & (numbers >= edges[0]) & (numbers <= edges[-1])
    place = np.clip(np.searchsorted(edges, numbers[inside], side="right") - 1, 0, len(edges) - 2)
    images = np.bincount(place, minlength=len(edges) - 1)
    pairs = pd.DataFrame({"bin": place, "patient": patients.to_numpy()[inside]}).drop_duplicates()
    few = np.bincount(pairs["bin"], minlength=len(edges) - 1) < FEWEST_PATIENTS
    shares = np.where(few, np.nan, images / max(len(numbers), 1))
    median = float(np.median(numbers[known])) if known.any() else math.nan
    hidden = int((few & (images > 0)).sum())
    missing, outside = float((~known).mean()), int((known & ~inside).sum())
    return Distribution(name, (), tuple(edges), tuple(shares), missing, median, hidden, outside)


def distributions(rows: pd.DataFrame, variables: Mapping[str, Variable]) -> list[Distribution]:
    """Count every variable of the study that images.parquet has, in the study's order."""
    return [
        distribution(name, variable, rows[name], rows["subject_id"])
        for name, variable in variables.items()
        if name in rows
    ]


def draw_distributions(found: list[Distribution], images: int, patients: int, title: str, note: str) -> Figure:
    """Draw a panel for every variable: bars of a categorical one, a histogram of a continuous one.

    Args:
        found: the variables.
        images: of the cohort.
        patients: of the cohort.
        title: of the figure.
        note: what makes the data special.
    """
    across = min(_ACROSS, len(found))
    down = math.ceil(len(found) / across)
    foot = [f"{count(images)} images of {count(patients)} patients, all splits, as recorded (nothing imputed)."]
    foot += [one.title + f": {count(one.outside)} images beyond the axis." for one in found if one.outside]
    hidden = sum(one.left_out for one in found)
    if hidden:
        foot.append(f"Not drawn: {hidden} bars of fewer than {FEWEST_PATIENTS} patients.")
    figure = new_page(down * _PANEL_INCHES, [title, note], foot)
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for axes, one in zip(panels, found, strict=False):
        (_draw_numbers if one.edges else _draw_categories)(axes, one)
    for axes in panels[len(found) :]:
        axes.set_axis_off()
    return figure


def _draw_categories(axes: Axes, one: Distribution) -> None:
    names = [name for name, _ in one.bars] + ["missing"]
    shares = [100 * share for _, share in one.bars] + [100 * one.missing]
    places = np.arange(len(names))
    colours = [COLOURS["blue"]] * len(one.bars) + ["white"]
    bars = axes.barh(places, shares, height=0.66, color=colours, edgecolor=COLOURS["blue"], linewidth=0.6)
    bars[-1].set_hatch("//////")
    bars[-1].set_edgecolor(COLOURS["grey"])
    for place, share in enumerate(shares):
        axes.text(share + 1.5, place, _percent(share), va="center", fontsize=6)
    axes.set_yticks(places, names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, max(shares) * 1.22)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.set_xlabel("share of images (%)")
    axes.set_title(one.title, loc="left")


def _draw_numbers(axes: Axes, one: Distribution) -> None:
    edges, shares = np.array(one.edges), 100 * np.array(one.shares)
    axes.bar(edges[:-1], np.nan_to_num(shares), np.diff(edges), align="edge", color=COLOURS["blue"], edgecolor="white")
    unit = _UNITS.get(one.name)
    axes.set_xlabel(f"{one.title.lower()} ({unit})" if unit else one.title.lower())
    axes.set_ylabel("share of images (%)")
    axes.set_ylim(0, None)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
    middle = "" if math.isnan(one.median) else f"median {one.median:g}, "
    axes.set_title(f"{one.title}: {middle}missing {_percent(100 * one.missing)}", loc="left")


def _percent(share: float) -> str:
    return "<0.1 %" if 0 < share < 0.1 else f"{share:.1f} %"
