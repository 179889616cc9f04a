"""The cohort as a flow diagram: what each step keeps and why images leave, beside the published counts."""

import textwrap
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from mmsn.errors import UserError
from mmsn.reporting.figure_files import COLOURS, TWO_COLUMNS_INCHES
from mmsn.reporting.flow_table import agreement, flow_frame
from mmsn.reporting.number_format import count, signed_count

_LINE: Final = 0.145
"""Inches from one line of text to the next."""
_PAD: Final = 0.07
_GAP: Final = 0.24
_STAGE_WIDTH: Final = 3.1
_EXCLUDED_WIDTH: Final = 2.8
_EDGE: Final = 0.05
_SMALL: Final = 6.0
_TEXT_CHARACTERS: Final = 140
_AGREES: Final = "\N{CHECK MARK}"
_DIFFERS: Final = "\N{NOT EQUAL TO}"
"""Signs beside published counts: they tell agreement from difference without the colour."""


@dataclass(frozen=True)
class _Box:
    """A box with a title and lines; its upper left corner and its size in inches."""

    title: str
    counts: list[dict[str, Any]]
    left: float
    top: float
    width: float
    dashed: bool = False

    @property
    def lines(self) -> int:
        """Lines of text: the title, and for each count itself and what was published."""
        return 1 + sum(1 + (one["published"] is not None) for one in self.counts)

    @property
    def height(self) -> float:
        """Inches."""
        return self.lines * _LINE + 2 * _PAD

    @property
    def bottom(self) -> float:
        """Inches below the top of the figure."""
        return self.top + self.height

    @property
    def middle(self) -> float:
        """Inches from the left."""
        return self.left + self.width / 2

    @property
    def differs(self) -> bool:
        """Whether a count is not the published one."""
        return any(one["difference"] for one in self.counts)


def draw_flow(flow: dict[str, Any], title: str, note: str, source: str) -> Figure:
    """Draw the diagram of `flow.json` at the width of a printed page.

    A count that agrees with the published one has a check mark; one that differs has a sign, the difference, and a box
    with a thick orange edge.

    Args:
        flow: `flow.json` of the cohort stage.
        title: the data set's name.
        note: what makes the data special.
        source: the file, named in errors.

    Raises:
        UserError: the file has no diagram.
    """
    diagram = flow.get("diagram")
    if not diagram:
        raise UserError(f"{source}: no key 'diagram'; build the cohort again")
    heading = [title, *_wrapped(note)]
    top = _LINE * (len(heading) + 0.8)
    stages, excluded = _stages(diagram["stages"], top)
    splits = _splits(diagram["splits"], stages[-1].bottom + 1.6 * _GAP)
    footing = [*_wrapped(agreement(flow_frame(flow, source))), *_wrapped(flow.get("origin", ""))]
    height = max(box.bottom for box in [*stages, *splits]) + _LINE * (len(footing) + 1.2)
    figure = Figure(figsize=(TWO_COLUMNS_INCHES, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, TWO_COLUMNS_INCHES)
    axes.set_ylim(height, 0)
    _write(axes, heading, 0.8 * _LINE, bold_first=True)
    _write(axes, footing, height - _LINE * (len(footing) - 0.2))
    for box in [*stages, *(side for _, side in excluded), *splits]:
        _draw_box(axes, box)
    _connect(axes, stages, excluded, splits)
    return figure


def _stages(stages: list[dict[str, Any]], top: float) -> tuple[list[_Box], list[tuple[float, _Box]]]:
    """Boxes below each other, and those of what leaves between them with the height at which it does."""
    boxes: list[_Box] = []
    excluded = []
    for stage in stages:
        box = _Box(stage["title"], stage["counts"], _EDGE, top, _STAGE_WIDTH)
        boxes.append(box)
        top = box.bottom + _GAP
        if stage["excluded"]:
            left = TWO_COLUMNS_INCHES - _EDGE - _EXCLUDED_WIDTH
            side = _Box("Excluded", stage["excluded"], left, top, _EXCLUDED_WIDTH, dashed=True)
            excluded.append((side.top + side.height / 2, side))
            top = side.bottom + _GAP
    return boxes, excluded


def _splits(splits: list[dict[str, Any]], top: float) -> list[_Box]:
    """Boxes beside each other."""
    width = (TWO_COLUMNS_INCHES - 2 * _EDGE - (len(splits) - 1) * _GAP) / len(splits)
    return [
        _Box(split["title"], split["counts"], _EDGE + place * (width + _GAP), top, width)
        for place, split in enumerate(splits)
    ]


def _draw_box(axes: Axes, box: _Box) -> None:
    edge = {"edgecolor": COLOURS["vermilion"], "linewidth": 1.6} if box.differs else {"edgecolor": COLOURS["black"]}
    frame = FancyBboxPatch(
        (box.left, box.top),
        box.width,
        box.height,
        boxstyle="round,pad=0,rounding_size=0.05",
        facecolor="white",
        linestyle=(0, (4, 2)) if box.dashed else "-",
        **({"linewidth": 0.7} | edge),
    )
    axes.add_patch(frame)
    line = box.top + _PAD + _LINE / 2
    axes.text(box.left + _PAD, line, box.title, weight="bold", va="center")
    for one in box.counts:
        line += _LINE
        axes.text(box.left + _PAD, line, str(one["step"]), va="center")
        axes.text(box.left + box.width - _PAD, line, count(one["count"]), va="center", ha="right")
        if one["published"] is not None:
            line += _LINE
            _draw_published(axes, box, line, one)


def _draw_published(axes: Axes, box: _Box, line: float, one: dict[str, Any]) -> None:
    text, colour, weight = f"published {count(one['published'])} {_AGREES}", "#5a5a5a", "normal"
    if one["difference"]:
        text = f"published {count(one['published'])} {_DIFFERS} difference {signed_count(one['difference'])}"
        colour, weight = COLOURS["vermilion"], "bold"
    right = box.left + box.width - _PAD
    axes.text(right, line, text, color=colour, weight=weight, fontsize=_SMALL, va="center", ha="right")


def _connect(axes: Axes, stages: list[_Box], excluded: list[tuple[float, _Box]], splits: list[_Box]) -> None:
    for upper, lower in pairwise(stages):
        _arrow(axes, (upper.middle, upper.bottom), (upper.middle, lower.top))
    for height, side in excluded:
        _arrow(axes, (stages[0].middle, height), (side.left, height))
    last = stages[-1]
    fork = (last.bottom + splits[0].top) / 2
    axes.plot([last.middle, last.middle], [last.bottom, fork], color="black", linewidth=0.7)
    across = [last.middle, *(split.middle for split in splits)]
    axes.plot([min(across), max(across)], [fork, fork], color="black", linewidth=0.7)
    for split in splits:
        _arrow(axes, (split.middle, fork), (split.middle, split.top))


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    style: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 7, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 0}
    axes.add_patch(FancyArrowPatch(start, end, color="black", **style))


def _write(axes: Axes, lines: list[str], top: float, bold_first: bool = False) -> None:
    for place, text in enumerate(lines):
        weight = "bold" if bold_first and place == 0 else "normal"
        axes.text(_EDGE, top + place * _LINE, text, va="center", weight=weight, fontsize=8 if weight == "bold" else 6.5)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _TEXT_CHARACTERS)
