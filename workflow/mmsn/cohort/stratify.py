"""Making the parts of a random split alike in their labels, by exchanging as few patients as that takes."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
_SCALE: Final = 2**30
_POOL: Final = 2048
"""Patients of a split that are tried for an exchange: one that fits is among so many, and all would take longer."""


class _Exchange(NamedTuple):
    """A patient of the largest split for one of another: how the statistic changes, and their places in the pools."""

    change: int
    other: int
    gives: int
    takes: int


def balance(counts: Integers, split: Integers) -> Integers:
    """Exchange patients between splits until no exchange makes the splits more alike.

    Stratification over many labels at once, as in Sechidis et al. 2011, for patients, who have several images each.
    What falls with every exchange is the chi-square statistic `sum((observed - expected)^2 / expected)` of counts by
    splits. One patient of the largest split goes for one of another, so sizes stay; of 65,000 patients about a hundred
    move, and where everyone else is stays as random as it was. Integers only: the same result on every machine.

    Args:
        counts: `[P, C]` what is to be shared out evenly, by patient: images, and those with each label. Patients come
            in random order; the first of each split are those tried.
        split: `[P]` the split of each patient, numbered from 0.

    Returns:
        `[P]` the splits after the exchanges.
    """
    sizes = np.bincount(split)
    largest = int(sizes.argmax())
    others = [number for number in np.flatnonzero(sizes).tolist() if number != largest]
    pools = [np.flatnonzero(split == number)[:_POOL] for number in range(len(sizes))]
    excess, weight = _deviations(counts, split, sizes)
    while others:
        best = min(_best_exchange(counts, pools, excess, weight, largest, other) for other in others)
        if best.change >= 0:
            break
        going, coming = pools[largest][best.gives], pools[best.other][best.takes]
        moved = counts[going] - counts[coming]
        excess[largest] -= moved
        excess[best.other] += moved
        pools[largest][best.gives], pools[best.other][best.takes] = coming, going
    out = split.copy()
    for number, pool in enumerate(pools):
        out[pool] = number
    return out


def _deviations(counts: Integers, split: Integers, sizes: Integers) -> tuple[Integers, Integers]:
    """Counts above the expected ones, and one over the expected ones scaled to an integer; both `[S, C]`."""
    observed = np.stack([counts[split == number].sum(0) for number in range(len(sizes))])
    expected = (2 * sizes[:, None] * counts.sum(0) + len(split)) // (2 * len(split))  # rounded
    return observed - expected, _SCALE // np.maximum(expected, 1)


def _best_exchange(
    counts: Integers, pools: list[Integers], excess: Integers, weight: Integers, here: int, there: int
) -> _Exchange:
    """First who is best moved from `here` to `there`, then who is best to come back for them."""
    square = weight[here] + weight[there]
    slope = 2 * (weight[there] * excess[there] - weight[here] * excess[here])
    going = _change(counts[pools[here]], square, slope)
    gives = int(going.argmin())
    coming = _change(counts[pools[there]], square, -slope - 2 * square * counts[pools[here][gives]])
    takes = int(coming.argmin())
    return _Exchange(int(going[gives] + coming[takes]), there, gives, takes)


def _change(counts: Integers, square: Integers, slope: Integers) -> Integers:
    """How the statistic changes with each patient `[P]` that moves."""
    out: Integers = (counts * (counts * square + slope)).sum(axis=1)
    return out
