"""Every figure of the smallest study: drawn from what is stored, naming no patient, showing patients only on demand."""

import re
import shutil

import pyarrow.parquet as pq
import pytest

from tests.workflow.project import Project, planned_rules

pytestmark = pytest.mark.workflow
TRAINING = {"pretrain", "embed", "linear", "finetune", "low_data", "tsne", "attention", "measure_groups"}
TRAINING |= {"statistics", "low_data_statistics", "variant_statistics"}
DRAWN = (
    "ehr_distributions_mimic-cxr",
    "masking_patient_vit-ci",
    "tsne_mimic-cxr_vit-ci",
    "attention_mimic-cxr_vit-ci",
    "attention_heads_mimic-cxr_vit-ci",
    "label_differences_linear_mimic-cxr_vit-ci",
    "learning_curves_finetune_mimic-cxr_vit-ci",
    "calibration_mimic-cxr_vit-ci",
    "subgroups_mimic-cxr_vit-ci",
)


@pytest.mark.parametrize("name", DRAWN)
def test_every_figure_is_there_in_both_formats_and_names_no_patient(finished: tuple[Project, str], name: str) -> None:
    figures = finished[0].folder / "results" / "figures"
    svg = (figures / f"{name}.svg").read_text()
    assert "</text>" in svg
    assert (figures / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    cohort = finished[0].folder / "results" / "cohort" / "mimic-cxr" / "images.parquet"
    ids = pq.read_table(cohort, columns=["dicom_id", "subject_id"])
    names = {*ids["dicom_id"].to_pylist(), *map(str, ids["subject_id"].to_pylist())}
    assert not [one for one in names if one in svg]


def test_a_protocol_with_nothing_to_compare_has_no_heat_map(finished: tuple[Project, str]) -> None:
    figures = finished[0].folder / "results" / "figures"
    assert not list(figures.glob("label_differences_finetune_*"))


def test_drawing_all_figures_again_trains_embeds_and_measures_nothing(finished: tuple[Project, str]) -> None:
    figures = finished[0].folder / "results" / "figures"
    kept = figures.with_name("figures-kept")
    shutil.move(figures, kept)
    try:
        planned = planned_rules(finished[0].snakemake("figures", "--dry-run").stdout)
    finally:
        shutil.move(kept, figures)
    assert {"tsne_maps", "learning_curves", "masking", "forest"} <= planned
    assert not planned & TRAINING


def test_patients_images_are_in_no_plan_unless_the_study_says_so(fresh: Project) -> None:
    fresh.edit("workflow/configs/ci.yaml", "patient_images: true", "patient_images: false")
    planned = planned_rules(fresh.snakemake("--dry-run").stdout)
    assert {"masking", "tsne_maps"} <= planned
    assert not planned & {"attention", "attention_maps"}


def test_a_picture_of_a_patient_shares_its_name_with_no_figure_of_a_study_that_shows_none(fresh: Project) -> None:
    """A report takes what lies on disk: a name in both plans would show the patient after the study said no."""

    def planned_figures() -> set[str]:
        return set(re.findall(r"figures/([\w.-]+\.(?:svg|png))", fresh.snakemake("figures", "--dry-run").stdout))

    with_patients = planned_figures()
    fresh.edit("workflow/configs/ci.yaml", "patient_images: true", "patient_images: false")
    without = planned_figures()
    of_patients = {name for name in with_patients if name.startswith(("masking", "attention"))}
    assert len(of_patients) == 6
    assert not of_patients & without
    assert without - with_patients == {"masking_vit-ci.svg", "masking_vit-ci.png"}
    assert with_patients - without == of_patients


def test_a_figure_without_its_data_is_not_asked_for(fresh: Project) -> None:
    fresh.edit("workflow/configs/ci.yaml", "low_data: {shares: [0.2], draws: 2}", "low_data: {protocols: []}")
    fresh.edit("workflow/configs/ci.yaml", "tsne_methods: [msn]", "tsne_methods: []")
    with (fresh.folder / "workflow/configs/ci.yaml").open("a") as config:
        config.write("\nsubgroups: {enabled: false}\n")
    planned = planned_rules(fresh.snakemake("figures", "--dry-run").stdout)
    assert "ehr_distributions" in planned
    assert not planned & {"learning_curves", "tsne", "tsne_maps", "calibration_curves", "subgroup_gaps"}
