"""What the renderer is told about one radiograph, and the three seeds behind it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

EXTRA_FINDINGS: Final = ("Emphysema", "Fibrosis", "Hernia")
"""Findings that only NIH-14 labels, and only its set draws."""


@dataclass(frozen=True)
class Look:
    """Everything that is visible in a radiograph."""

    view: str
    """`AP` or `PA` (frontal), `LATERAL` or `LL` (lateral)."""
    male: bool
    age: float
    """Years."""
    recumbent: bool = False
    icu: bool = False
    died: bool = False
    findings: Mapping[str, float] = field(default_factory=dict)
    """Severity in (0, 1] of every finding that is present; 'No Finding' is their absence."""

    @property
    def lateral(self) -> bool:
        """Whether this is a lateral view."""
        return self.view in ("LATERAL", "LL")

    @property
    def years(self) -> float:
        """Ageing on a scale of 0 (25 years and younger) to 1 (90 years)."""
        return min(1.0, max(0.0, (self.age - 25) / 65))

    def severity(self, finding: str) -> float:
        """Severity in (0, 1], 0 when the finding is absent."""
        return self.findings.get(finding, 0.0)


@dataclass(frozen=True)
class Seeds:
    """Seeds of what belongs to a patient (anatomy, place of findings), a study (devices) and an image (noise)."""

    patient: tuple[int, ...]
    study: tuple[int, ...]
    image: tuple[int, ...]
