"""Reliability curves: how often a finding is there, by the probability that a model gave it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from mmsn.figures.page import new_page, words_instead
from mmsn.figures.small_groups import FEWEST_PATIENTS, patients_of
from mmsn.reporting.captions import Setting
from mmsn.reporting.figure_files import COLOURS
from mmsn.reporting.number_format import count, percent
from mmsn.reporting.predictions import Predictions
from mmsn.reporting.settings import StatisticsSettings
from mmsn.statistics.bootstrap import patient_resamples, percentile_interval
from mmsn.statistics.ranking import Counts, Floats, Integers

_ACROSS: Final = 5
_PANEL_INCHES: Final = 1.42
_STYLES: Final = (("grey", "s"), ("blue", "o"))


@dataclass(frozen=True)
class Reliability:
    """One label of one model: its bins, from low to high scores."""

    score: tuple[float, ...]
    """Mean score of each bin."""
    share: tuple[float, ...]
    """Share of its images that are positive."""
    lo: tuple[float, ...]
    hi: tuple[float, ...]
    left_out: int
    """Bins of fewer than `FEWEST_PATIENTS` patients."""


def reliability(
    targets: Floats, scores: Floats, patients: Integers, resamples: Counts, bins: int, level: float
) -> Reliability:
    """Divide the images of one label into bins of equal size by score.

    Args:
        targets: [N] of 1, 0, NaN (left out).
        scores: [N] probabilities.
        patients: [N].
        resamples: [R, N] how often each image counts, whole patients at a time.
        bins: how many, at most.
        level: of the percentile intervals.
    """
    known = ~np.isnan(targets)
    edges = np.unique(np.quantile(scores[known], np.linspace(0, 1, bins + 1)))
    place = np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, max(len(edges) - 2, 0))
    points, left_out = [], 0
    for number in range(max(len(edges) - 1, 1)):
        chosen = known & (place == number)
        if patients_of(patients, chosen) < FEWEST_PATIENTS:
            left_out += int(chosen.any())
            continue
        points.append((float(scores[chosen].mean()), *_share(targets[chosen], resamples[:, chosen], level)))
    score, share, lo, hi = (tuple(column) for column in zip(*points, strict=True)) if points else ((),) * 4
    return Reliability(score, share, lo, hi, left_out)


def _share(targets: Floats, weights: NDArray[np.generic], level: float) -> tuple[float, float, float]:
    counts = weights.astype(np.float64)
    images = counts.sum(axis=1)
    replicates = (counts @ targets)[images > 0] / images[images > 0]
    return float(targets.mean()), *percentile_interval(replicates, level)


def judged_labels(targets: Floats, labels: tuple[str, ...], fewest: int) -> list[int]:
    """Places of the labels that have `fewest` positive and negative images, as the table of calibration asks for."""
    return [
        place
        for place in range(len(labels))
        if min((targets[:, place] == 1).sum(), (targets[:, place] == 0).sum()) >= fewest
    ]


def curves_of(
    test_set: Predictions, scores: Mapping[str, Floats], statistics: StatisticsSettings, bins: int, fewest: int
) -> dict[str, dict[str, Reliability]]:
    """Label -> method's name -> its curve, for the labels that can be judged.

    Args:
        test_set: of all models.
        scores: method's name -> [N, L].
        statistics: of the resamples.
        bins: of each curve at most.
        fewest: positive, and negative, images that a label needs.
    """
    resamples = patient_resamples(test_set.patients, statistics.resamples, statistics.seed)
    found = {}
    for place in judged_labels(test_set.targets, test_set.labels, fewest):
        target = test_set.targets[:, place]
        found[test_set.labels[place]] = {
            name: reliability(target, own[:, place], test_set.patients, resamples, bins, statistics.level)
            for name, own in scores.items()
        }
    return {label: own for label, own in found.items() if any(one.score for one in own.values())}


def draw_reliability(
    found: Mapping[str, Mapping[str, Reliability]], setting: Setting, test_set: Predictions, level: float, how: str
) -> Figure:
    """Draw a panel for every label; on the dotted line a probability means what it says.

    Args:
        found: of `curves_of`.
        setting: protocol, data set, backbone, note.
        test_set: whose images are counted.
        level: of the intervals.
        how: a sentence on which methods stand side by side.
    """
    title = f"Calibration by label. {setting.title}"
    if not found:
        return words_instead([title, setting.note], "no label has enough positive and negative test images")
    left_out = [label for label in test_set.labels if label not in found]
    hidden = sum(one.left_out for own in found.values() for one in own.values())
    patients = len(np.unique(test_set.patients))
    foot = [
        f"{count(len(test_set.images))} test images of {count(patients)} patients, in bins of equal numbers of images; "
        f"bars: {percent(level)} bootstrap interval of patients. {how}",
        *([f"Left out, too few images of a class: {', '.join(left_out)}."] if left_out else []),
        *([f"Not drawn: {hidden} bins of fewer than {FEWEST_PATIENTS} patients."] if hidden else []),
    ]
    across = min(_ACROSS, len(found))
    down = math.ceil(len(found) / across)
    figure = new_page(down * _PANEL_INCHES + 0.3, [title, setting.note], foot, legend_beside=True)
    panels = figure.subplots(down, across, squeeze=False)
    for place, (axes, label) in enumerate(zip(panels.ravel(), found, strict=False)):
        _draw_panel(axes, found[label], label)
        if place + across >= len(found):
            axes.set_xlabel("predicted probability")
    for axes in panels[:, 0]:
        axes.set_ylabel("share positive")
    for axes in panels.ravel()[len(found) :]:
        axes.set_axis_off()
    names = list(next(iter(found.values())))
    handles = [
        Line2D([], [], color=COLOURS[colour], marker=marker, markersize=3, linewidth=0.9, label=name)
        for name, (colour, marker) in zip(names, _STYLES, strict=False)
    ]
    figure.legend(handles=handles, loc="outside upper right", ncols=2)
    return figure


def _draw_panel(axes: Axes, curves: Mapping[str, Reliability], label: str) -> None:
    top = max((value for one in curves.values() for value in (*one.score, *one.hi)), default=1.0)
    top = min(1.0, 1.05 * top) or 1.0
    axes.plot([0, top], [0, top], color="black", linewidth=0.6, linestyle=(0, (1, 1.5)))
    for one, (colour, marker) in zip(curves.values(), _STYLES, strict=False):
        axes.vlines(one.score, one.lo, one.hi, color=COLOURS[colour], linewidth=0.6, alpha=0.7)
        axes.plot(one.score, one.share, color=COLOURS[colour], marker=marker, markersize=2.6, linewidth=0.9)
    axes.set_xlim(0, top)
    axes.set_ylim(0, top)
    axes.set_aspect("equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=3))
    axes.set_title(label, loc="left", fontsize=6.5)
