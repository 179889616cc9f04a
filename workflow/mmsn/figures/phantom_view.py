"""The radiograph that stands for all others where no patient's may be shown."""

import numpy as np
from numpy.typing import NDArray

from mmsn.synthetic.phantom import Look, Seeds, render


def phantom_radiograph(side: int, seed: int = 0) -> NDArray[np.uint8]:
    """Draw a synthetic frontal radiograph [side, side]; the same seed draws the same one."""
    look = Look("PA", male=True, age=60.0, findings={"Cardiomegaly": 0.5, "Pleural Effusion": 0.5})
    return render(look, Seeds((seed, 1), (seed, 2), (seed, 3)), side, side)
