"""The smallest group of patients that a figure shows."""

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FEWEST_PATIENTS: Final = 10
"""Patients that a bar, point or class of a figure stands for at least; what stands for fewer is not drawn."""


def patients_of(patients: NDArray[np.int64], chosen: NDArray[np.bool_]) -> int:
    """How many patients [N] the chosen [N] images are of."""
    return len(np.unique(patients[chosen]))


def withheld(cells: NDArray[np.int64], patients: NDArray[np.int64], number: int) -> NDArray[np.bool_]:
    """Which cells of a partition may not be shown on their own, where the shares of all images add up to one.

    First those of one to nine patients. What they hold together is one minus all that is shown: where that is of fewer
    than `FEWEST_PATIENTS` patients too, as it always is of a single cell, the smallest others are withheld with them.
    An empty cell stands for nobody and may be shown.

    Args:
        cells: [N] the cell of each image, below `number`.
        patients: [N] subject_id.
        number: of cells.

    Returns:
        [number].
    """
    pairs = pd.DataFrame({"cell": cells, "patient": patients}).drop_duplicates()
    sizes = np.bincount(pairs["cell"], minlength=number)
    hidden = np.asarray((sizes > 0) & (sizes < FEWEST_PATIENTS))
    while hidden.any() and patients_of(patients, hidden[cells]) < FEWEST_PATIENTS:
        others = np.flatnonzero((sizes > 0) & ~hidden)
        if not others.size:
            break
        hidden[others[sizes[others].argmin()]] = True
    return hidden
