"""Pieces of work side by side, each on one thread of the linear algebra library."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import TypeVar

from threadpoolctl import threadpool_limits

Item = TypeVar("Item")
Result = TypeVar("Result")


def one_blas_thread() -> AbstractContextManager[object]:
    """A context in which the linear algebra library uses one thread.

    Its own threads wait for each other at every small product: with two on two cores shared with another program, the
    demo's measures took five times the CPU time. One also makes results the same on any number of cores.
    """
    limits: AbstractContextManager[object] = threadpool_limits(limits=1, user_api="blas")
    return limits


def side_by_side(work: Callable[[Item], Result], items: Iterable[Item], threads: int | None) -> list[Result]:
    """Results in the order of the items.

    Args:
        work: numpy's for the most part, which lets go of the interpreter.
        items: one a call.
        threads: calls at once; Python's own choice when None.
    """
    with one_blas_thread(), ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, items))
