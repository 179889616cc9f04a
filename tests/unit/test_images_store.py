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
from mmsn.images import decode as decoding
from mmsn.images import growing, shards
from mmsn.images.decode import decode
from mmsn.images.index import merge_index
from mmsn.images.reading import read
from mmsn.images.settings import ImageSettings
from mmsn.images.shards import ImageRow, ShardSummary, build_shard, shard_of
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


def build_again(root: Path, out: Path, settings: ImageSettings = SETTINGS) -> ShardSummary:
    """Build p10 as Snakemake would: it deletes the outputs first."""
    for name in ("p10.npy", "p10.parquet"):
        (out / name).unlink(missing_ok=True)
    return build_shard(rows()[:6], root, settings, out / "p10.npy", out / "p10.parquet")


def replace_image(root: Path, row: ImageRow, seed: int = 7) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 40), dtype=np.uint8)
    Image.fromarray(pixels).save(root / row.path)


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
        np.testing.assert_array_equal(pixels, decode(read(root / row.path), SETTINGS))


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


def interrupt_before(path_name: str, monkeypatch) -> None:
    """Let the disk fail at one image."""

    def failing(path: Path) -> bytes:
        if path.name == path_name:
            raise UserError("disk gone")
        return read(path)

    monkeypatch.setattr(shards, "read", failing)


@pytest.mark.parametrize("mark_every", [1, 2, 100])
def test_an_interrupted_shard_goes_on_where_it_stopped(root, tmp_path, monkeypatch, mark_every):
    build(root, tmp_path / "whole", "p10")
    monkeypatch.setattr(growing, "_ROWS_BETWEEN_MARKS", mark_every)
    interrupt_before("d04.png", monkeypatch)
    with pytest.raises(UserError):
        build(root, tmp_path / "broken", "p10", workers=1)
    assert not (tmp_path / "broken/p10.npy").exists()
    monkeypatch.setattr(shards, "read", read)
    summary = build_again(root, tmp_path / "broken")
    assert summary.decoded == {1: 2, 2: 2, 100: 5}[mark_every]
    assert (tmp_path / "broken/p10.npy").read_bytes() == (tmp_path / "whole/p10.npy").read_bytes()
    assert pq.read_table(tmp_path / "broken/p10.parquet") == pq.read_table(tmp_path / "whole/p10.parquet")
    names = sorted(path.name for path in (tmp_path / "broken").iterdir())
    assert names == ["p10.npy", "p10.npy.kept", "p10.parquet", "p10.parquet.kept"]


@pytest.mark.parametrize("damage", ["torn journal", "short array", "no journal"])
def test_what_a_power_cut_leaves_behind_is_not_trusted(root, tmp_path, monkeypatch, damage):
    build(root, tmp_path / "whole", "p10")
    monkeypatch.setattr(growing, "_ROWS_BETWEEN_MARKS", 1)
    interrupt_before("d04.png", monkeypatch)
    with pytest.raises(UserError):
        build(root, tmp_path / "broken", "p10", workers=1)
    monkeypatch.undo()
    array, journal = tmp_path / "broken/p10.npy.partial", tmp_path / "broken/p10.npy.partial.jsonl"
    if damage == "torn journal":
        journal.write_bytes(journal.read_bytes()[:-9])
    elif damage == "short array":
        array.write_bytes(array.read_bytes()[:-600])
    else:
        journal.unlink()
    build(root, tmp_path / "broken", "p10")
    assert (tmp_path / "broken/p10.npy").read_bytes() == (tmp_path / "whole/p10.npy").read_bytes()


def test_other_settings_begin_an_interrupted_shard_anew(root, tmp_path, monkeypatch):
    monkeypatch.setattr(growing, "_ROWS_BETWEEN_MARKS", 1)
    interrupt_before("d04.png", monkeypatch)
    with pytest.raises(UserError):
        build(root, tmp_path, "p10")
    monkeypatch.undo()
    assert build_again(root, tmp_path, ImageSettings(side=16)).decoded == 5
    assert np.load(tmp_path / "p10.npy").shape == (5, 16, 16)


def test_a_changed_image_is_decoded_again_and_no_other(root, tmp_path):
    build(root, tmp_path, "p10")
    before = np.load(tmp_path / "p10.npy")
    replace_image(root, rows()[4])
    summary = build_again(root, tmp_path)
    assert (summary.images, summary.decoded, summary.unchanged) == (6, 1, 4)
    after = np.load(tmp_path / "p10.npy")
    assert [bool((a == b).all()) for a, b in zip(after, before, strict=True)] == [True, True, True, False, True]
    np.testing.assert_array_equal(after[3], decode(read(root / rows()[4].path), SETTINGS))


