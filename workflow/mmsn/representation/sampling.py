"""Fewer images where all would take too long: whole patients, drawn once for every encoder."""

import numpy as np
from numpy.typing import NDArray

from mmsn.statistics.ranking import Flags


def whole_patients(patients: NDArray[np.int64], most: int | None, seed: int) -> Flags:
    """Which images [N] to keep: patients in random order, until the next one would make it more than `most` images.

    The order of rows does not matter, and fewer images are a part of more. At least one patient is kept.

    Args:
        patients: [N] patient of each image.
        most: images kept at most; None keeps all.
        seed: of the order.
    """
    if most is None or len(patients) <= most:
        return np.ones(len(patients), dtype=np.bool_)
    _, patient, images = np.unique(patients, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(images))
    fits = np.cumsum(images[order]) <= most
    fits[0] = True
    kept = np.zeros(len(images), dtype=np.bool_)
    kept[order[fits]] = True
    flags: Flags = kept[patient]
    return flags
