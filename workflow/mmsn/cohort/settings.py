"""What a cohort depends on."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mmsn.settings import Section

Fraction = Annotated[float, Field(gt=0, lt=1)]


class CohortSettings(Section):
    """How MIMIC-IV and MIMIC-CXR rows become images with an EHR, labels and a split (SPEC 2)."""

    linkage: Literal["day", "time"] = "day"
    """`day`: released rule, an admission or ICU stay covers the study's calendar day; WHERE SEVERAL ADMISSIONS COVER
    THE DAY, THE LAST IN FILE ORDER WINS. `time`: StudyDate+StudyTime lies between the timestamps (emergency department
    time before admission included; of several admissions the latest to start wins). flow.json counts under `linkage`
    what each rule finds, how many images it moves, and for how many the order of the file decides."""
    unlinked: Literal["zero", "unknown"] = "zero"
    """Flags of an image that no hospital stay covers. `zero`: alive and not_icu, as released. `unknown`: `mort` is
    unknown without a covering admission, `icu` without any covering stay (within an admission but outside the ICU it is
    known: not_icu); imputation, or a model's mask, deals with it."""
    views: tuple[str, ...] = ("AP", "PA", "LATERAL", "LL")
    """Views kept; images without a view are kept too and imputed later."""
    labels: Literal["chexpert", "negbio"] = "chexpert"
    """Labeller whose table is read."""
    test_labels: Literal["labeller", "radiologist"] = "labeller"
    """Labels of the test split. `radiologist`: those of MIMIC-CXR-JPG 2.1.0's `mimic-cxr-2.1.0-test-set-labeled.csv`,
    which has studies of the `official` test split; a test study that it lacks has no labels and is not evaluated."""
    uncertain: Literal["zero", "one", "ignore"] = "zero"
    """What a label of -1 becomes; blank is always 0."""
    split: Literal["medfuse", "official", "random", "file"] = "medfuse"
    """`medfuse`: patients of MedFuse's validation and test lists, all others train. `official`: MIMIC-CXR-JPG's
    split file. `random`: by patient, seeded. `file`: a table of your own (`data.split_file`), CSV or Parquet, with the
    columns `subject_id,split` or `dicom_id,split`."""
    split_seed: int = 0
    """Seed of the `random` split."""
    split_fractions: tuple[Fraction, Fraction, Fraction] = (0.8, 0.1, 0.1)
    """Shares of patients in train, validate, test of the `random` split."""
    split_stratify: bool = True
    """Exchange a few patients of the `random` split, so that each label is as frequent in every part as in the whole.
    The split then depends on the labels too; false: on the seed and the patients alone."""
    assert_published: bool = False
    """Stop the run when any count differs from the published cohort's, instead of reporting where and by how much."""

    @model_validator(mode="after")
    def _fractions_sum_to_one(self) -> "CohortSettings":
        if abs(sum(self.split_fractions) - 1) > 1e-9:
            raise ValueError(f"split_fractions sum to {sum(self.split_fractions):g}, not 1")
        return self
