"""CheXpert: the tables in their own layouts, uncertain labels by policy, any of two sets to test on."""

import re
from pathlib import Path

import pytest

from mmsn.cohort.external.result import images_schema
from mmsn.labels import LABELS
from mmsn.synthetic.chexpert import write_chexpert
from mmsn.synthetic.settings import SynthSettings
from tests.unit.external_tables import CHEXPERT, LABEL_HEADER, but, chexpert_of, counts, error_of, run, values, write

GROUND_TRUTH = f"Study,{LABEL_HEADER}CheXpert-v1.0/test/patient64741/study1,0,1,1,1,0,0,0,0,0,0,0,0,0,1\n"


def test_the_example_as_images_parquet(tmp_path: Path) -> None:
    cohort = chexpert_of(write(tmp_path, CHEXPERT))
    assert cohort.images.schema.equals(images_schema(LABELS))
    (row,) = [row for row in cohort.images.to_pylist() if row["dicom_id"] == "patient00002_study2_view2_lateral"]
    expected = {"subject_id": 2, "study_id": 2002, "path": "train/patient00002/study2/view2_lateral.jpg"}
    expected |= {"split": "train", "labelled": True, "sex": "M", "age": 87.0, "view": "LATERAL"}
    expected |= {"pos": None, "mort": None, "icu": None, "study_time": None}
    expected |= {name: float(name in ("Lung Opacity", "Fracture")) for name in LABELS}
    assert {name: row[name] for name in expected} == expected


def test_train_valid_and_test_are_the_splits(tmp_path: Path) -> None:
    split = list(values(chexpert_of(write(tmp_path, CHEXPERT)), "split").values())
    assert split == ["train"] * 4 + ["validate"] + ["test"] * 2


def test_the_test_tables_know_no_sex_and_age_but_the_path_knows_laterals(tmp_path: Path) -> None:
    images = chexpert_of(write(tmp_path, CHEXPERT)).images.to_pylist()
    test = [(row["sex"], row["age"], row["view"]) for row in images if row["split"] == "test"]
    assert test == [(None, None, None), (None, None, "LATERAL")]


def test_a_decubitus_view_is_not_mimics_ll_and_an_unknown_sex_is_null(tmp_path: Path) -> None:
    cohort = chexpert_of(write(tmp_path, CHEXPERT))
    name = "patient00003_study1_view1_frontal"
    assert (values(cohort, "view")[name], values(cohort, "sex")[name]) == (None, None)


@pytest.mark.parametrize(("uncertain", "value"), [("zero", 0.0), ("one", 1.0), ("ignore", None)])
def test_an_uncertain_label_is_what_the_policy_says_and_a_blank_is_zero(
    tmp_path: Path, uncertain: str, value: float | None
) -> None:
    cohort = chexpert_of(write(tmp_path, CHEXPERT), uncertain=uncertain)
    name = "patient00002_study2_view1_frontal"
    assert values(cohort, "Cardiomegaly")[name] == value
    assert values(cohort, "Edema")[name] == 0.0


def test_the_validation_set_can_be_the_test_set(tmp_path: Path) -> None:
    cohort = chexpert_of(write(tmp_path, CHEXPERT), test="valid")
    assert list(values(cohort, "split").values()) == ["train"] * 4 + ["test"]
    assert counts(cohort)["valid: images"] == (1, 234)


def test_the_test_table_alone_is_enough_for_a_head_trained_elsewhere(tmp_path: Path) -> None:
    cohort = chexpert_of(write(tmp_path, {"test.csv": CHEXPERT["test.csv"]}), with_training=False)
    assert set(values(cohort, "split").values()) == {"test"}
    assert counts(cohort)["test: images (the paper says 688)"] == (2, 668)
    assert counts(cohort)["test: patients"] == (1, 500)


def test_chexlocalizes_names_and_folders(tmp_path: Path) -> None:
    """Its tables say CheXpert-v1.0/valid, its folder is val."""
    (tmp_path / "val").mkdir()
    write(tmp_path, {"val_labels.csv": CHEXPERT["valid.csv"], "test_labels.csv": CHEXPERT["test.csv"]})
    cohort = chexpert_of(tmp_path, with_training=False, test="valid")
    assert list(values(cohort, "path").values()) == ["val/patient64541/study1/view1_frontal.jpg"]
    assert len(chexpert_of(tmp_path, with_training=False).images) == 2


