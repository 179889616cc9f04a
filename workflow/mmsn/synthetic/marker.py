"""How a synthetic data set is told from a genuine one: by the truth that lies beside its tables."""

from pathlib import Path
from typing import Final

MARKER: Final = "truth.json"
"""File of the parameters and the truth of a synthetic data set; no genuine one has it."""


def marker_of(folder: Path) -> Path | None:
    """The marker of the synthetic data set that a folder such as `mimic-cxr-jpg` is part of, or None."""
    beside = (folder.parent / MARKER, folder.resolve().parent / MARKER)  # the folder, or what it links to
    return next((path for path in beside if path.is_file()), None)
