"""EHR tables without information: the controls that a gain has to beat."""

import numpy as np
from numpy.typing import NDArray

from mmsn.errors import UserError


def shuffled(values: NDArray[np.float32], patients: NDArray[np.int64], seed: int) -> NDArray[np.float32]:
    """Rows permuted across patients: the same rows in another order, none of them at its own patient.

    Patients are put in random order and their rows shifted by the largest number of rows a patient has, so that the
    rows of one patient still tend to lie together, as real ones do.

    Args:
        values: `[N, n]`.
        patients: `[N]` subject ids.
        seed: of the order of patients.

    Raises:
        UserError: when one patient holds more than half of the rows.
    """
    unique, inverse, counts = np.unique(patients, return_inverse=True, return_counts=True)
    shift = int(counts.max())
    if 2 * shift > len(patients):
        raise UserError(
            f"one patient holds {shift} of {len(patients)} rows, which cannot be permuted across patients; "
            "leave the shuffled control out of runs.methods"
        )
    rank = np.random.default_rng(seed).permutation(len(unique))
    order = np.argsort(rank[inverse], kind="stable")
    result = np.empty_like(values)
    result[order] = values[np.roll(order, shift)]
    return result


def constant(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Every row the mean of all rows, `[N, n]` -> `[N, n]`."""
    return np.broadcast_to(values.mean(axis=0, dtype=np.float64).astype(np.float32), values.shape).copy()
