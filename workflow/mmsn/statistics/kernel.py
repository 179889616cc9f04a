"""The compiled loop of the bootstrap: one label, every resample, one pass over the sorted images."""

from collections.abc import Callable
from functools import cache
from typing import Final, TypeAlias, cast

import numpy as np

from mmsn.statistics.ranking import Bytes, Flags, Floats, Integers

Kernel: TypeAlias = Callable[[Bytes, Integers, Flags, Integers, Integers, int, int, bool, Floats, Floats], None]
_SIGNATURE = (
    "void(uint8[:, ::1], int64[::1], boolean[::1], int64[::1], int64[::1], int64, int64, boolean, "
    + "float64[::1], float64[::1])"
)
LARGEST_COUNT: Final = 15
"""Of a unit in a resample: sixteen rows are added in bytes. Drawing n of n reaches 16 once in 10^13 counts."""
_ROWS_IN_BYTES: Final = 16
_PRODUCTS: Final = 16
"""Precisions added over one common denominator before it is divided by: totals below 10^6 to the 16th are far from the
largest float64, and the sum is as exact as one of that many divisions."""


def resampled_metrics(
    weights: Bytes,
    units: Integers,
    positive: Flags,
    starts: Integers,
    stops: Integers,
    start: int,
    stop: int,
    precise: bool,
    auroc: Floats,
    auprc: Floats,
) -> None:
    """Fill `auroc` and `auprc` [R] for resamples start..stop of one label.

    Images come best score first (`Ranking`); `units` [n] is the row of `weights` [U, R] of each: its own, or its
    patient's, so that the few patients' rows stay near the processor. A row holds one unit's counts in all resamples
    side by side, so every loop below runs over consecutive memory and becomes vector instructions. Groups of equal
    scores without a positive image only add negatives; `starts` and `stops` [G] are those with one, and end with an
    empty group after the last image. Unless `precise`, `auprc` is filled with NaN.

    Counts are integers, so AUROC is exact up to its one division. A resample without a positive or a negative
    gives NaN.
    """
    width = stop - start
    negatives = np.zeros(width, np.int32)  # with a score of at least the present one
    above = np.zeros(width, np.int32)  # negatives of the groups before the present one
    positives = np.zeros(width, np.int32)
    group = np.zeros(width, np.int32)  # positives of the present group of equal scores
    lost = np.zeros(width, np.int64)  # twice the pairs in which the negative wins; a tie is half a pair
    few = np.zeros(width, np.uint8)  # negatives not yet added
    pairs = np.zeros(width, np.int32)  # lost pairs not yet added
    precision = np.zeros(width, np.float64)
    numerator, denominator = np.zeros(width, np.float64), np.ones(width, np.float64)  # of precision not yet added
    image = waiting = 0
    for place in range(starts.size):
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
        if stops[place] - image == 1:  # one positive image without a tie
            a = weights[units[image], start:stop]
            if precise:
                for r in range(width):
                    count = np.int32(a[r])
                    found = np.int32(positives[r] + count)
                    positives[r] = found
                    pairs[r] += np.int32(count * negatives[r])
                    called = np.float64(
                        max(np.int32(found + negatives[r]), np.int32(1))
                    )  # nothing drawn yet: 0, not 0/0
                    numerator[r] = numerator[r] * called + np.float64(np.int32(count * found)) * denominator[r]
                    denominator[r] *= called
            else:
                for r in range(width):
                    count = np.int32(a[r])
                    positives[r] += count
                    pairs[r] += np.int32(count * negatives[r])
            waiting += 1
        elif stops[place] > image:
            for r in range(width):
                above[r] = negatives[r]
                group[r] = 0
            for tied in range(image, stops[place]):
                a = weights[units[tied], start:stop]
                counted = group if positive[tied] else negatives
                for r in range(width):
                    counted[r] += a[r]
            for r in range(width):
                positives[r] += group[r]
                lost[r] += np.int64(group[r]) * np.int64(above[r] + negatives[r])
                precision[r] += group[r] * (positives[r] / np.float64(max(positives[r] + negatives[r], 1)))
        image = stops[place]
        if waiting == _PRODUCTS or place == starts.size - 1:
            waiting = 0
            for r in range(width):
                lost[r] += 2 * np.int64(pairs[r])
                precision[r] += numerator[r] / denominator[r]
                pairs[r], numerator[r], denominator[r] = 0, 0, 1
    for r in range(width):
        if positives[r] == 0 or negatives[r] == 0:
            auroc[start + r] = np.nan
            auprc[start + r] = np.nan
        else:
            auroc[start + r] = 1 - lost[r] / (2.0 * positives[r] * negatives[r])
            auprc[start + r] = precision[r] / positives[r] if precise else np.nan


@cache
def compiled() -> Kernel:
    """`resampled_metrics` as machine code that runs without the interpreter lock.

    Numba is imported and the code compiled (1.5 s, later read from numba's cache) only when first asked for.
    Threads come from the caller: numba's own (`parallel=True`) do not survive a fork with OpenMP, and crash
    when two threads call in without it.
    """
    return cast(Kernel, compile_loop(resampled_metrics, _SIGNATURE))


def compile_loop(loop: Callable[..., None], signature: str) -> Callable[..., None]:
    """A loop over arrays as machine code."""
    try:
        return _compile(loop, signature, keep=True)
    except (RuntimeError, OSError):  # no directory that numba may write its cache to
        return _compile(loop, signature, keep=False)


def _compile(loop: Callable[..., None], signature: str, keep: bool) -> Callable[..., None]:
    from numba import njit

    to_machine_code = njit(signature, nogil=True, error_model="numpy", cache=keep)
    return cast(Callable[..., None], to_machine_code(loop))
