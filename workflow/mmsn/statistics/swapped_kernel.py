"""The compiled loop of the permutation check: one label, every permutation, both models in one pass."""

from collections.abc import Callable
from functools import cache
from typing import TypeAlias, cast

import numpy as np

from mmsn.statistics.kernel import compile_loop
from mmsn.statistics.ranking import Counts, Flags, Floats, Integers

SwappedKernel: TypeAlias = Callable[[Counts, Integers, Flags, Flags, int, int, Floats, Floats], None]
_SIGNATURE = (
    "void(uint16[:, ::1], int64[::1], boolean[::1], boolean[::1], int64, int64, float64[:, ::1], float64[:, ::1])"
)


def swapped_metrics(
    weights: Counts,
    order: Integers,
    positive: Flags,
    last: Flags,
    start: int,
    stop: int,
    auroc: Floats,
    auprc: Floats,
) -> None:
    """Fill `auroc` and `auprc` [2, R] of one label for permutations start..stop: first permuted model, and second.

    `weights` [2N, R] are 1 where a score counts for the first model, else 0; the second model has just the others. So
    its counts are what has been seen less the first model's, and one pass over the scores serves both: the numbers are
    those of two passes of `kernel.resampled_metrics`, to the bit. Each permuted model has each image once, so classes
    that are there are there in every permutation.

    Scores come best first (`Ranking`), ties as one group.
    """
    width = stop - start
    negatives = np.zeros(width, np.int32)
    above = np.zeros(width, np.int32)
    positives = np.zeros(width, np.int32)
    group = np.zeros(width, np.int32)
    lost = np.zeros((2, width), np.int64)
    precision = np.zeros((2, width), np.float64)
    seen_negatives = seen_above = seen_positives = in_group = 0  # of both models together
    for image in range(order.size):
        count = weights[order[image], start:stop]
        if positive[image]:
            in_group += 1
            for r in range(width):
                group[r] += count[r]
        else:
            seen_negatives += 1
            for r in range(width):
                negatives[r] += count[r]
        if not last[image]:
            continue
        if in_group > 0:
            seen_positives += in_group
            for r in range(width):
                positives[r] += group[r]
                lost[0, r] += np.int64(group[r]) * np.int64(above[r] + negatives[r])
                called = max(positives[r] + negatives[r], 1)
                precision[0, r] += group[r] * (positives[r] / np.float64(called))
                others = in_group - group[r]
                other_positives = seen_positives - positives[r]
                other_negatives = seen_negatives - negatives[r]
                lost[1, r] += np.int64(others) * np.int64(seen_above - above[r] + other_negatives)
                called = max(other_positives + other_negatives, 1)
                precision[1, r] += others * (other_positives / np.float64(called))
                group[r] = 0
            in_group = 0
        seen_above = seen_negatives
        for r in range(width):
            above[r] = negatives[r]
    own_positives, own_negatives = seen_positives // 2, seen_negatives // 2
    for model in range(2):
        for r in range(width):
            if own_positives == 0 or own_negatives == 0:
                auroc[model, start + r] = np.nan
                auprc[model, start + r] = np.nan
            else:
                auroc[model, start + r] = 1 - lost[model, r] / (2.0 * own_positives * own_negatives)
                auprc[model, start + r] = precision[model, r] / own_positives


@cache
def compiled() -> SwappedKernel:
    """`swapped_metrics` as machine code, as `kernel.compiled`."""
    return cast(SwappedKernel, compile_loop(swapped_metrics, _SIGNATURE))
