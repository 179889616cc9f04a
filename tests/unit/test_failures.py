"""A full disk, a missing right, a damaged file: one line that names the file and the next step."""

import errno
import os
from pathlib import Path

import pyarrow as pa
import pytest
from safetensors import SafetensorError

from mmsn import files
from mmsn.console import run
from mmsn.errors import UserError
from mmsn.failures import error_number, told

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "results/a.parquet")
GOES_ON = "then the same command goes on from here"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (FULL, f"results/a.parquet: no space left on its disk; free some, {GOES_ON}"),
        (SafetensorError("I/O error: No space left on device (os error 28)"), "a file of this job: no space left"),
        (OSError("Error writing bytes. Detail: [errno 122] Disk quota exceeded"), "a file of this job: your quota"),
        (PermissionError(errno.EACCES, "Permission denied", "results/x"), "results/x: no permission; give yourself"),
        (OSError(errno.EROFS, "Read-only file system", "results/x"), "results/x: its disk may only be read"),
        (MemoryError(), "a file of this job: no memory left"),
    ],
)
def test_what_the_machine_did_is_told_in_a_line(error, line):
    assert told(error).startswith(line)


def test_a_defect_is_not_told_as_the_machines():
    assert told(KeyError("x")) is None
    assert told(ValueError("28 of them")) is None
    raised_beside_it = KeyError("a defect in the handling of it")
    raised_beside_it.__context__ = FULL
    assert error_number(raised_beside_it) is None


def test_a_writer_that_fails_names_the_file_and_leaves_none(tmp_path):
    with pytest.raises(OSError, match="No space left") as failed, files.atomic_path(tmp_path / "head.safetensors"):
        raise SafetensorError("I/O error: No space left on device (os error 28)")
    assert failed.value.filename == str(tmp_path / "head.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_command_on_a_full_disk_ends_in_one_line(tmp_path, capfd):
    def work():
        raise FULL

    assert run(work, tmp_path / "job.log") == 2
    said = capfd.readouterr().err
    assert said == f"error: results/a.parquet: no space left on its disk; free some, {GOES_ON}\n"
    assert "Traceback" not in (tmp_path / "job.log").read_text()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_log_on_a_full_disk_says_nothing_and_stops_nothing(tmp_path, capfd):
    log = tmp_path / "job.log"
    log.symlink_to("/dev/full")
    assert run(lambda: None, log) == 0
    assert "Traceback" not in capfd.readouterr().err


def _table(tmp_path):
    path = tmp_path / "features.parquet"
    files.write_table(path, pa.table({"age": [float(n) for n in range(5000)]}), {"mmsn.split_sha256": "s"})
    return path


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9])
def test_a_table_with_a_flipped_byte_is_refused(tmp_path, share):
    path = _table(tmp_path)
    data = bytearray(path.read_bytes())
    data[int(share * len(data))] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"features\.parquet: damaged table .*delete it, and the same command"):
        files.read_table(path)


@pytest.mark.parametrize("damage", [lambda data: data[:-100], lambda _: b"", lambda _: b"no table"])
def test_a_table_cut_short_is_refused_by_readers_of_rows_and_of_the_schema(tmp_path, damage):
    path = _table(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    for read in (files.read_table, files.read_schema):
        with pytest.raises(UserError, match=r"features\.parquet: damaged table"):
            read(path)


def test_a_table_that_is_gone_is_no_damaged_one(tmp_path):
    with pytest.raises(FileNotFoundError):
        files.read_table(tmp_path / "none.parquet")


def test_damaged_json_is_refused(tmp_path):
    (tmp_path / "flow.json").write_text('{"images": 1')
    with pytest.raises(UserError, match=r"flow\.json: damaged JSON"):
        files.read_json(tmp_path / "flow.json")


def test_what_killed_writers_left_is_removed_and_what_others_write_is_not(tmp_path):
    def left(name):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))

    left(".table-abcdefgh.md")
    left(".table-of-abcdefgh.md")  # another table's
    (tmp_path / ".table-abcdefg_.md").touch()  # of a writer at work
    files.write_text(tmp_path / "table.md", "x")
    assert {path.name for path in tmp_path.iterdir()} == {"table.md", ".table-of-abcdefgh.md", ".table-abcdefg_.md"}


def test_a_writer_that_cannot_read_something_else_names_that(tmp_path):
    with pytest.raises(FileNotFoundError) as failed, files.atomic_path(tmp_path / "table.md"):
        (tmp_path / "input.csv").read_text()
    assert failed.value.filename == str(tmp_path / "input.csv")


def test_a_folder_that_may_not_be_written_is_named_with_the_file_and_not_its_temporary_name(tmp_path, monkeypatch):
    def refused(**_):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / ".table-abcdefgh.md"))

    monkeypatch.setattr("tempfile.mkstemp", refused)
    with pytest.raises(PermissionError) as failed:
        files.write_text(tmp_path / "table.md", "x")
    assert failed.value.filename == str(tmp_path / "table.md")
