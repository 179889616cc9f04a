"""The look all figures share, and writing them so that the same numbers give the same bytes."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmsn.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

COLUMN_INCHES: Final = 3.5
"""Width of one column in print (89 mm)."""
TWO_COLUMNS_INCHES: Final = 7.2
"""Width of a page in print (183 mm)."""
COLOURS: Final = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "purple": "#CC79A7",
    "grey": "#7F7F7F",
}
"""Okabe and Ito's palette: distinct also to colour-blind readers."""
_DOTS_PER_INCH: Final = 300
_LOOK: Final[dict["RcKeyType", Any]] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 7,
    "legend.fontsize": 6.5,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text: searchable, and set in the reader's font where ours is absent
    "svg.hashsalt": "mmsn",  # ids in the file would else be random
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
}


def write_figure(draw: Callable[[], Figure], svg: Path, png: Path) -> None:
    """Draw in the shared look and write both files atomically, without dates or version numbers."""
    with mpl.rc_context(_LOOK):
        figure = draw()
        FigureCanvasAgg(figure)
        metadata: dict[str, dict[str, Any]] = {
            "svg": {"Date": None, "Creator": None},
            "png": {"Software": None},
        }
        for path, kind in ((svg, "svg"), (png, "png")):
            with atomic_path(path) as temporary:
                figure.savefig(temporary, format=kind, dpi=_DOTS_PER_INCH, metadata=metadata[kind])
