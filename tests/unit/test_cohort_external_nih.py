"""NIH-14: the official lists, with and without 'No Finding'; patients, never images, are split again."""

import gzip
import re
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsn.cohort.build import Cohort
from mmsn.cohort.external import resplit
from mmsn.cohort.external.result import images_schema
from mmsn.files import read_json, read_table
from mmsn.labels import NIH_LABELS
from mmsn.synthetic.nih import write_nih
from mmsn.synthetic.settings import SynthSettings
from tests.unit.external_tables import ENTRIES, NIH, but, counts, error_of, nih_of, run, values, write

PATIENTS = st.dictionaries(st.integers(1, 40_000), st.integers(1, 90), min_size=2, max_size=60)
SEEDS = st.integers(0, 2**31)


def patients_by_split(cohort: Cohort) -> dict[str, set[int]]:
    """Split -> its patients."""
    found: dict[str, set[int]] = {}
    for split, patient in zip(*(cohort.images[name].to_pylist() for name in ("split", "subject_id")), strict=True):
        found.setdefault(split, set()).add(patient)
    return found


@pytest.fixture(scope="module")
def found(shared_data: Path) -> Cohort:
    """The release of 2020, whole, findings only."""
    return nih_of(shared_data / "nih-14")


class TestGenuine:
    """The release of 2020."""

    def test_findings_only_is_the_papers_36024_and_15735_split_again_into_32457_and_3567(self, found: Cohort) -> None:
        steps = counts(found)
        assert steps["on train_val_list.txt"] == (86_524, 86_524)
        assert steps["on test_list.txt"] == (25_596, 25_596)
        assert steps["on train_val_list.txt, with a finding"] == (36_024, 36_024)
        kept = {split: steps[f"kept: {split}"][0] for split in ("train", "validate", "test")}
        assert kept == {"train": 32_457, "validate": 3_567, "test": 15_735}
        assert found.flow["parts_at"] is None

    def test_what_is_left_out_is_no_finding(self, found: Cohort) -> None:
        assert len(found.images) + len(found.exclusions) == 112_120
        assert set(found.exclusions["reason"].to_pylist()) == {"no finding"}

    def test_no_patient_is_in_two_splits(self, found: Cohort) -> None:
        train, validate, test = (patients_by_split(found)[split] for split in ("train", "validate", "test"))
        assert not train & validate
        assert not (train | validate) & test

    def test_all_images_of_a_finding_are_there(self, found: Cohort) -> None:
        # The counts of the data set's own documentation.
        totals = {name: sum(by_split.values()) for name, by_split in found.flow["positives"].items()}
        assert totals["Infiltration"] == 19_894
        assert totals["Hernia"] == 227

    def test_the_full_mode_is_the_official_lists_whole(self, shared_data: Path) -> None:
        steps = counts(nih_of(shared_data / "nih-14", mode="full"))
        assert steps["kept: test"] == (25_596, 25_596)
        assert steps["kept: train"][0] + steps["kept: validate"][0] == 86_524
        assert steps["kept: validate"][0] == round(86_524 * 3_567 / 36_024)

    def test_the_images_lie_where_the_paths_say(self, shared_data: Path, found: Cohort) -> None:
        paths = set(found.images["path"].to_pylist())
        there = [path.name for path in (shared_data / "nih-14" / "images").glob("*.png")]
        assert len(there) == 10
        assert any(f"images/{name}" in paths for name in there)


