"""How the C library treats memory that tensors give back on a CPU."""

import ctypes
from typing import Final

_TRIM_THRESHOLD: Final = -1  # of glibc's malloc.h
_MMAP_THRESHOLD: Final = -3
_NEVER: Final = 2**31 - 1


def keep_freed_memory() -> None:
    """Keep freed memory for the next tensor instead of handing it back to the system; glibc only.

    A training step frees all that it kept for its backward pass. Handed back, gigabytes come again page by page, each
    one cleared, in the next step. torch does the same on a GPU of its own accord.
    """
    adjust = getattr(ctypes.CDLL(None), "mallopt", None)
    if adjust is not None:
        adjust(_TRIM_THRESHOLD, _NEVER)
        adjust(_MMAP_THRESHOLD, _NEVER)
