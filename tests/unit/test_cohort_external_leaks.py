"""Leaks, planted one by one: each stops the run before anything is written."""

import re
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsn.cohort.leaks import check_leaks
from mmsn.errors import UserError
from mmsn.files import read_table, write_table
from tests.unit.external_tables import CHEXPERT, ENTRIES, NIH, error_of, run, write


def images(rows: str) -> pa.Table:
    """The columns that are compared: a line an image, `dicom_id subject_id path split`."""
    columns = zip(*(line.split() for line in rows.strip().splitlines()), strict=True)
    table = pa.table(dict(zip(("dicom_id", "subject_id", "path", "split"), map(list, columns), strict=True)))
    return table.set_column(1, "subject_id", table["subject_id"].cast(pa.int64()))


MIMIC = images("""
    a1 10000001 files/a1.jpg train
    b1 10000002 files/b1.jpg validate
    c1 10000003 files/c1.jpg test
    c2 10000003 files/c2.jpg test
""")
EXTERNAL = images("""
    x1 1 images/x1.png train
    y1 2 images/y1.png test
""")


def with_row(table: pa.Table, row: str) -> pa.Table:
    return pa.concat_tables([table, images(row)])


def test_clean_data_sets_pass_and_may_number_their_patients_alike() -> None:
    check_leaks({"mimic-cxr": MIMIC, "nih-14": EXTERNAL, "chexpert": images("z1 2 test/z1.jpg train")})


@pytest.mark.parametrize(
    ("row", "splits"),
    [
        ("a2 10000001 files/a2.jpg validate", "train and validate"),
        ("b2 10000002 files/b2.jpg test", "test and validate"),
    ],
)
def test_a_patient_in_two_splits(row: str, splits: str) -> None:
    with pytest.raises(UserError, match=rf"mimic-cxr: subject_id 1000000\d is in {splits} \(1 patients are in two"):
        check_leaks({"mimic-cxr": with_row(MIMIC, row)})


def test_a_test_image_that_also_trains_under_another_patient() -> None:
    leaky = with_row(EXTERNAL, "y1 3 images/copy.png train")
    with pytest.raises(
        UserError, match=r"nih-14: dicom_id 'y1' is in test and also in train of nih-14 \(1 such rows\)"
    ):
        check_leaks({"nih-14": leaky})


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("y1 10000009 files/y1.png train", "dicom_id 'y1'"),
        ("other 10000009 images/y1.png train", "path 'images/y1.png'"),
    ],
    ids=["same id", "same path"],
)
def test_an_external_test_image_that_is_also_in_training(row: str, what: str) -> None:
    with pytest.raises(UserError, match=rf"nih-14: {what} is in test and also in train of mimic-cxr"):
        check_leaks({"mimic-cxr": with_row(MIMIC, row), "nih-14": EXTERNAL})


def test_an_external_test_image_in_mimics_test_split_leaks_too_since_pretraining_may_take_every_split() -> None:
    with pytest.raises(UserError, match=r"dicom_id 'y1' is in test and also in test of nih-14 \(1 such rows\)"):
        check_leaks({"mimic-cxr": with_row(MIMIC, "y1 10000003 files/y1.png test"), "nih-14": EXTERNAL})


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["train", "validate", "test"])), min_size=1, max_size=12))
def test_exactly_the_tables_with_a_patient_in_two_splits_are_refused(rows: list[tuple[int, str]]) -> None:
    table = images("\n".join(f"i{n} {patient} p{n}.png {split}" for n, (patient, split) in enumerate(rows)))
    if len(set(rows)) == len({patient for patient, _ in rows}):
        check_leaks({"any": table})
    else:
        with pytest.raises(UserError, match="put every image of a patient in one split"):
            check_leaks({"any": table})


class TestPlantedInTheFiles:
    """The same through the verbs."""

    def test_an_nih_patient_on_both_lists(self, tmp_path: Path) -> None:
        planted = {
            ENTRIES: NIH[ENTRIES] + "00000001_002.png,Mass,2,1,59,M,PA,2682,2749,0.143,0.143\n",
            "test_list.txt": NIH["test_list.txt"] + "00000001_002.png\n",
        }
        line = error_of("nih", write(tmp_path / "nih", NIH | planted))
        assert re.search(r"nih-14: subject_id 1 is in test and (train|validate)", line)

    def test_a_chexpert_training_row_in_the_test_table(self, tmp_path: Path) -> None:
        row = "CheXpert-v1.0-small/train/patient00002/study2/view1_frontal.jpg,0,1,1,1,0,0,0,0,0,0,0,0,0,1\n"
        folder = write(tmp_path / "chexpert", CHEXPERT | {"test.csv": CHEXPERT["test.csv"] + row})
        assert "chexpert: subject_id 2 is in test and train" in error_of("chexpert", folder)

    @pytest.mark.parametrize(
        ("verb", "files", "image"),
        [("nih", NIH, "00000003_000"), ("chexpert", CHEXPERT, "patient64741_study1_view1_frontal")],
    )
    def test_an_external_test_row_in_mimics_training_table(
        self, tmp_path: Path, verb: str, files: dict[str, str], image: str
    ) -> None:
        folder = write(tmp_path / verb, files)
        mimic = tmp_path / "mimic-cxr" / "images.parquet"
        write_table(mimic, MIMIC)
        assert run(verb, folder, tmp_path / "clean", "--not-in", mimic)[0] == 0
        write_table(mimic, with_row(read_table(mimic), f"{image} 10000009 files/{image}.png train"))
        line = error_of(verb, folder, "--not-in", mimic)
        assert f"dicom_id '{image}' is in test and also in train of mimic-cxr (1 such rows); remove it" in line
