"""What the tables beyond the linear AUROC depend on."""

from typing import Annotated

from pydantic import Field, model_validator

from mmsn.evaluation.settings import MethodChoice
from mmsn.settings import Section

Count = Annotated[int, Field(ge=1)]


class RepresentationSettings(Section):
    """What frozen embeddings look like and what they know of the patient."""

    methods: MethodChoice = "all"
    """Whose embeddings are measured: `all`, `published` (what the paper fine-tunes), or a list, written as in
    `runs.methods`; [] for none. It costs one pass of each encoder over the images below."""
    train_images: Count | None = 100_000
    """Labelled training images embedded at most, whole patients drawn at random, the same ones for every encoder; null:
    all."""
    quality_images: Annotated[int, Field(ge=10)] = 5000
    """Test images that silhouette, Davies-Bouldin, Calinski-Harabasz and RankMe are taken on at most, whole patients
    drawn at random (the silhouette compares every pair)."""
    neighbours: Count = 20
    """Training images whose labels the k-NN classifier averages, the nearest by cosine."""
    min_class: Annotated[int, Field(ge=2)] = 10
    """Images that a class needs: a single label to be a cluster, either value of an attribute to be probed for."""


class SubgroupSettings(Section):
    """Metrics by group of patients, and calibration."""

    enabled: bool = True
    """Whether the study has these tables; they are made from predictions alone."""
    age_bands: tuple[Annotated[int, Field(ge=1)], ...] = (40, 60, 80)
    """Ages in years at which a new band begins."""
    min_patients: Annotated[int, Field(ge=2)] = 20
    """Patients that a group needs; a smaller one is reported as excluded."""
    min_class: Count = 10
    """Positive, and negative, images that a label needs for its calibration; others are reported as excluded."""
    bins: Annotated[int, Field(ge=2)] = 10
    """Bins of equal width of the expected calibration error."""

    @model_validator(mode="after")
    def _bands_rise(self) -> "SubgroupSettings":
        if sorted(set(self.age_bands)) != list(self.age_bands):
            raise ValueError(f"age_bands: {list(self.age_bands)} do not rise; give each age once, the youngest first")
        return self
