"""Other data sets in the DAG: CheXpert by MIMIC-CXR's models, NIH-14 by a head of its own, a third by a table."""

import sys

import pandas as pd
import pytest
import safetensors
import timm
import yaml

from mmsn.labels import LABELS, NIH_LABELS
from tests.workflow.project import ROOT, Project

pytestmark = pytest.mark.workflow
OPTIONS = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 1, "num_heads": 2}
"""The backbone of ci.yaml."""


def predictions(project: Project, data_set: str, protocol: str = "linear") -> pd.DataFrame:
    """Of the vanilla MSN."""
    folder = f"results/evaluate/{protocol}/{data_set}/vit-ci/msn/seed0"
    return pd.read_parquet(project.folder / folder / "predictions.parquet")


@pytest.mark.parametrize(
    ("data_set", "protocol", "labels"),
    [("chexpert", "linear", LABELS), ("chexpert", "finetune", LABELS), ("nih-14", "linear", NIH_LABELS.names)],
)
def test_every_test_image_has_a_score_for_every_label_of_its_data_set(finished, data_set, protocol, labels):
    scored = predictions(finished[0], data_set, protocol)
    cohort = pd.read_parquet(finished[0].folder / f"results/cohort/{data_set}/images.parquet")
    tested = cohort[cohort.split == "test"]
    assert len(scored) == len(labels) * len(tested)
    assert set(scored.dicom_id) == set(tested.dicom_id)
    assert tuple(scored.label.unique()) == labels
    truth = scored.pivot_table("target", "dicom_id", "label", observed=True).loc[tested.dicom_id, list(labels)]
    assert (truth.to_numpy() == tested[list(labels)].to_numpy()).all()


def test_of_chexpert_the_test_images_alone_are_packed_and_of_nih_all(finished):
    for data_set, splits in (("chexpert", {"test"}), ("nih-14", {"train", "validate", "test"})):
        packed = pd.read_parquet(finished[0].folder / f"results/images/{data_set}/index.parquet")
        cohort = pd.read_parquet(finished[0].folder / f"results/cohort/{data_set}/images.parquet")
        assert set(packed.dicom_id) == set(cohort.dicom_id[cohort.split.isin(splits)])


def test_their_tables_say_whose_head_it_was(finished):
    tables = finished[0].folder / "results/tables"
    assert "Linear evaluation of ViT-ci on CheXpert" in (tables / "linear_chexpert_vit-ci.md").read_text()
    for protocol in ("linear", "finetune"):
        text = (tables / f"{protocol}_chexpert_vit-ci.md").read_text()
        assert "The head trained on MIMIC-CXR is used as it is." in text
    text = (tables / "linear_nih-14_vit-ci.md").read_text()
    assert "used as it is" not in text
    by_label = pd.read_csv(tables / "labels_linear_nih-14_vit-ci.csv")
    assert set(by_label.label) == set(NIH_LABELS.names)


def test_a_fine_tuned_encoder_loads_into_timm_and_its_head_lies_beside_it(finished):
    folder = finished[0].folder / "results/evaluate/finetune/mimic-cxr/vit-ci/msn/seed0"
    path = str(folder / "encoder.safetensors")
    timm.create_model("vit_tiny_patch16_224", num_classes=0, checkpoint_path=path, **OPTIONS)
    with safetensors.safe_open(folder / "head.safetensors", framework="pt") as head:
        assert head.metadata()["protocol"] == "finetune"
        assert head.get_tensor("weight").shape == (14, 32)


@pytest.fixture(scope="module")
def my_set(finished) -> Project:
    """The worked example of docs/adding/data-set.md: images in a table, with two columns of findings."""
    project = finished[0]
    entries = pd.read_csv(next((project.folder / "data/nih-14").glob("Data_Entry_2017*.csv")))
    findings = entries["Finding Labels"].str
    table = pd.DataFrame(
        {
            "path": "images/" + entries["Image Index"],
            "patient": entries["Patient ID"],
            "split": "test",
            "infiltrate": findings.contains("Infiltration").astype(int),
            "effusion": findings.contains("Effusion").astype(int),
        }
    )
    table.to_csv(project.folder / "my-set.csv", index=False)
    labels = {"infiltrate": "Lung Opacity", "effusion": "Pleural Effusion"}
    said = {"images": "my-set.csv", "root": "data/nih-14", "labels": labels, "head": "mimic"}
    (project.folder / "my-set.yaml").write_text(yaml.safe_dump({"external": {"my-set": said}}))
    return project


def run_with_my_set(project: Project, *targets: str):
    configs = ("--configfile", "workflow/configs/ci.yaml", "my-set.yaml")
    return project.run(sys.executable, "-m", "snakemake", "--cores", "2", *targets, *configs)


def test_any_further_data_set_is_judged_by_a_table_and_a_label_map(my_set):
    done = run_with_my_set(my_set, "results/tables/linear_my-set_vit-ci.md")
    assert done.returncode == 0, done.stdout
    scored = predictions(my_set, "my-set")
    assert len(scored) == 14 * len(pd.read_csv(my_set.folder / "my-set.csv"))
    known = scored[scored.target.notna()]
    assert set(known.label) == {"Lung Opacity", "Pleural Effusion"}
    text = (my_set.folder / "results/tables/linear_my-set_vit-ci.md").read_text()
    assert "Macro mean over 2 of 14 labels" in text
    assert "Atelectasis (no image with a known target)" in text


def test_a_column_that_its_table_does_not_have_stops_before_anything_runs(my_set):
    table = pd.read_csv(my_set.folder / "my-set.csv").drop(columns="effusion")
    table.to_csv(my_set.folder / "other.csv", index=False)
    config = my_set.folder / "my-set.yaml"
    text = config.read_text()
    config.write_text(text.replace("my-set.csv", "other.csv"))
    done = run_with_my_set(my_set, "--dry-run")
    config.write_text(text)
    assert done.returncode != 0
    assert "error: other.csv: column 'effusion' is missing (found: path, patient, split, infiltrate)" in done.stdout


def test_the_docs_show_the_same_example(my_set):
    text = (ROOT / "docs/adding/data-set.md").read_text()
    shown = yaml.safe_load(text.partition("```yaml\n")[2].partition("```")[0])["external"]["my-set"]
    ran = yaml.safe_load((my_set.folder / "my-set.yaml").read_text())["external"]["my-set"]
    assert set(shown) == set(ran)
    assert (shown["labels"], shown["head"]) == (ran["labels"], ran["head"])
