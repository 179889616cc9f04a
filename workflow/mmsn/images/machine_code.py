"""Loops over pixels as machine code: how they are compiled, and how threads divide the images.

Import modules that use this only where their code is about to run: numba takes half a second to import, and the first
run on a machine compiles (seconds; later runs read numba's cache, see `NUMBA_CACHE_DIR` in numba's manual).
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar, cast

import torch
from numba import njit

F = TypeVar("F", bound=Callable[..., object])


def machine_code(signature: str) -> Callable[[F], F]:
    """Compile a function for arguments of these types, to run without the interpreter lock.

    The code is kept beside the source, else in the user's cache folder; where neither may be written it is made anew.
    """

    def compiled(function: F) -> F:
        try:
            return cast(F, njit(signature, nogil=True, error_model="numpy", cache=True)(function))
        except (RuntimeError, OSError):  # no folder that numba may write its cache to
            return cast(F, njit(signature, nogil=True, error_model="numpy")(function))

    return compiled


def part(function: F) -> F:
    """Make a function callable from machine code of the same file, as whose part it is compiled and kept."""
    return cast(F, njit(nogil=True, error_model="numpy")(function))


def in_threads(images: int, work: Callable[[int, int], None]) -> None:
    """Call `work(start, stop)` for parts of images 0..images, in as many threads as torch uses.

    Not in numba's own (`parallel=True`): they do not survive a fork with OpenMP.
    """
    threads = max(1, min(torch.get_num_threads(), images))
    bounds = [images * thread // threads for thread in range(threads + 1)]
    if threads == 1:
        work(*bounds)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, start, stop) for start, stop in pairwise(bounds)]:
            done.result()