def test_unchanged_images_give_the_same_bytes_without_decoding_whatever_their_dates(root, tmp_path):
    build(root, tmp_path, "p10")
    before = [(tmp_path / name).read_bytes() for name in ("p10.npy", "p10.parquet")]
    for row in rows():
        path = root / row.path
        if path.exists():
            path.touch()
    for _ in range(2):
        assert build_again(root, tmp_path) == ShardSummary(6, 0, 5, {"empty file": 1})
        assert [(tmp_path / name).read_bytes() for name in ("p10.npy", "p10.parquet")] == before


def test_a_mended_image_joins_without_decoding_the_others(root, tmp_path):
    build(root, tmp_path, "p10")
    replace_image(root, rows()[2])
    assert build_again(root, tmp_path) == ShardSummary(6, 1, 5, {})
    assert np.load(tmp_path / "p10.npy").shape == (6, 32, 32)


def test_other_settings_or_another_pillow_decode_every_image_again(root, tmp_path, monkeypatch):
    build(root, tmp_path, "p10")
    assert build_again(root, tmp_path, SETTINGS.model_copy(update={"aspect": "kept"})).decoded == 5
    assert build_again(root, tmp_path, SETTINGS.model_copy(update={"max_unreadable_share": 0.2})).decoded == 5
    assert build_again(root, tmp_path, SETTINGS.model_copy(update={"max_unreadable_share": 0.3})).decoded == 0
    monkeypatch.setattr(decoding, "version", lambda name: "99")
    assert build_again(root, tmp_path).decoded == 5


def test_a_store_is_on_the_disk_once(root, tmp_path):
    for settings in (SETTINGS, SETTINGS, ImageSettings(side=16)):
        build_again(root, tmp_path, settings)
        inodes = {path.stat().st_ino for path in tmp_path.glob("p10.*")}
        assert len(inodes) == 2  # the array and its index, each by two names


def test_without_hard_links_every_image_is_decoded_again(root, tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    build(root, tmp_path, "p10")
    assert build_again(root, tmp_path).decoded == 5


def test_a_damaged_row_of_the_last_build_is_decoded_again(root, tmp_path):
    build(root, tmp_path, "p10")
    kept = tmp_path / "p10.npy.kept"
    content = bytearray(kept.read_bytes())
    content[-1] ^= 255
    kept.write_bytes(content)
    summary = build_again(root, tmp_path)
    assert (summary.decoded, summary.unchanged) == (1, 4)


@pytest.mark.parametrize("change", ["an image", "the side"])
def test_the_index_changes_with_the_pixels_so_that_training_sees_it(root, tmp_path, change):
    index = tmp_path / "index.parquet"

    def indexed(settings: ImageSettings = SETTINGS) -> bytes:
        build_again(root, tmp_path, settings)
        merge_index([tmp_path / "p10.parquet"], settings, index, tmp_path / "quarantine.parquet")
        return index.read_bytes()

    before = indexed()
    assert indexed() == before
    if change == "an image":
        replace_image(root, rows()[4])
    assert indexed(SETTINGS if change == "an image" else SETTINGS.model_copy(update={"side": 16})) != before


def test_other_formats_are_read_where_the_table_lists_jpegs_only_when_asked(root, tmp_path):
    listed = [row._replace(path=str(Path(row.path).with_suffix(".jpg"))) for row in rows()[:2]]

    def built(settings: ImageSettings) -> ShardSummary:
        return build_shard(listed, root, settings, tmp_path / "a.npy", tmp_path / "a.parquet")

    reason = "missing file, but there is one ending in .png (images.file_suffix)"
    assert built(SETTINGS).unreadable == {reason: 2}
    assert built(SETTINGS.model_copy(update={"file_suffix": ".png"})).decoded == 2


def test_too_many_unreadable_images_stop_the_run_and_stay_readable(root, tmp_path):
    indexes = [build(root, tmp_path, shard) for shard in ("p10", "p11")]
    strict = ImageSettings(side=32, max_unreadable_share=0.1)
    with pytest.raises(UserError) as caught:
        merge_index(indexes, strict, tmp_path / "index.parquet", tmp_path / "quarantine.parquet")
    message = str(caught.value)
    assert "2 of 12 images (16.67%) are unreadable" in message
    assert "empty file 1, missing file 1" in message
    assert "delete p10.parquet, p11.parquet and run again" in message
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
