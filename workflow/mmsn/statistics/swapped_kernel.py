"""The compiled loop of the permutation check: one label, every permutation, both models in one pass."""

from collections.abc import Callable
from functools import cache
from typing import Final, TypeAlias, cast

import numpy as np

from mmsn.statistics.kernel import compile_loop
from mmsn.statistics.ranking import Bytes, Flags, Floats, Integers

SwappedKernel: TypeAlias = Callable[[Bytes, Integers, Flags, Integers, Integers, int, int, Floats, Floats], None]
_SIGNATURE = (
    "void(uint8[:, ::1], int64[::1], boolean[::1], int64[::1], int64[::1], int64, int64, "
    + "float64[:, ::1], float64[:, ::1])"
)
_ROWS_IN_BYTES: Final = 240  # of ones


def swapped_metrics(
    weights: Bytes,
    units: Integers,
    positive: Flags,
    starts: Integers,
    stops: Integers,
    start: int,
    stop: int,
    auroc: Floats,
    auprc: Floats,
) -> None:
    """Fill `auroc` and `auprc` [2, R] of one label for permutations start..stop: first permuted model, and second.

    `weights` [2P, R] are 1 where the scores of a patient's images count for the first model, else 0; the second model
    has just the others. So its counts are what has been seen less the first model's, and one pass over the scores
    serves both: the numbers are those of two passes of `kernel.resampled_metrics`, whose arguments these are.
    Each permuted model has each image once, so classes that are there are there in every permutation.
    """
    width = stop - start
    negatives = np.zeros(width, np.int32)
    above = np.zeros(width, np.int32)
    positives = np.zeros(width, np.int32)
    group = np.zeros(width, np.int32)
    few = np.zeros(width, np.uint8)
    lost = np.zeros((2, width), np.int64)
    precision = np.zeros((2, width), np.float64)
    seen_negatives = seen_positives = image = 0  # of both models together
    for place in range(starts.size):
        seen_negatives += starts[place] - image
        while image < starts[place]:
            end = min(image + _ROWS_IN_BYTES, starts[place])
            while image + 4 <= end:
                a, b = weights[units[image], start:stop], weights[units[image + 1], start:stop]
                c, d = weights[units[image + 2], start:stop], weights[units[image + 3], start:stop]
                for r in range(width):
                    few[r] += np.uint8(a[r] + b[r] + c[r] + d[r])
                image += 4
            while image < end:
                a = weights[units[image], start:stop]
                for r in range(width):
                    few[r] += a[r]
                image += 1
            for r in range(width):
                negatives[r] += few[r]
                few[r] = 0
        if image == stops[place]:  # the empty group at the end
            continue
        seen_above, in_group = seen_negatives, 0
        for tied in range(image, stops[place]):
            in_group += positive[tied]
        if stops[place] - image == 2 and in_group == 1:  # midranks are the same numbers in both models: the usual group
            seen_positives += 1
            seen_negatives += 1
            own = image if positive[image] else image + 1
            a, b = weights[units[own], start:stop], weights[units[2 * image + 1 - own], start:stop]
            all_positives, all_negatives = np.int32(seen_positives), np.int32(seen_negatives)
            all_above = np.int32(seen_above)
            for r in range(width):
                mine = np.int32(a[r])  # 1 where the first model has the positive, else the second has it
                before = negatives[r]
                negatives[r] = np.int32(before + b[r])
                positives[r] = np.int32(positives[r] + mine)
                true = positives[r] if mine == 1 else np.int32(all_positives - positives[r])
                false = negatives[r] if mine == 1 else np.int32(all_negatives - negatives[r])
                over = before if mine == 1 else np.int32(all_above - before)
                losing, right = np.int32(over + false), np.float64(true) / np.float64(np.int32(true + false))
                lost[0, r] += np.int32(losing * mine)
                lost[1, r] += np.int32(losing * np.int32(1 - mine))
                precision[0, r] += right * np.float64(mine)
                precision[1, r] += right * np.float64(np.int32(1 - mine))
            image = stops[place]
            continue
        for r in range(width):
            above[r] = negatives[r]
            group[r] = 0
        for tied in range(image, stops[place]):
            a = weights[units[tied], start:stop]
            counted = group if positive[tied] else negatives
            for r in range(width):
                counted[r] += a[r]
        seen_positives += in_group
        seen_negatives += stops[place] - image - in_group
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
        image = stops[place]
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
