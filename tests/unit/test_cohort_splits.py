"""Patients, never images, are split; and a split that cannot be right stops the run."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mmsn.cohort.build import Cohort
from mmsn.cohort.medfuse import read_patients
from mmsn.cohort.split_file import read_split_file
from mmsn.errors import UserError
from mmsn.lineage import SPLIT_HASH
from tests.unit.cohort_tables import Mimic, build_in, cohort_of, step, values, write_file

FILES = {
    "patients": "subject_id,split\n10000001,train\n10000002,validate\n10000003,test\n",
    "images": "dicom_id,split\na1,train\nb1,validate\nc1,test\n",
    "both": "note,subject_id,dicom_id,split\nx,10000001,a1,train\ny,10000002,b1,validate\nz,10000003,c1,test\n",
    "val": "split,subject_id\ntrain,10000001\nval,10000002\ntest,10000003\n",
    "valid": "split,subject_id\ntrain,10000001\nvalid,10000002\ntest,10000003\n",
}


def lists(folder: Path, validate: str, test: str) -> dict[str, Path]:
    """MedFuse's two lists, written below `folder`."""
    write_file(folder / "validate.csv", validate)
    write_file(folder / "test.csv", test)
    return {"medfuse_validate": folder / "validate.csv", "medfuse_test": folder / "test.csv"}


def many_patients(number: int) -> Mimic:
    """The example with more patients of one image each."""
    ids = range(10000100, 10000100 + number)
    return Mimic().plus(
        patients="\n".join(f"{patient}  F  50  2150" for patient in ids),
        metadata="\n".join(
            f"p{patient}  {patient}  {patient + 40_000_000}  PA  21500601  0.0  Erect" for patient in ids
        ),
    )


def test_the_official_split_is_that_of_the_file(tmp_path: Path) -> None:
    assert values(cohort_of(Mimic(), tmp_path), "split") == {"a1": "train", "b1": "validate", "c1": "test"}


class TestMedfuse:
    """The paper's split."""

    def test_listed_patients_validate_and_test_and_all_others_train(self, tmp_path: Path) -> None:
        Mimic().write(tmp_path)
        given = lists(tmp_path, "subject_id\n10000002\n10000099\n", "subject_id\n10000003\n")
        cohort = build_in(tmp_path, split="medfuse", **given)
        assert values(cohort, "split") == {"a1": "train", "b1": "validate", "c1": "test"}
        assert step(cohort, "medfuse validate list: patients") == 2
        assert step(cohort, "medfuse validate list: patients without an image") == 1

    @pytest.mark.parametrize(
        "text",
        [
            "subject_id,note\n10000002,x\n10000003,y\n",
            ",subject_id\n0,10000002\n1,10000003\n",
            "stay,period_length,stay_id\n10000002_episode1_timeseries.csv,48.0,1\n10000003_episode2_timeseries.csv,50.1,2\n",
            "10000002_episode1_timeseries.csv,48.0\n10000003_episode1_timeseries.csv,48.0\n",
            "10000002,1\n10000001,0\n10000003,1\n",
            "10000002\n10000003\n",
        ],
        ids=["column", "index and column", "listfile", "listfile without header", "flags", "bare ids"],
    )
    def test_a_list_may_have_any_of_its_usual_forms(self, tmp_path: Path, text: str) -> None:
        for name in ("list.csv", "list.csv.gz"):
            write_file(tmp_path / name, text)
            assert read_patients(tmp_path / name) == {10000002, 10000003}

    def test_ids_that_match_no_image_leave_a_split_empty_and_stop_the_run(self, tmp_path: Path) -> None:
        Mimic().write(tmp_path)
        given = lists(tmp_path, "subject_id\n2\n", "subject_id\n10000003\n")
        with pytest.raises(
            UserError, match=r"split 'validate' is empty after joining: .*validate.csv.*ids do not match"
        ):
            build_in(tmp_path, split="medfuse", **given)

    def test_a_patient_on_both_lists_stops_the_run(self, tmp_path: Path) -> None:
        Mimic().write(tmp_path)
        given = lists(tmp_path, "subject_id\n10000002\n10000003\n", "subject_id\n10000003\n")
        with pytest.raises(UserError, match=r"subject_id 10000003 is on both .*validate.csv and .*test.csv"):
            build_in(tmp_path, split="medfuse", **given)

    def test_without_its_lists_the_split_says_what_to_give(self, tmp_path: Path) -> None:
        Mimic().write(tmp_path)
        with pytest.raises(UserError, match=r"'medfuse' needs MedFuse's validation list.*or choose split 'official'"):
            build_in(tmp_path, split="medfuse")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("subject_id\n10000002\n1000000x\n", r"row 3, column 1: '1000000x' must be a subject id"),
            ("subject_id\n10000002.0\n", r"row 2, column 1: '10000002.0' must be a subject id"),
            ("10000002,yes\n", r"row 1, column 2: 'yes' must be a flag 0 or 1"),
            ("10000002,0\n", r"lists no patient"),
            ("", r"is empty"),
        ],
    )
    def test_a_cell_that_is_no_patient_is_named(self, tmp_path: Path, text: str, message: str) -> None:
        write_file(tmp_path / "list.csv", text)
        with pytest.raises(UserError, match=rf"list\.csv:? .*{message}|{message}"):
            read_patients(tmp_path / "list.csv")


