"""The pixel store: every image once, in order, resumable; broken files are set aside, not hidden."""

import logging
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from mmsn.errors import UserError
from mmsn.images import shards
from mmsn.images.decode import decode
from mmsn.images.index import merge_index
from mmsn.images.settings import ImageSettings
from mmsn.images.shards import ImageRow, build_shard, shard_of
from mmsn.images.store import PixelStore

SETTINGS = ImageSettings(side=32, max_unreadable_share=0.5)


@pytest.fixture
def root(tmp_path):
    """Twelve images of four patients in two shards; one file is empty, one is missing."""
    folder = tmp_path / "data"
    noise = np.random.default_rng(0).integers(0, 256, (12, 40, 40), dtype=np.uint8)
    for row, pixels in zip(rows(), noise, strict=True):
        path = folder / row.path
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    (folder / rows()[2].path).write_bytes(b"")
    (folder / rows()[9].path).unlink()
    return folder


def rows() -> list[ImageRow]:
    subjects = [10000032, 10000980, 11000011, 11000012]
    return [
        ImageRow(f"d{n:02d}", subject, f"files/p{str(subject)[:2]}/p{subject}/d{n:02d}.png")
        for n, subject in enumerate(np.repeat(subjects, 3).tolist())
    ]


def build(root: Path, out: Path, shard: str, workers: int = 2) -> Path:
    chosen = [row for row in rows() if shard_of(row.subject_id) == shard]
    build_shard(chosen, root, SETTINGS, out / f"{shard}.npy", out / f"{shard}.parquet", workers)
    return out / f"{shard}.parquet"


def build_store(root: Path, out: Path) -> PixelStore:
    indexes = [build(root, out, shard) for shard in ("p10", "p11", "p12")]
    merge_index(indexes, SETTINGS, out / "index.parquet", out / "quarantine.parquet")
    return PixelStore(out)


def test_mimic_patients_fall_into_the_shards_of_their_folders():
    assert [shard_of(s) for s in (10000032, 19999987, 13)] == ["p10", "p19", "p00"]


def test_every_readable_image_is_in_the_store_as_it_decodes(root, tmp_path):
    store = build_store(root, tmp_path / "store")
    readable = [row for row in rows() if row.dicom_id not in ("d02", "d09")]
    batch = store.batch(store.rows_of([row.dicom_id for row in readable]))
    assert (len(store), store.side) == (10, 32)
    for pixels, row in zip(batch.numpy(), readable, strict=True):
        np.testing.assert_array_equal(pixels, decode(root / row.path, SETTINGS))


def test_unreadable_images_are_quarantined_with_their_reason(root, tmp_path):
    build_store(root, tmp_path / "store")
    quarantine = pq.read_table(tmp_path / "store" / "quarantine.parquet").to_pylist()
    assert quarantine == [
        {"dicom_id": "d02", "reason": "empty file"},
        {"dicom_id": "d09", "reason": "missing file"},
    ]


def test_batches_come_in_the_order_asked_for_from_disk_and_from_memory(root, tmp_path):
    store = build_store(root, tmp_path / "store")
    positions = np.array([7, 0, 9, 3, 3, 8, 1])
    from_disk = store.batch(positions)
    assert torch.equal(from_disk, torch.stack([store.batch([p])[0] for p in positions]))
    assert store.load("cpu")
    assert torch.equal(store.batch(positions), from_disk)
    assert store.batch([]).shape == (0, 32, 32)


def test_a_store_travels_to_a_worker_as_its_directory(root, tmp_path):
    store = build_store(root, tmp_path / "store")
    copy = pickle.loads(pickle.dumps(store))
    assert torch.equal(copy.batch([4, 2]), store.batch([4, 2]))


def test_quarantined_ids_have_no_position_and_are_counted(root, tmp_path, caplog):
    store = build_store(root, tmp_path / "store")
    logging.getLogger("mmsn").propagate = True
    with caplog.at_level(logging.INFO, logger="mmsn"):
        assert store.rows_of(["d00", "d02", "d11"]).tolist() == [0, -1, 9]
    assert "1 of 3 images are not in the pixel store" in caplog.text
    assert "d02" not in caplog.text
    with pytest.raises(IndexError):
        store.batch([-1])
    with pytest.raises(UserError, match="none of the 2 images"):
        store.rows_of(["10000032", "x"])


def test_an_empty_shard_is_an_array_of_no_rows(root, tmp_path):
    build(root, tmp_path, "p12")
    assert np.load(tmp_path / "p12.npy", mmap_mode="r").shape == (0, 32, 32)
    assert pq.read_table(tmp_path / "p12.parquet").num_rows == 0


