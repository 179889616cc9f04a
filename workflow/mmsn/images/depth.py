"""More than eight bits a pixel -> eight."""

import numpy as np
import numpy.typing as npt


def eight_bit(levels: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
    """Scale levels of any shape down from the smallest of 8, 10, 12, 14, 16 bits that holds their maximum.

    Detector data has 12 bits or so in its 16: from 65535 it would come out black.
    """
    inside = levels.astype(np.int64).clip(0, 65535)
    bits = max(8, int(inside.max()).bit_length())
    bits += bits % 2
    return np.round(inside * (255 / (2**bits - 1))).astype(np.uint8)
