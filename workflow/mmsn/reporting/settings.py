"""What the statistics of the tables depend on."""

from typing import Annotated

from pydantic import Field

from mmsn.settings import Section


class StatisticsSettings(Section):
    """Bootstrap and comparisons (SPEC 4)."""

    resamples: Annotated[int, Field(ge=10)] = 1000
    """Bootstrap resamples."""
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Coverage of the intervals."""
    seed: int = 0
    """Seed of the resamples, which every model and label shares."""
    baseline: str = "msn"
    """Method that the others are compared with."""
