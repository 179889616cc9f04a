"""Which patients train, validate and test."""

import numpy as np

from mmsn.labels import LABELS
from mmsn.synthetic.exact import Flags, Integers, exact_subset
from mmsn.synthetic.labelling import Codes

SPLITS = ("train", "validate", "test")
DEMO_SHARES = (0.7, 0.1, 0.2)
_TRIES = 200


def split_by_images(rng: np.random.Generator, images: Integers, sizes: dict[str, int], scale: float) -> Integers:
    """Split [P] as a number into `SPLITS`, so that validate and test hold `scale` times `sizes` images exactly."""
    split = np.zeros(len(images), np.int64)
    for number in (1, 2):
        free = np.where(split == 0, rng.uniform(size=len(images)), -np.inf)
        split[exact_subset(free, images, round(sizes[SPLITS[number]] * scale))] = number
    return split


def split_by_shares(
    rng: np.random.Generator, shares: tuple[float, float, float], owner: Integers, codes: Codes, usable: Flags
) -> Integers:
    """Split [P] by shares of patients, such that every label occurs in every split.

    The first of 200 shuffles in which each split has a positive and another study of each label, else the one
    that lacks the fewest. Only `usable` patients leave train.
    """
    patients = len(usable)
    found = _per_patient(owner, codes, patients)
    best, fewest = np.zeros(patients, np.int64), np.inf
    rows = np.flatnonzero(usable)
    validate, test = round(shares[1] * patients), round(shares[2] * patients)
    for _ in range(_TRIES):
        order = rng.permutation(rows)
        split = np.zeros(patients, np.int64)
        split[order[:validate]] = 1
        split[order[validate : validate + test]] = 2
        lacking = sum(int((~found[split == number].any(0)).sum()) for number in range(3))
        if lacking < fewest:
            best, fewest = split, lacking
        if not fewest:
            break
    return best


def _per_patient(owner: Integers, codes: Codes, patients: int) -> Flags:
    """Whether a patient has a positive and a not positive study of each label [P, 28]."""
    found = np.zeros((patients, 2 * len(LABELS)), bool)
    np.logical_or.at(found, owner, np.concatenate([codes == 1, codes != 1], 1))
    return found
