"""Drawing groups so that their sizes add up to a set number exactly."""

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]


def exact_subset(scores: Numbers, sizes: Integers, total: int) -> Flags:
    """Choose groups by falling score until their sizes add up to `total`.

    A group that would overshoot is passed over, so the sum is exact wherever small groups are left, and otherwise
    the largest below `total`. Groups of size 0 and of score -inf are never chosen.
    """
    chosen = np.zeros(len(sizes), bool)
    order = np.argsort(-scores, kind="stable")
    order = order[(sizes[order] > 0) & np.isfinite(scores[order])]
    while total > 0 and len(order):
        running = np.cumsum(sizes[order])
        fits = int(np.searchsorted(running, total, side="right"))
        chosen[order[:fits]] = True
        total -= int(running[fits - 1]) if fits else 0
        order = order[fits:]
        order = order[sizes[order] <= total]
    return chosen


def exact_number(scores: Numbers, sizes: Integers, number: int, total: int) -> Flags:
    """Choose `number` groups by falling score, then exchange some until their sizes add up to `total`.

    The sum is as close to `total` as exchanges of one group for another bring it. Groups of score -inf are never
    chosen.
    """
    order = np.argsort(-scores, kind="stable")
    order = order[np.isfinite(scores[order])]
    inside, outside = order[:number], order[number:]
    while (missing := total - int(sizes[inside].sum())) and len(inside) and len(outside):
        leaving, first_in = np.unique(sizes[inside], return_index=True)
        coming, first_out = np.unique(sizes[outside], return_index=True)
        left = np.abs(missing - (coming[None, :] - leaving[:, None]))
        row, column = np.unravel_index(int(left.argmin()), left.shape)
        if left[row, column] >= abs(missing):
            break
        here, there = first_in[row], first_out[column]
        inside[here], outside[there] = outside[there], inside[here]
    chosen = np.zeros(len(sizes), bool)
    chosen[inside] = True
    return chosen


def choose(rng: np.random.Generator, among: Flags, count: int) -> Flags:
    """A uniform sample of `count` of the rows that are true in `among` (all of them when there are fewer)."""
    rows = np.flatnonzero(among)
    chosen = np.zeros(len(among), bool)
    chosen[rng.permutation(rows)[:count]] = True
    return chosen


def apportion(total: int, weights: Numbers) -> Integers:
    """Whole numbers proportional to `weights` that add up to `total` (largest remainders)."""
    shares = total * weights / weights.sum()
    counts = np.floor(shares).astype(np.int64)
    counts[np.argsort(counts - shares, kind="stable")[: total - int(counts.sum())]] += 1
    return counts
