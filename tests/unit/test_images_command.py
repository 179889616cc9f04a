"""The verbs `images shard` and `images index` end to end."""

import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from mmsn.images.command import app
from mmsn.images.store import PixelStore

SETTINGS = '{"side": 32, "max_unreadable_share": 0}'


@pytest.fixture(autouse=True)
def umask():
    """The verbs make their files private; later tests keep the old habit."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def cohort(tmp_path):
    """Four images of two patients, and the table that lists them."""
    subjects = [10000032, 10000032, 11000011, 11000011]
    paths = [f"files/p{subject}/{n}.png" for n, subject in enumerate(subjects)]
    for n, path in enumerate(paths):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((50, 40), 10 * n, np.uint8)).save(file)
    table = pa.table({"dicom_id": list("abcd"), "subject_id": subjects, "path": paths, "split": ["train"] * 4})
    pq.write_table(table, tmp_path / "images.parquet")
    return tmp_path


def invoke(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def shard_arguments(cohort, shard: str) -> list[object]:
    out = cohort / "store" / shard
    return [
        *("shard", "--images", cohort / "images.parquet", "--root", cohort, "--shard", shard),
        *("--settings", SETTINGS, "--output-array", f"{out}.npy", "--output-index", f"{out}.parquet"),
        *("--threads", 2, "--log", cohort / "log" / f"{shard}.log"),
    ]


def index_arguments(cohort, *shards: str) -> list[object]:
    store = cohort / "store"
    return [
        *("index", "--images", cohort / "images.parquet", "--settings", SETTINGS),
        *(part for shard in shards for part in ("--shards", store / f"{shard}.parquet")),
        *("--output-index", store / "index.parquet", "--output-quarantine", store / "quarantine.parquet"),
        *("--log", cohort / "log" / "index.log"),
    ]


def test_shards_then_index_make_a_store(cohort):
    for shard in ("p10", "p11"):
        assert invoke(*shard_arguments(cohort, shard))[0] == 0
    assert invoke(*index_arguments(cohort, "p10", "p11"))[0] == 0
    store = PixelStore(cohort / "store")
    assert store.batch(store.rows_of(list("dcba")))[:, 0, 0].tolist() == [30, 20, 10, 0]
    assert "p10: 2 images, 2 readable" in (cohort / "log" / "p10.log").read_text()


def test_a_shard_built_again_says_that_nothing_was_decoded(cohort):
    for _ in range(2):
        assert invoke(*shard_arguments(cohort, "p10"))[0] == 0
    assert "2 readable (0 decoded, 2 unchanged)" in (cohort / "log" / "p10.log").read_text()


def test_the_folder_of_the_shards_will_do_and_can_be_indexed_again(cohort):
    for shard in ("p10", "p11"):
        invoke(*shard_arguments(cohort, shard))
    arguments = [*index_arguments(cohort), "--shards", cohort / "store"]
    for _ in range(2):  # the second time index.parquet and quarantine.parquet lie there too
        assert invoke(*arguments)[0] == 0
        assert len(PixelStore(cohort / "store")) == 4


def test_one_shard_can_hold_a_whole_data_set(cohort):
    assert invoke(*shard_arguments(cohort, "all"))[0] == 0
    assert invoke(*index_arguments(cohort, "all"))[0] == 0
    assert len(PixelStore(cohort / "store")) == 4


def test_errors_are_one_line_and_name_no_patient(cohort):
    (cohort / "files/p10000032/0.png").unlink()
    for shard in ("p10", "p11"):
        invoke(*shard_arguments(cohort, shard))
    assert invoke(*index_arguments(cohort, "p10", "p11"))[0] == 2
    lines = (cohort / "log" / "index.log").read_text().splitlines()
    assert len(lines) == 1
    assert "1 of 4 images (25.00%) are unreadable" in lines[0]
    for log in (cohort / "log").iterdir():
        assert "10000032" not in log.read_text()


def test_a_table_without_paths_is_named(cohort):
    table = pq.read_table(cohort / "images.parquet").drop_columns("path")
    pq.write_table(table, cohort / "images.parquet")
    assert invoke(*shard_arguments(cohort, "p10"))[0] == 2
    assert "images.parquet has no column path" in (cohort / "log" / "p10.log").read_text()


def test_the_verbs_start_without_torch():
    code = "import sys, mmsn.images.command; sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
