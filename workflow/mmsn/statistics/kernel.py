"""The compiled loop of the bootstrap: one label, every resample, one pass over the sorted images."""

from collections.abc import Callable
from functools import cache
from typing import TypeAlias, cast

import numpy as np

from mmsn.statistics.ranking import Counts, Flags, Floats, Integers

Kernel: TypeAlias = Callable[[Counts, Integers, Flags, Flags, int, int, Floats, Floats], None]
_SIGNATURE = "void(uint16[:, ::1], int64[::1], boolean[::1], boolean[::1], int64, int64, float64[::1], float64[::1])"


def resampled_metrics(
    weights: Counts,
    order: Integers,
    positive: Flags,
    last: Flags,
    start: int,
    stop: int,
    auroc: Floats,
    auprc: Floats,
) -> None:
    """Fill `auroc` and `auprc` [R] for resamples start..stop of one label.

    Images come best score first (`Ranking`). Each row of `weights` [N, R] holds one image's counts in all
    resamples side by side, so every loop below runs over consecutive memory and becomes vector instructions.

    Counts are integers, so AUROC is exact up to its one division. A resample without a positive or a negative
    gives NaN.
    """
    width = stop - start
    negatives = np.zeros(width, np.int32)  # with a score of at least the present one
    above = np.zeros(width, np.int32)  # negatives of the groups before the present one
    positives = np.zeros(width, np.int32)
    group = np.zeros(width, np.int32)  # positives of the present group of equal scores
    lost = np.zeros(width, np.int64)  # twice the pairs in which the negative wins; a tie is half a pair
    precision = np.zeros(width, np.float64)
    group_has_positive = False
    for image in range(order.size):
        count = weights[order[image], start:stop]
        if positive[image]:
            group_has_positive = True
            for r in range(width):
                group[r] += count[r]
        else:
            for r in range(width):
                negatives[r] += count[r]
        if not last[image]:
            continue
        if group_has_positive:
            group_has_positive = False
            for r in range(width):
                positives[r] += group[r]
                lost[r] += np.int64(group[r]) * np.int64(above[r] + negatives[r])
                called = max(positives[r] + negatives[r], 1)  # nothing drawn yet: the group adds 0, not 0/0
                precision[r] += group[r] * (positives[r] / np.float64(called))
                group[r] = 0
        for r in range(width):
            above[r] = negatives[r]
    for r in range(width):
        if positives[r] == 0 or negatives[r] == 0:
            auroc[start + r] = np.nan
            auprc[start + r] = np.nan
        else:
            auroc[start + r] = 1 - lost[r] / (2.0 * positives[r] * negatives[r])
            auprc[start + r] = precision[r] / positives[r]


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
