"""Patients, never images, are split; and a split that cannot be right stops the run."""

from pathlib import Path

import pytest

from mmsn.cohort.build import SPLIT_HASH
from mmsn.cohort.medfuse import read_patients
from mmsn.errors import UserError
from tests.unit.cohort_tables import Mimic, build_in, cohort_of, step, values, write_file


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

    def test_a_share_too_small_for_the_patients_stops_the_run(self, tmp_path: Path) -> None:
        Mimic().write(tmp_path)
        with pytest.raises(UserError, match=r"split 'test' is empty after joining: split_fractions \(0.8, 0.1, 0.1\)"):
            build_in(tmp_path, split="random", split_fractions=(0.8, 0.1, 0.1))


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
