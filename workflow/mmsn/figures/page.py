"""What all figures of this package share: heading and foot, wrapped text, numbers."""

import textwrap
from collections.abc import Sequence
from typing import Final

from matplotlib.figure import Figure

from mmsn.reporting.figure_files import TWO_COLUMNS_INCHES

LINE_INCHES: Final = 0.125
_CHARACTERS_AN_INCH: Final = 22.5
_HEADING: Final = 7.5
_FOOT: Final = 6.0
_EDGE: Final = 0.01
_BESIDE_LEGEND: Final = 0.66
"""Share of the width that is left to a heading beside a legend."""


def new_page(
    height: float,
    heading: Sequence[str],
    foot: Sequence[str],
    width: float = TWO_COLUMNS_INCHES,
    legend_beside: bool = False,
) -> Figure:
    """A figure with its heading above and its sentences below what will be drawn.

    Args:
        height: inches of what is drawn between them.
        heading: the title, then what makes the data special; empty ones are left out.
        foot: sentences, set as one paragraph.
        width: inches.
        legend_beside: whether a legend stands right of the heading.
    """
    characters = int(width * _CHARACTERS_AN_INCH)
    in_heading = int(characters * _FOOT / _HEADING * (_BESIDE_LEGEND if legend_beside else 1))
    above = [line for text in heading for line in textwrap.wrap(text, in_heading)]
    below = textwrap.wrap(" ".join(foot), characters)
    inches = height + LINE_INCHES * (len(above) * _HEADING / _FOOT + len(below) + 1)
    figure = Figure(figsize=(width, inches), layout="constrained")
    figure.suptitle("\n".join(above), x=_EDGE, ha="left", fontsize=_HEADING)
    if below:
        figure.supxlabel("\n".join(below), x=_EDGE, ha="left", fontsize=_FOOT, color="#404040")
    return figure


def words_instead(heading: Sequence[str], reason: str) -> Figure:
    """A figure that says why there is nothing to draw, for results that turn out too small."""
    figure = new_page(0.4, heading, [])
    figure.text(_EDGE, 0.1, "\n".join(textwrap.wrap(f"Nothing is drawn: {reason}.", 140)), fontsize=7)
    return figure


def rounded(value: float, digits: int, sign: str = "") -> str:
    """A number as a figure writes it: a real minus sign, and none before a zero that came from rounding.

    Args:
        value: finite.
        digits: after the point.
        sign: `+` to write that of positive numbers too.
    """
    whole = round(value, digits) + 0.0  # -0.0 becomes 0.0
    return f"{whole:{sign if whole else ''},.{digits}f}".replace("-", "\N{MINUS SIGN}")
