"""The type of packed radiographs, apart from their decoder: mending that retrains nothing whose pixels are equal."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Pixels: TypeAlias = npt.NDArray[np.uint8]
