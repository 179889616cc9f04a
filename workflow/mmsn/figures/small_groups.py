"""The smallest group of patients that a figure shows."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

FEWEST_PATIENTS: Final = 10
"""Patients that a bar, point or class of a figure stands for at least; what stands for fewer is not drawn."""


def patients_of(patients: NDArray[np.int64], chosen: NDArray[np.bool_]) -> int:
    """How many patients [N] the chosen [N] images are of."""
    return len(np.unique(patients[chosen]))