class TestRandom:
    """Seeded, by patient."""

    def test_the_same_seed_gives_the_same_split_and_another_seed_another(self, tmp_path: Path) -> None:
        many_patients(60).write(tmp_path)
        first, again, other = (build_in(tmp_path, split="random", split_seed=seed) for seed in (3, 3, 4))
        assert values(first, "split") == values(again, "split")
        assert values(first, "split") != values(other, "split")

    def test_the_shares_are_those_asked_for(self, tmp_path: Path) -> None:
        many_patients(97).write(tmp_path)
        split = list(values(build_in(tmp_path, split="random", split_fractions=(0.5, 0.2, 0.3)), "split").values())
        assert [split.count(name) for name in ("train", "validate", "test")] == [50, 20, 30]

    def test_each_label_is_about_as_frequent_in_every_part_as_in_the_whole(self, tmp_path: Path) -> None:
        studies = range(50000100, 50000500)
        edema = set(studies[::9])
        many_patients(400).plus(
            labels="\n".join(f"{study}  .  {'1.0' if study in edema else '.'}" for study in studies)
        ).write(tmp_path)

        def shares(**settings: Any) -> list[float]:
            rows = build_in(tmp_path, split="random", split_seed=1, **settings).images.to_pandas()
            return [float(rows[rows.split == split].Edema.mean()) for split in ("validate", "test")]

        whole = (len(edema) + 1) / 403
        assert shares() == pytest.approx([whole, whole], abs=0.5 / 40)
        assert shares(split_stratify=False) != pytest.approx([whole, whole], abs=0.5 / 40)

    def test_a_share_too_small_for_the_patients_stops_the_run(self, tmp_path: Path) -> None:
        Mimic().write(tmp_path)
        with pytest.raises(UserError, match=r"split 'test' is empty after joining: split_fractions \(0.8, 0.1, 0.1\)"):
            build_in(tmp_path, split="random", split_fractions=(0.8, 0.1, 0.1))


