"""Attributes of the patient and the picture that embeddings are probed for."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from mmsn.statistics.ranking import Floats


@dataclass(frozen=True)
class Attribute:
    """Two groups of values of one column of images.parquet, or of numbers; other values count as unknown."""

    id: str
    name: str
    """Name in tables; the first group is the positive one."""
    column: str
    positive: Collection[str] = ()
    negative: Collection[str] = ()
    at_least: float | None = None
    """Of a number: the positive group are those that reach it."""

    def targets(self, images: pd.DataFrame) -> Floats:
        """1, 0, or NaN where unknown, of every image: [N]."""
        values = images[self.column]
        if self.at_least is not None:
            numbers = values.to_numpy(np.float64, na_value=np.nan)
            return np.where(np.isnan(numbers), np.nan, np.where(numbers >= self.at_least, 1.0, 0.0))
        return np.where(values.isin(self.positive), 1.0, np.where(values.isin(self.negative), 0.0, np.nan))


PROBED: Final = (
    Attribute("sex", "Sex: F or M", "sex", {"F"}, {"M"}),
    Attribute("age", "Age: 65 or older", "age", at_least=65),
    Attribute("frontal", "View: lateral or frontal", "view", {"LATERAL", "LL"}, {"AP", "PA"}),
    Attribute("ap", "View: AP or PA", "view", {"AP"}, {"PA"}),
    Attribute("pos", "Position: recumbent or erect", "pos", {"Recumbent"}, {"Erect"}),
    Attribute("mort", "Died in hospital", "mort", {"died"}, {"alive"}),
    Attribute("icu", "In an ICU", "icu", {"icu"}, {"not_icu"}),
)
AGE: Final = "age"
