"""A random forest's bootstrap over N rows, as counts of the few distinct rows among them.

Scikit-learn draws N row numbers a tree with `RandomState(seed).randint(0, N, N)` and gives the tree how often each row
came. Rows with the same values are one row to a tree, so the counts of distinct rows are all it needs. They are counted
here from the very same numbers (Mersenne twister, masked rejection: NumPy's `randint`), several times faster than by
drawing and counting in NumPy, and the forest stays scikit-learn's bit for bit.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int32]
ONE, UPPER, LOWER = np.uint32(1), np.uint32(0x80000000), np.uint32(0x7FFFFFFF)
TWIST, TEMPER_7, TEMPER_15 = np.uint32(0x9908B0DF), np.uint32(0x9D2C5680), np.uint32(0xEFC60000)
Kernel = Callable[[NDArray[np.uint32], NDArray[Any], int, int], Counts]


def bootstrap_counts(row_to_distinct: NDArray[np.intp], distinct: int, seeds: Sequence[int], threads: int) -> Counts:
    """How often each distinct row is drawn, tree by tree.

    Args:
        row_to_distinct: `[N]`, the number of each row's distinct row, in the order in which scikit-learn has the rows.
        distinct: D, how many distinct rows there are.
        seeds: T, the random state of each tree.
        threads: trees drawn at a time.

    Returns:
        `[T, D]`, each row adding up to N.
    """
    rows = len(row_to_distinct)
    # One entry for every masked number; those past the last row, which are drawn again, count to a bin of their own.
    lookup = np.full(1 << (rows - 1).bit_length(), distinct, np.min_scalar_type(distinct))
    lookup[:rows] = row_to_distinct
    kernel = compiled()

    def of_tree(seed: int) -> Counts:
        state = cast(tuple[Any, ...], np.random.RandomState(seed).get_state())
        return kernel(state[1].astype(np.uint32), lookup, rows, distinct)

    with ThreadPoolExecutor(threads) as pool:
        return np.stack(list(pool.map(of_tree, seeds)))


def draw(key: NDArray[np.uint32], lookup: NDArray[Any], rows: int, distinct: int) -> Counts:
    """One tree's draws. `key` [624] is the twister's state as seeded, which is used up.

    Source: Matsumoto and Nishimura 1998 (genrand_int32); rejection as in NumPy's random_bounded_uint64_fill. The casts
    keep the arithmetic in 32 bits, where it is vectorised.
    """
    counts = np.zeros(distinct + 1, np.int32)
    words = np.empty(624, np.uint32)
    mask = np.uint32(len(lookup) - 1)
    accepted = 0
    while accepted < rows:
        for i in range(227):
            mixed = np.uint32((key[i] & UPPER) | (key[i + 1] & LOWER))
            key[i] = key[i + 397] ^ (mixed >> ONE) ^ ((mixed & ONE) * TWIST)
        for i in range(227, 624):
            mixed = np.uint32((key[i] & UPPER) | (key[(i + 1) % 624] & LOWER))
            key[i] = key[i - 227] ^ (mixed >> ONE) ^ ((mixed & ONE) * TWIST)
        for i in range(624):
            word = np.uint32(key[i] ^ (key[i] >> np.uint32(11)))
            word = np.uint32(word ^ ((word << np.uint32(7)) & TEMPER_7))
            word = np.uint32(word ^ ((word << np.uint32(15)) & TEMPER_15))
            words[i] = np.uint32(word ^ (word >> np.uint32(18))) & mask
        if accepted + 624 <= rows:  # without a branch: four words in ten are rejected, which nothing can foresee
            for i in range(624):
                counts[lookup[words[i]]] += 1
                accepted += words[i] < rows
        else:
            for i in range(624):
                if accepted < rows:
                    counts[lookup[words[i]]] += 1
                    accepted += words[i] < rows
    return counts[:distinct]


@cache
def compiled() -> Kernel:
    """`draw` as machine code that runs without the interpreter lock (a second to compile, later read from a cache)."""
    from numba import njit

    try:
        return cast(Kernel, njit(nogil=True, cache=True)(draw))
    except (RuntimeError, OSError):  # no directory that numba may write its cache to
        return cast(Kernel, njit(nogil=True)(draw))