class TestFile:
    """A split of the user's own."""

    @pytest.mark.parametrize("text", list(FILES.values()), ids=list(FILES))
    def test_patients_or_images_may_be_listed_in_csv_or_parquet(self, tmp_path: Path, text: str) -> None:
        Mimic().write(tmp_path)
        write_file(tmp_path / "mine.csv", text)
        pd.read_csv(tmp_path / "mine.csv").to_parquet(tmp_path / "mine.parquet")
        for name in ("mine.csv", "mine.parquet"):
            cohort = build_in(tmp_path, split="file", split_file=tmp_path / name)
            assert values(cohort, "split") == {"a1": "train", "b1": "validate", "c1": "test"}

    def test_rows_without_an_image_are_counted(self, tmp_path: Path) -> None:
        cohort = self.built(tmp_path, FILES["patients"] + "10000077,test\n")
        assert step(cohort, "split file: patients") == 4
        assert step(cohort, "split file: patients that the metadata lack") == 1

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                FILES["patients"].replace("10000002", "10000002.0"),
                r"row 3, column subject_id: '10000002.0' must be a sub",
            ),
            (
                FILES["patients"].replace("validate", "training"),
                r"row 3, column split: 'training' must be train, valid",
            ),
            (FILES["patients"].replace("10000002", ""), r"row 3, column subject_id: blank must be a subject_id"),
            (FILES["patients"] + "10000077,val\n", r"'validate' \(row 3\) and 'val' \(row 5\) stand for one split"),
            ("subject,split\n10000001,train\n", r"columns subject, split; a split needs the columns subject_id and"),
            ("subject_id,split\n", r"has no row"),
            ("", r"cannot be read as a table"),
        ],
    )
    def test_a_cell_or_column_that_cannot_be_is_named(self, tmp_path: Path, text: str, message: str) -> None:
        write_file(tmp_path / "mine.csv", text)
        with pytest.raises(UserError, match=rf"mine\.csv.*{message}"):
            read_split_file(tmp_path / "mine.csv")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (FILES["patients"].replace("10000003,test\n", ""), r"no row for 1 of the patients with images, such as"),
            (FILES["patients"] + "10000001,test\n", r"row 5, column split: subject_id 10000001 is in test and train"),
            ("subject_id,split\n1,train\n2,validate\n3,test\n", r"no row for 3 of the .* compared as integers"),
        ],
    )
    def test_every_patient_needs_one_split(self, tmp_path: Path, text: str, message: str) -> None:
        with pytest.raises(UserError, match=rf"mine\.csv: .*{message}"):
            self.built(tmp_path, text)

    def test_a_patient_whose_images_are_in_two_splits_stops_the_run(self, tmp_path: Path) -> None:
        Mimic().plus(metadata="a2  10000001  50000001  PA  21500302  90000.5  Erect").write(tmp_path)
        write_file(tmp_path / "mine.csv", FILES["images"] + "a2,test\n")
        with pytest.raises(UserError, match=r"mine.csv: row 5, column split: subject_id 10000001 is in test and train"):
            build_in(tmp_path, split="file", split_file=tmp_path / "mine.csv")

    def test_without_its_table_the_split_says_what_to_give(self, tmp_path: Path) -> None:
        Mimic().write(tmp_path)
        with pytest.raises(UserError, match=r"'file' needs data.split_file.*columns subject_id and split"):
            build_in(tmp_path, split="file")

    @staticmethod
    def built(folder: Path, text: str) -> Cohort:
        Mimic().write(folder)
        write_file(folder / "mine.csv", text)
        return build_in(folder, split="file", split_file=folder / "mine.csv")


def test_the_split_hash_follows_the_split_and_nothing_else(tmp_path: Path) -> None:
    def digest(mimic: Mimic, name: str) -> bytes:
        cohort = cohort_of(mimic, tmp_path / name)
        assert cohort.images.schema.metadata[SPLIT_HASH.encode()].decode() == cohort.flow["split_sha256"]
        return bytes(cohort.images.schema.metadata[SPLIT_HASH.encode()])

    example = Mimic()
    other_age = example.but("patients", "60          2150", "61          2150")
    swapped = example.but("split", "validate", "x").but("split", "test", "validate").but("split", "x", "test")
    assert digest(example, "a") == digest(other_age, "b")
    assert digest(example, "a") != digest(swapped, "c")