class TestResplit:
    """Choosing the patients that validate."""

    @given(PATIENTS, SEEDS, st.data())
    def test_never_more_images_than_wanted_and_exact_when_single_images_are_left(
        self, images_of: dict[int, int], seed: int, data: st.DataObject
    ) -> None:
        wanted = data.draw(st.integers(0, sum(images_of.values())))
        chosen = resplit.choose(images_of, wanted, seed)
        total = sum(images_of[patient] for patient in chosen)
        assert total <= wanted
        if any(images_of[patient] == 1 for patient in images_of.keys() - chosen):
            assert total == wanted

    @given(PATIENTS, SEEDS)
    def test_the_order_of_the_rows_does_not_matter(self, images_of: dict[int, int], seed: int) -> None:
        backwards = dict(reversed(images_of.items()))
        assert resplit.choose(images_of, 50, seed) == resplit.choose(backwards, 50, seed)

    def test_another_seed_is_another_choice(self) -> None:
        images_of = dict.fromkeys(range(100), 1)
        assert resplit.choose(images_of, 10, 0) != resplit.choose(images_of, 10, 1)

    @pytest.mark.parametrize("seed", range(5))
    def test_no_patient_is_in_two_splits_whatever_the_seed(self, tmp_path: Path, seed: int) -> None:
        write_nih(SynthSettings(patients=60, side=32), tmp_path)
        cohort = nih_of(tmp_path, mode="full", split_seed=seed, validate_images=9)
        splits = list(patients_by_split(cohort).values())
        assert len(splits) == 3
        assert len(set.union(*splits)) == sum(map(len, splits))
        assert counts(cohort)["kept: validate"][0] == 9


def test_the_example_as_images_parquet(tmp_path: Path) -> None:
    cohort = nih_of(write(tmp_path, NIH))
    assert cohort.images.schema.equals(images_schema(NIH_LABELS.names))
    (row,) = [row for row in cohort.images.to_pylist() if row["dicom_id"] == "00000001_000"]
    expected = {"subject_id": 1, "study_id": 1000, "path": "images/00000001_000.png", "labelled": True}
    expected |= {"sex": "M", "age": 57.0, "view": "PA", "pos": None, "mort": None, "icu": None, "study_time": None}
    expected |= {name: float(name in ("Cardiomegaly", "Effusion")) for name in NIH_LABELS.names}
    assert {name: row[name] for name in expected} == expected
    assert cohort.exclusions["dicom_id"].to_pylist() == ["00000001_001", "00000004_000"]


def test_the_full_mode_keeps_no_finding_as_fourteen_zeros(tmp_path: Path) -> None:
    cohort = nih_of(write(tmp_path, NIH), mode="full")
    (row,) = [row for row in cohort.images.to_pylist() if row["dicom_id"] == "00000004_000"]
    assert (row["split"], sum(row[name] for name in NIH_LABELS.names)) == ("test", 0)
    assert len(cohort.exclusions) == 0


def test_the_release_of_2017_says_the_same(tmp_path: Path) -> None:
    """Its ages carry a unit, some are impossible, and its header ends in a comma."""
    old = NIH[ENTRIES].replace("[x,y]\n", "[x,y],\n").replace("143\n", "143,\n").replace("171\n", "171,\n")
    for new_form, old_form in ((",57,", ",057Y,"), (",80,", ",412Y,"), (",81,", ",018M,"), ("0.168\n", "0.168,\n")):
        old = old.replace(new_form, old_form)
    lists = {name: text for name, text in NIH.items() if name != ENTRIES}
    write(tmp_path / "2017", lists)
    (tmp_path / "2017" / "Data_Entry_2017.csv.gz").write_bytes(gzip.compress(old.encode()))
    first, now = nih_of(tmp_path / "2017"), nih_of(write(tmp_path / "2020", NIH))
    assert values(first, "age") == {"00000001_000": 57.0, "00000002_000": None, "00000003_000": 1.5}
    assert first.images.drop(["age"]).equals(now.images.drop(["age"]))


def test_images_in_the_twelve_folders_are_found_there(tmp_path: Path) -> None:
    write(tmp_path, NIH)
    write(tmp_path / "images_002" / "images", {"00000002_000.png": ""})
    paths = values(nih_of(tmp_path), "path")
    assert paths["00000002_000"] == "images_002/images/00000002_000.png"
    assert paths["00000001_000"] == "images/00000001_000.png"


