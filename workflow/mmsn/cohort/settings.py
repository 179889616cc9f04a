"""What a cohort depends on."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mmsn.settings import Section

Fraction = Annotated[float, Field(gt=0, lt=1)]


class CohortSettings(Section):
    """How MIMIC-IV and MIMIC-CXR rows become images with an EHR, labels and a split (SPEC 2)."""

    linkage: Literal["day", "time"] = "day"
    """`day`: released rule, an admission or ICU stay covers the study's calendar day (of several admissions the
    last in file order wins). `time`: StudyDate+StudyTime lies between the timestamps (emergency department time
    before admission included; of several admissions the latest to start wins)."""
    views: tuple[str, ...] = ("AP", "PA", "LATERAL", "LL")
    """Views kept; images without a view are kept too and imputed later."""
    labels: Literal["chexpert", "negbio"] = "chexpert"
    """Labeller whose table is read."""
    uncertain: Literal["zero", "one", "ignore"] = "zero"
    """What a label of -1 becomes; blank is always 0."""
    split: Literal["medfuse", "official", "random"] = "medfuse"
    """`medfuse`: patients of MedFuse's validation and test lists, all others train. `official`: MIMIC-CXR-JPG's
    split file. `random`: by patient, seeded."""
    split_seed: int = 0
    """Seed of the `random` split."""
    split_fractions: tuple[Fraction, Fraction, Fraction] = (0.8, 0.1, 0.1)
    """Shares of patients in train, validate, test of the `random` split."""

    @model_validator(mode="after")
    def _fractions_sum_to_one(self) -> "CohortSettings":
        if abs(sum(self.split_fractions) - 1) > 1e-9:
            raise ValueError(f"split_fractions sum to {sum(self.split_fractions):g}, not 1")
        return self