def test_the_bytes_do_not_depend_on_the_number_of_threads(root, tmp_path):
    for workers in (1, 3):
        build(root, tmp_path / str(workers), "p10", workers)
    assert (tmp_path / "1/p10.npy").read_bytes() == (tmp_path / "3/p10.npy").read_bytes()


@pytest.mark.parametrize("mark_every", [1, 2, 100])
def test_an_interrupted_shard_goes_on_where_it_stopped(root, tmp_path, monkeypatch, mark_every):
    build(root, tmp_path / "whole", "p10")
    monkeypatch.setattr(shards, "_ROWS_BETWEEN_MARKS", mark_every)
    seen: list[str] = []

    def failing(path, settings):
        if path.name == "d04.png" and len(seen) < 6:
            seen.extend(["x"] * 6)
            raise UserError("disk gone")
        return decode(path, settings)

    monkeypatch.setattr(shards, "decode", failing)
    with pytest.raises(UserError):
        build(root, tmp_path / "broken", "p10", workers=1)
    assert not (tmp_path / "broken/p10.npy").exists()
    build(root, tmp_path / "broken", "p10", workers=1)
    assert (tmp_path / "broken/p10.npy").read_bytes() == (tmp_path / "whole/p10.npy").read_bytes()
    assert pq.read_table(tmp_path / "broken/p10.parquet") == pq.read_table(tmp_path / "whole/p10.parquet")
    assert sorted(path.name for path in (tmp_path / "broken").iterdir()) == ["p10.npy", "p10.parquet"]


def test_other_settings_begin_an_interrupted_shard_anew(root, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "_ROWS_BETWEEN_MARKS", 1)
    monkeypatch.setattr(shards, "write_table", lambda *_: (_ for _ in ()).throw(OSError("killed")))
    with pytest.raises(OSError, match="killed"):
        build(root, tmp_path, "p10")
    monkeypatch.undo()
    smaller = ImageSettings(side=16)
    build_shard(rows()[:6], root, smaller, tmp_path / "p10.npy", tmp_path / "p10.parquet")
    assert np.load(tmp_path / "p10.npy").shape == (5, 16, 16)


def test_too_many_unreadable_images_stop_the_run_and_stay_readable(root, tmp_path):
    indexes = [build(root, tmp_path, shard) for shard in ("p10", "p11")]
    strict = ImageSettings(side=32, max_unreadable_share=0.1)
    with pytest.raises(UserError) as caught:
        merge_index(indexes, strict, tmp_path / "index.parquet", tmp_path / "quarantine.parquet")
    message = str(caught.value)
    assert "2 of 12 images (16.67%) are unreadable" in message
    assert "empty file 1, missing file 1" in message
    assert "p10, p11" in message
    assert "\n" not in message
    rejected = tmp_path / "quarantine.rejected.parquet"
    assert str(rejected) in message
    assert pq.read_table(rejected)["dicom_id"].to_pylist() == ["d02", "d09"]
    merge_index(indexes, SETTINGS, tmp_path / "index.parquet", tmp_path / "quarantine.parquet")
    assert not rejected.exists()


def test_an_image_in_no_shard_or_in_two_stops_the_run(root, tmp_path):
    only = build(root, tmp_path, "p10")
    cohort = pa.table({"dicom_id": [r.dicom_id for r in rows()], "subject_id": [r.subject_id for r in rows()]})
    with pytest.raises(UserError, match=r"6 images of the cohort are in no shard.* p11"):
        merge_index([only], SETTINGS, tmp_path / "i.parquet", tmp_path / "q.parquet", cohort)
    with pytest.raises(UserError, match="6 dicom_id are in more than one shard"):
        merge_index([only, only], SETTINGS, tmp_path / "i.parquet", tmp_path / "q.parquet")


def test_a_store_that_does_not_fit_its_index_is_refused(root, tmp_path):
    build_store(root, tmp_path)
    np.save(tmp_path / "p11.npy", np.zeros((3, 32, 32), np.uint8))
    with pytest.raises(UserError, match=r"p11\.npy has 3 rows, index\.parquet lists 5"):
        PixelStore(tmp_path)
    (tmp_path / "p11.npy").unlink()
    with pytest.raises(UserError, match=r"p11\.npy is missing"):
        PixelStore(tmp_path)


def test_a_wrong_data_root_is_named_before_any_work(tmp_path):
    with pytest.raises(UserError, match="is not a folder"):
        build_shard(rows(), tmp_path / "nowhere", SETTINGS, tmp_path / "a.npy", tmp_path / "a.parquet")