def test_the_synthetic_set_is_read_and_its_images_are_found(tmp_path: Path) -> None:
    plates = write_nih(SynthSettings(patients=60, side=32), tmp_path)
    cohort = nih_of(tmp_path, mode="full")
    assert sorted(cohort.images["path"].to_pylist()) == sorted(plate.path for plate in plates)
    assert cohort.images["age"].null_count == 0


def test_the_verb_writes_three_files_that_a_second_run_repeats(tmp_path: Path) -> None:
    folder = write(tmp_path / "nih", NIH)
    for name in ("first", "second"):
        code, lines = run("nih", folder, tmp_path / name)
        assert code == 0
        assert lines[-1] == "INFO parts from the published cohort first at 'images in the table'"
    first, second = (tmp_path / name for name in ("first", "second"))
    assert [path.read_bytes() for path in sorted(first.iterdir())] == [
        path.read_bytes() for path in sorted(second.iterdir())
    ]
    assert isinstance(read_table(first / "images.parquet"), pa.Table)
    assert read_json(first / "flow.json")["settings"] == {
        "mode": "findings-only",
        "validate_images": None,
        "split_seed": 0,
    }


# file, text, what to write instead, what the line says
BAD = [
    (ENTRIES, ",57,", ",57 years,", r"row 2, column Patient Age: '57 years' must be an age"),
    (ENTRIES, "Mass", "Mas", r"row 4, column Finding Labels: 'Mas' must be 'No Finding' alone, or findings"),
    (ENTRIES, "|Effusion", "|No Finding", r"row 2, column Finding Labels: 'Cardiomegaly\|No Finding' must be"),
    (ENTRIES, "00000002_000.png", "00000001_000.png", r"row 4, column Image Index: '00000001_000.png' already stands"),
    (ENTRIES, "00000002_000.png", "2", r"row 4, column Image Index: '2' must be the name of an image such as"),
    (ENTRIES, ",2,80,F", ",two,80,F", r"row 4, column Patient ID: 'two' must be a whole number"),
    (ENTRIES, ",80,F", ",80,W", r"row 4, column Patient Gender: 'W' must be M or F"),
    (ENTRIES, "Patient Age", "Age", r"column 'Patient Age' is missing \(found: Image Index, "),
    (ENTRIES, "00000002_000.png,Mass", "00000009_000.png,Mass", r"list.txt: row 3: '00000002_000.png' is not in .*csv"),
    (
        "test_list.txt",
        "00000004_000.png\n",
        "",
        r"row 6, column Image Index: '00000004_000.png' is on neither train_val",
    ),
    ("test_list.txt", "00000004", "00000003", r"row 2: '00000003_000.png' already stands in row 1; remove"),
    (
        "test_list.txt",
        "00000004",
        "00000002",
        r"'00000002_000.png' is on both .*train_val_list.txt and .*test_list.txt",
    ),
]


@pytest.mark.parametrize(("file", "old", "new", "message"), BAD)
def test_a_fault_is_one_line_that_says_where(tmp_path: Path, file: str, old: str, new: str, message: str) -> None:
    line = error_of("nih", write(tmp_path / "nih", but(NIH, file, old, new)))
    assert re.search(message, line), line


@pytest.mark.parametrize("file", list(NIH))
def test_a_missing_file(tmp_path: Path, file: str) -> None:
    folder = write(tmp_path / "nih", {name: text for name, text in NIH.items() if name != file})
    assert file in error_of("nih", folder)


def test_an_empty_split(tmp_path: Path) -> None:
    line = error_of("nih", write(tmp_path / "nih", NIH), validate_images=2)
    assert "split 'train' is empty" in line


def test_settings_that_do_not_exist(tmp_path: Path) -> None:
    assert "mode: 'half' is not allowed" in error_of("nih", write(tmp_path / "nih", NIH), mode="half")