def test_labels_by_study_are_those_of_every_image_in_its_folder(tmp_path: Path) -> None:
    """The test labels' own repository has groundtruth.csv: a row a study, no images named."""
    views = {"view1_frontal.jpg": "", "view2_lateral.jpg": ""}
    write(write(tmp_path, {"groundtruth.csv": GROUND_TRUTH}) / "test" / "patient64741" / "study1", views)
    by_study = chexpert_of(tmp_path, with_training=False)
    by_image = chexpert_of(write(tmp_path / "b", {"test.csv": CHEXPERT["test.csv"]}), with_training=False)
    assert by_study.images.equals(by_image.images)


def test_the_synthetic_set_is_read_and_its_images_are_found(tmp_path: Path) -> None:
    plates = write_chexpert(SynthSettings(patients=60, side=32), tmp_path)
    cohort = chexpert_of(tmp_path)
    assert sorted(cohort.images["path"].to_pylist()) == sorted(plate.path for plate in plates)


def test_the_verb_prints_the_counts_beside_the_published_ones(tmp_path: Path) -> None:
    code, lines = run("chexpert", write(tmp_path / "chexpert", CHEXPERT), tmp_path / "results")
    assert code == 0
    assert any(re.search(r"train: images +4 +223,414", line) for line in lines)
    written = sorted(path.name for path in (tmp_path / "results").iterdir())
    assert written == ["exclusions.parquet", "flow.json", "images.parquet"]


# file, text, what to write instead, what the line says
BAD = [
    ("train.csv", ",68,", ",old,", r"train.csv: row 2, column Age: 'old' must be an age in years, a number"),
    ("train.csv", ",68,", ",nan,", r"train.csv: row 2, column Age: 'nan' must be an age"),
    ("train.csv", "Female", "F", r"row 2, column Sex: 'F' must be Male, Female or Unknown"),
    ("train.csv", "-1.0", "-2.0", r"row 3, column Cardiomegaly: '-2.0' must be 1, 0, -1 or blank"),
    ("train.csv", "view2_lateral", "view1_frontal", r"row 4, column Path: 'CheXpert.*jpg' already stands in row 3"),
    ("test.csv", "test/patient64741/study1/view1", "64741/1", r"row 2, column Path: '64741/1_.*' must be a path that"),
    ("test.csv", "Pleural Other", "Pleura", r"test.csv: column 'Pleural Other' is missing \(found: Path, No Finding"),
    ("test.csv", "Path", "File", r"test.csv: column 'Path' is missing"),
    ("valid.csv", "AP/PA", "Age", r"valid.csv: column 'Age' stands twice in the header"),
]


@pytest.mark.parametrize(("file", "old", "new", "message"), BAD)
def test_a_fault_is_one_line_that_says_where(tmp_path: Path, file: str, old: str, new: str, message: str) -> None:
    line = error_of("chexpert", write(tmp_path / "chexpert", but(CHEXPERT, file, old, new)))
    assert re.search(message, line), line


@pytest.mark.parametrize("file", list(CHEXPERT))
def test_a_missing_table(tmp_path: Path, file: str) -> None:
    folder = write(tmp_path / "chexpert", {name: text for name, text in CHEXPERT.items() if name != file})
    assert f"has none of {file}.gz, {file}" in error_of("chexpert", folder)


def test_a_table_without_a_row(tmp_path: Path) -> None:
    folder = write(tmp_path / "chexpert", CHEXPERT | {"test.csv": f"Path,{LABEL_HEADER}"})
    assert "test.csv has a header and no row" in error_of("chexpert", folder)


def test_a_study_without_images(tmp_path: Path) -> None:
    folder = write(tmp_path / "chexpert", {"groundtruth.csv": GROUND_TRUTH})
    line = error_of("chexpert", folder, with_training=False)
    assert re.search(r"row 2, column Study: 'CheXpert-v1.0/test/patient64741/study1' has no image in", line)
