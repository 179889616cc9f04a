"""How the C library treats memory that tensors give back on a CPU."""

import ctypes
from typing import Final

# of glibc's malloc.h; mallopt(3)
_TRIM_THRESHOLD: Final = -1
_MMAP_MAX: Final = -4


def keep_freed_memory() -> None:
    """Keep freed memory for the next tensor instead of handing it back to the system; glibc only.

    A training step frees all that it kept for its backward pass. Handed back, gigabytes come again page by page, each
    one cleared, in the next step. On a GPU torch itself keeps what is freed.
    """
    adjust = getattr(ctypes.CDLL(None), "mallopt", None)
    if adjust is not None:
        adjust(_TRIM_THRESHOLD, -1)  # never give back the heap's end
        adjust(_MMAP_MAX, 0)  # no mapping of its own for a large tensor, which would go when it is freed
