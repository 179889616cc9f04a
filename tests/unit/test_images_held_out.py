"""Stores of other data sets: which images they hold, and what no test set may have."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from typer.testing import CliRunner

from mmsn.errors import UserError
from mmsn.files import read_table, write_table
from mmsn.images.command import app
from mmsn.images.shards import shard_rows

SPLITS = ["train", "validate", "test", "test", "test"]


@pytest.fixture(autouse=True)
def umask():
    """The verbs make their files private; later tests keep the old habit."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five radiographs of five patients, the last three to be tested on."""
    random = np.random.default_rng(0)
    for number in range(5):
        picture(tmp_path, number, random.integers(0, 255, (40, 30)))
    ids = {"dicom_id": [f"i{n}" for n in range(5)], "subject_id": list(range(5)), "split": SPLITS}
    write_table(tmp_path / "images.parquet", pa.table({**ids, "path": [f"{n}.png" for n in range(5)]}))
    return tmp_path


def picture(folder: Path, number: int, pixels: np.ndarray) -> None:
    Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")


def run(*arguments: object) -> str:
    """Run a verb; the last line of its log where it stops."""
    done = CliRunner().invoke(app, list(map(str, arguments)))
    return "" if done.exit_code == 0 else f"exit {done.exit_code}"


def store(folder: Path, name: str, *more: object, parts: int = 2) -> tuple[Path, str]:
    """Build a store, options of the index last; where it lies, and what stopped its index."""
    made = folder / name
    settings = '{"side": 16, "max_unreadable_share": 0.5}'
    split = more[:2] if "--only-split" in more else ()
    for part in range(1, parts + 1):
        shard = f"part{part}of{parts}"
        outputs = ("--output-array", made / f"{shard}.npy", "--output-index", made / f"{shard}.parquet")
        given = ("--images", folder / "images.parquet", "--root", folder, "--shard", shard, "--settings", settings)
        assert not run("shard", *given, *outputs, *split)
    shards = [part for n in range(1, parts + 1) for part in ("--shards", made / f"part{n}of{parts}.parquet")]
    outputs = ("--output-index", made / "index.parquet", "--output-quarantine", made / "quarantine.parquet")
    given = ("--images", folder / "images.parquet", "--settings", settings, "--log", folder / "log")
    stopped = run("index", *shards, *given, *outputs, *more)
    return made / "index.parquet", f"{stopped} {(folder / 'log').read_text()}" if stopped else ""


def test_parts_share_the_patients_and_leave_none_out():
    subjects = [3, 10, 11, 12, 13, 10_000_032]
    parts = [shard_rows(subjects, f"part{part}of3") for part in (1, 2, 3)]
    assert np.sum(parts, axis=0).tolist() == [1] * len(subjects)
    assert shard_rows(subjects, "all") == [True] * len(subjects)
    assert shard_rows(subjects, "p10") == [False] * 5 + [True]


@pytest.mark.parametrize("wrong", ["p1", "part0of2", "part3of2", "everything"])
def test_a_shard_that_is_none_is_one_clear_line(wrong):
    with pytest.raises(UserError, match=f"--shard {wrong}: give p10"):
        shard_rows([1], wrong)


def test_a_store_may_hold_the_test_split_alone(folder):
    index, stopped = store(folder, "store", "--only-split", "test")
    assert not stopped
    assert sorted(read_table(index)["dicom_id"].to_pylist()) == ["i2", "i3", "i4"]


def test_an_unreadable_test_image_stops_although_the_share_is_allowed_and_a_training_image_does_not(folder):
    (folder / "0.png").write_bytes(b"no image")
    index, stopped = store(folder, "some", "--whole-split", "test")
    assert not stopped
    assert len(read_table(index)) == 4
    (folder / "3.png").write_bytes(b"")
    index, stopped = store(folder, "fewer", "--whole-split", "test")
    assert "1 of 3 test images" in stopped
    assert "(empty file); no test image is left out" in stopped
    assert not index.exists()


def test_a_test_image_that_models_are_trained_on_stops_under_any_name(folder, tmp_path_factory):
    trained, _ = store(folder, "trained", parts=1)
    other = tmp_path_factory.mktemp("other")
    random = np.random.default_rng(1)
    for number in range(5):
        picture(other, number, random.integers(0, 255, (40, 30)))
    table = read_table(folder / "images.parquet")
    renamed = pa.array([f"other{n}" for n in range(5)])
    write_table(other / "images.parquet", table.set_column(0, "dicom_id", renamed))
    assert not store(other, "clean", "--not-in", trained)[1]
    (other / "0.png").write_bytes((folder / "4.png").read_bytes())
    assert not store(other, "train only", "--not-in", trained)[1]
    (other / "2.png").write_bytes((folder / "0.png").read_bytes())
    stopped = store(other, "leak", "--not-in", trained)[1]
    assert (
        "1 test images have the pixels of an image that models are trained on, such as 'other2', which is 'i0'"
        in stopped
    )


def test_black_images_are_not_taken_for_copies(folder, tmp_path_factory):
    picture(folder, 0, np.zeros((40, 30)))
    trained, _ = store(folder, "trained", parts=1)
    picture(folder, 2, np.zeros((40, 30)))
    for number in (3, 4):
        picture(folder, number, np.random.default_rng(9 + number).integers(0, 255, (40, 30)))
    assert not store(folder, "again", "--only-split", "test", "--not-in", trained)[1]
