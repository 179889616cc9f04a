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
from numpy.typing import NDArray

from mmsn.ehr.settings import Variable
from mmsn.figures.page import new_page, words_instead
from mmsn.figures.small_groups import FEWEST_PATIENTS, patients_of, withheld
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
    """Categorical: value and share of all images. Those of few patients have one bar together, named with 'or'."""
    edges: tuple[float, ...]
    """Continuous: the B + 1 edges of the bins; empty for a categorical one."""
    shares: tuple[float, ...]
    """Continuous: [B] share of all images; NaN for a bin that is withheld."""
    missing: float
    """Share of all images; NaN where it is withheld or has a bar with other values."""
    median: float
    """Continuous: of the known values; NaN where they are of few patients."""
    left_out: int
    """Values without a bar of their own, or bins that are not drawn: `small_groups.withheld` says which."""
    outside: int | None
    """Continuous: images beyond the edges; None where that is withheld."""

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
    names = [_WORDS.get(value, value) for value in variable.values] + ["other", "missing"]
    codes = pd.Categorical(values, categories=list(variable.values)).codes.astype(np.int64)
    cells = np.where(codes >= 0, codes, len(names) - 2 + values.isna().to_numpy())
    of = patients.to_numpy(np.int64)
    hidden = withheld(cells, of, len(names))
    images = np.bincount(cells, minlength=len(names))
    shares = images / max(len(cells), 1)
    own = np.flatnonzero((images > 0) & ~hidden)
    bars = [(names[cell], float(shares[cell])) for cell in own if cell < len(names) - 1]
    if patients_of(of, hidden[cells]) >= FEWEST_PATIENTS:
        together = " or ".join(names[cell] for cell in np.flatnonzero(hidden))
        bars.append((together, float(shares[hidden].sum())))
    missing = math.nan if hidden[-1] else float(shares[-1])
    return Distribution(name, tuple(bars), (), (), missing, math.nan, int(hidden.sum()), 0)


def _of_numbers(name: str, variable: Variable, values: pd.Series, patients: pd.Series) -> Distribution:
    assert variable.range is not None  # the settings make sure
    low, high = variable.range
    numbers = pd.to_numeric(values).to_numpy(np.float64, na_value=np.nan)
    if name == "age":
        edges = np.arange(low - low % _BIN_YEARS, high + _BIN_YEARS, _BIN_YEARS, dtype=np.float64)
    else:
        edges = np.linspace(low, high, _BINS + 1)
    bins, of, known = len(edges) - 1, patients.to_numpy(np.int64), ~np.isnan(numbers)
    cells = _places(numbers, edges)
    hidden = withheld(cells, of, bins + 2)
    images = np.bincount(cells, minlength=bins + 2)
    shares = np.where(hidden, np.nan, images / max(len(numbers), 1))
    median = float(np.median(numbers[known])) if patients_of(of, known) >= FEWEST_PATIENTS else math.nan
    outside = None if hidden[bins] else int(images[bins])
    left_out = int(hidden[:bins].sum())
    return Distribution(name, (), tuple(edges), tuple(shares[:bins]), float(shares[-1]), median, left_out, outside)


def _places(numbers: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """[N] the bin of each number, the last one with its upper edge; then what is beyond the edges, then what is NaN."""
    bins = len(edges) - 1
    inside = (numbers >= edges[0]) & (numbers <= edges[-1])
    place = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, bins - 1)
    return np.where(inside, place, bins + np.isnan(numbers)).astype(np.int64)


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
    if patients < FEWEST_PATIENTS:
        return words_instead([title, note], f"the cohort has fewer than {FEWEST_PATIENTS} patients")
    foot = [f"{count(images)} images of {count(patients)} patients, all splits, as recorded (nothing imputed)."]
    foot += [one.title + f": {count(one.outside)} images beyond the axis." for one in found if one.outside]
    foot += _not_shown(found)
    figure = new_page(down * _PANEL_INCHES, [title, note], foot)
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for axes, one in zip(panels, found, strict=False):
        (_draw_numbers if one.edges else _draw_categories)(axes, one)
    for axes in panels[len(found) :]:
        axes.set_axis_off()
    return figure


def _not_shown(found: list[Distribution]) -> list[str]:
    """What is not shown on its own, and why."""
    few = f"fewer than {FEWEST_PATIENTS} patients"
    said = []
    if any(one.left_out for one in found if not one.edges):
        said.append(f"Joined by 'or': values of {few}, with others so that they cannot be worked out.")
    bins = sum(one.left_out for one in found if one.edges)
    if bins:
        said.append(f"Bins of {few}, or from which such a bin could be worked out, are not drawn: {bins} in all.")
    unsaid = [one.title for one in found if one.edges and (math.isnan(one.missing) or one.outside is None)]
    if unsaid:
        said.append(f"For the same reason not said of {', '.join(unsaid)}: how much is missing or beyond the axis.")
    return said


def _draw_categories(axes: Axes, one: Distribution) -> None:
    bars = [*one.bars, *([] if math.isnan(one.missing) else [("missing", one.missing)])]
    names, shares = [name for name, _ in bars], [100 * share for _, share in bars]
    places = np.arange(len(names))
    drawn = axes.barh(places, shares, height=0.66, color=COLOURS["blue"], edgecolor=COLOURS["blue"], linewidth=0.6)
    for bar in drawn[len(one.bars) :]:
        bar.set(facecolor="white", edgecolor=COLOURS["grey"], hatch="//////")
    for place, share in enumerate(shares):
        axes.text(share + 1.5, place, _percent(share), va="center", fontsize=6)
    axes.set_yticks(places, names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1.22 * max(shares))
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
    facts = [] if math.isnan(one.median) else [f"median {one.median:.3g}"]
    facts += [] if math.isnan(one.missing) else [f"missing {_percent(100 * one.missing)}"]
    axes.set_title(f"{one.title}: {', '.join(facts)}" if facts else one.title, loc="left")


def _percent(share: float) -> str:
    return "<0.1 %" if 0 < share < 0.1 else f"{share:.1f} %"
