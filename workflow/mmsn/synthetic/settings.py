"""What the synthetic data set depends on."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mmsn.settings import Section

Share = Annotated[float, Field(gt=0, lt=1)]


class SynthSettings(Section):
    """Size, seed and truth of the synthetic data set."""

    patients: Annotated[int, Field(ge=10, le=1_000_000)] = 350
    """Patients with radiographs; MIMIC-IV holds 4.6 times as many, most without one (version 2.2)."""
    images: Annotated[int, Field(ge=10)] | None = None
    """Exact number of radiographs, at least 1.6 a patient (each has a frontal one, a third of all are lateral); null is
    the published 377,110 for 65,379 patients, scaled."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of everything: the same settings give the same bytes."""
    side: Annotated[int, Field(ge=32, le=4096)] = 512
    """Longest side of a radiograph in pixels."""
    ehr_strength: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of patients whose recorded EHR is the one that their findings and pixels were drawn from; the others'
    recorded EHR is another patient's. At 0 the EHR says nothing about findings or pixels."""
    tables_only: bool = False
    """Write tables without radiographs, with the published prevalences and split sizes (scale tests)."""
    external: bool = True
    """Also write CheXpert-shaped and NIH-14-shaped sets (never with `tables_only`)."""
    mimic_iv_version: Literal["1.0", "2.2"] = "2.2"
    """Table layout of MIMIC-IV: 1.0 has `core/` and `ethnicity`, 2.2 has `hosp/` and `race`."""
    split_shares: tuple[Share, Share, Share] | None = None
    """Shares of patients in train, validate, test of the official split file and of MedFuse's lists; null is
    0.7, 0.1, 0.2 with radiographs, and the published sizes without."""

    @model_validator(mode="after")
    def _possible(self) -> "SynthSettings":
        if self.split_shares is not None and abs(sum(self.split_shares) - 1) > 1e-9:
            raise ValueError(f"split_shares sum to {sum(self.split_shares):g}, not 1")
        if self.images is not None and self.images < 1.6 * self.patients:
            raise ValueError(f"images is {self.images}, fewer than 1.6 for each of {self.patients} patients")
        return self
