"""A store copied to the node's own disk: once, whole or not at all, and only where there is room."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from mmsn.files import write_table
from mmsn.images import staging
from mmsn.images.staging import STAGE_TO, open_store, staged
from mmsn.images.store import PixelStore
from tests.unit.evaluation_parts import make_cohort


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()
    return make_cohort(folder)


def _pixels(folder):
    return PixelStore(folder).batch(range(60)).numpy()


def _folders(node):
    """Copies, whole or not, of all users."""
    return [path for path in node.glob("mmsn-*/*") if path.is_dir()]


def test_the_copy_has_the_same_pixels_and_is_private(store, tmp_path):
    copy = staged(store, tmp_path / "node")
    assert copy.is_relative_to(tmp_path / "node")
    np.testing.assert_array_equal(_pixels(copy), _pixels(store))
    assert (copy.stat().st_mode | copy.parent.stat().st_mode) & 0o077 == 0


def test_a_store_is_copied_once_however_many_jobs_start(store, tmp_path, monkeypatch):
    copied = []
    original = shutil.copyfile
    monkeypatch.setattr(staging.shutil, "copyfile", lambda *paths: copied.append(paths[0].name) or original(*paths))
    with ThreadPoolExecutor(4) as pool:
        copies = set(pool.map(lambda _: staged(store, tmp_path / "node"), range(8)))
    assert len(copies) == 1
    assert sorted(copied) == ["index.parquet", "p10.npy"]


def test_without_room_the_store_is_read_where_it_lies(store, tmp_path, monkeypatch):
    monkeypatch.setattr(staging.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    assert staged(store, tmp_path / "node") == store
    assert not _folders(tmp_path / "node")


def test_a_disk_that_fails_or_fills_up_costs_no_job_and_leaves_no_half_copy(store, tmp_path, monkeypatch):
    def fails(source, target):
        target.write_bytes(b"half")
        raise OSError("disk went away")

    with monkeypatch.context() as patched:
        patched.setattr(staging.shutil, "copyfile", fails)
        assert staged(store, tmp_path / "node") == store
    assert not _folders(tmp_path / "node")
    np.testing.assert_array_equal(_pixels(staged(store, tmp_path / "node")), _pixels(store))


def test_a_job_that_was_killed_while_it_copied_leaves_no_lock_and_the_next_starts_anew(store, tmp_path):
    node = tmp_path / "node"
    killed = f"""
import os, pathlib, shutil, signal
from mmsn.images.staging import staged
def half(source, target):
    pathlib.Path(target).write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
shutil.copyfile = half
staged(pathlib.Path({str(store)!r}), pathlib.Path({str(node)!r}))
"""
    assert subprocess.run([sys.executable, "-c", killed], check=False).returncode == -signal.SIGKILL
    assert [path.suffix for path in _folders(node)] == [".unfinished"]
    copy = staged(store, node)
    np.testing.assert_array_equal(_pixels(copy), _pixels(store))
    assert _folders(node) == [copy]


def test_what_a_killed_job_left_takes_no_room_from_the_next(store, tmp_path, monkeypatch):
    copy = staged(store, tmp_path / "node")
    left = copy.rename(copy.with_suffix(".unfinished"))
    monkeypatch.setattr(staging.shutil, "disk_usage", lambda _: SimpleNamespace(free=0 if left.exists() else 10**9))
    assert staged(store, tmp_path / "node") == copy


def test_a_copy_from_which_a_file_was_cleared_away_is_made_again(store, tmp_path):
    copy = staged(store, tmp_path / "node")
    (copy / "p10.npy").unlink()
    assert staged(store, tmp_path / "node") == copy
    np.testing.assert_array_equal(_pixels(copy), _pixels(store))


def _warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_a_folder_of_another_users_is_not_used(store, tmp_path, monkeypatch, caplog):
    me = os.getuid()
    (tmp_path / "node" / "mmsn-4242").mkdir(parents=True)
    monkeypatch.setattr(staging.os, "getuid", lambda: 4242)
    assert staged(store, tmp_path / "node") == store
    assert [line.rpartition("/")[2] for line in _warnings(caplog)] == ["mmsn-4242 belongs to another user"]
    monkeypatch.setattr(staging.os, "getuid", lambda: me)
    assert staged(store, tmp_path / "node").parent.name == f"mmsn-{me}"


def test_a_folder_that_cannot_be_made_costs_one_warning_and_no_job(store, tmp_path, caplog):
    (tmp_path / "file").touch()
    assert staged(store, tmp_path / "file" / "node") == store
    (warning,) = _warnings(caplog)
    assert "pixels are read where they lie, not from a copy" in warning


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
@pytest.mark.parametrize(("mode", "copied"), [(0o700, False), (0o1777, True)])
def test_a_second_user_has_a_copy_of_his_own_or_reads_the_store(mode, copied):
    second = """
import os, pathlib, sys
from mmsn.images.staging import staged
store, node = map(pathlib.Path, sys.argv[1:])
staged(store, node)  # the first user, who makes the folder
node.chmod(int(os.environ["MODE"]))
os.setuid(4242)
print(staged(store, node))
"""
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        node, store = Path(name, "node"), make_cohort(Path(name))
        for path in (Path(name), *store.rglob("*"), store):
            path.chmod(0o755)
        command, mode = [sys.executable, "-c", second, str(store), str(node)], {**os.environ, "MODE": str(mode)}
        done = subprocess.run(command, env=mode, check=True, capture_output=True, text=True)
    where = Path(done.stdout.strip())
    assert where.is_relative_to(node / "mmsn-4242") if copied else where == store


def test_another_content_is_another_copy(store, tmp_path):
    first = staged(store, tmp_path / "node")
    other = tmp_path / "other"
    other.mkdir()
    make_cohort(other)
    assert staged(other, tmp_path / "node") == first  # the same content
    shutil.rmtree(other)
    other.mkdir()
    np.save(other / "p11.npy", np.zeros((2, 20, 20), np.uint8))
    index = {"dicom_id": ["a", "b"], "subject_id": [1, 2], "shard": ["p11"] * 2, "row": [0, 1]}
    write_table(other / "index.parquet", pa.table(index))
    assert staged(other, tmp_path / "node") != first


def test_jobs_are_told_by_an_environment_variable_that_may_hold_another(store, tmp_path, monkeypatch):
    monkeypatch.delenv(STAGE_TO, raising=False)
    assert open_store(store)._directory == store
    monkeypatch.setenv("NODE_DISK", str(tmp_path / "node"))
    monkeypatch.setenv(STAGE_TO, "$NODE_DISK")
    assert open_store(store)._directory.is_relative_to(tmp_path / "node")


def test_a_variable_that_the_node_does_not_have_copies_nothing_anywhere(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NODE_DISK", raising=False)
    monkeypatch.setenv(STAGE_TO, "$NODE_DISK/pixels")
    assert open_store(store)._directory == store
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
