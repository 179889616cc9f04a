"""The test split labelled by a radiologist: MIMIC-CXR-JPG 2.1.0's table in place of the labeller's."""

from pathlib import Path

import pytest

from mmsn.cohort.build import Cohort
from mmsn.errors import UserError
from mmsn.labels import LABELS
from tests.unit.cohort_tables import HEADERS, Mimic, build_in, csv_text, step, values, write_file

# c1's study, and one that only a patient of the training split has.
READ = """
study_id  Atelectasis  airspace
50000003  1.0          -1.0
50000001  0.0          1.0
"""
NAME = "mimic-cxr-2.1.0-test-set-labeled.csv"


def cohort_with(folder: Path, mimic: Mimic, read: str = READ, suffix: str = "", **settings: str) -> Cohort:
    """The cohort of `mimic`, its test split labelled by the radiologist's table `read`."""
    mimic.write(folder, suffix=".csv.gz")
    write_file(folder / "mimic-cxr" / (NAME + suffix), csv_text(read, HEADERS["test_labels"]))
    return build_in(folder, **({"test_labels": "radiologist"} | settings))


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_the_test_split_has_the_radiologists_labels_and_the_others_the_labellers(tmp_path: Path, suffix: str) -> None:
    # As PhysioNet ships 2.1.0: tables still named 2.0.0, and the new one.
    cohort = cohort_with(tmp_path, Mimic(), suffix=suffix)
    assert values(cohort, "Atelectasis") == {"a1": 1.0, "b1": 0.0, "c1": 1.0}
    assert values(cohort, "Edema")["c1"] == 0.0, "the labeller's 1 is gone"
    assert all(values(cohort, "labelled").values())


@pytest.mark.parametrize(("policy", "uncertain"), [("zero", 0.0), ("one", 1.0), ("ignore", None)])
def test_airspace_opacity_is_lung_opacity_and_the_policy_for_uncertain_holds(
    tmp_path: Path, policy: str, uncertain: float | None
) -> None:
    assert values(cohort_with(tmp_path, Mimic(), uncertain=policy), "Lung Opacity")["c1"] == uncertain


def test_a_column_named_lung_opacity_is_read_as_well(tmp_path: Path) -> None:
    cohort_with(tmp_path, Mimic())
    path = tmp_path / "mimic-cxr" / NAME
    path.write_text(path.read_text().replace("Airspace Opacity", "Lung Opacity"))
    assert values(build_in(tmp_path, test_labels="radiologist", uncertain="one"), "Lung Opacity")["c1"] == 1.0


def test_a_test_study_that_the_radiologist_did_not_read_has_no_labels(tmp_path: Path) -> None:
    mimic = Mimic().plus(
        metadata="c2  10000003  50000009  PA  21500701  0.0  Erect",
        labels="50000009  1.0  1.0",
        split="c2  10000003  50000009  test",
    )
    cohort = cohort_with(tmp_path, mimic)
    assert values(cohort, "labelled") == {"a1": True, "b1": True, "c1": True, "c2": False}
    assert all(values(cohort, label)["c2"] is None for label in LABELS)
    assert step(cohort, "the cohort: test") == 2
    assert step(cohort, "the cohort: test, radiologist-labelled") == 1


def test_a_study_outside_the_test_split_keeps_the_labellers_labels_and_is_counted(tmp_path: Path) -> None:
    cohort = cohort_with(tmp_path, Mimic())
    assert values(cohort, "Lung Opacity")["a1"] == 0.0
    assert step(cohort, "radiologist's labels: studies") == 2
    assert step(cohort, "radiologist's labels: studies outside the test split") == 1


def test_who_is_in_the_cohort_does_not_depend_on_who_labelled_it(tmp_path: Path) -> None:
    read = cohort_with(tmp_path, Mimic())
    assert read.rows.equals(build_in(tmp_path).rows, check_metadata=True)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    Mimic().write(tmp_path)
    with pytest.raises(UserError, match=r"needs .*mimic-cxr-2\.1\.0-test-set-labeled\.csv, .*choose test_labels"):
        build_in(tmp_path, test_labels="radiologist")


def test_a_table_that_leaves_nothing_to_evaluate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"labeled\.csv: no study_id of it is in the cohort's test split"):
        cohort_with(tmp_path, Mimic(), READ.replace("50000003", "50000008"))


def test_a_bad_cell_of_the_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"labeled\.csv: row 2, column Lung Opacity: '0\.5' must be 1, 0, -1 or blank"):
        cohort_with(tmp_path, Mimic(), READ.replace("-1.0", "0.5"))
