"""A damaged pixel store is found before a model sees it, and is packed again from the images."""

import numpy as np
import pytest

from mmsn.errors import UserError
from mmsn.images.store import PixelStore
from tests.reliability.faults.damage import flipped, truncated
from tests.unit.test_images_store import build_again, build_store, root

__all__ = ["root"]  # the fixture


def test_a_flipped_bit_of_a_pixel_is_found_when_the_row_is_read_and_names_the_table_to_delete(root, tmp_path):
    build_store(root, tmp_path)
    flipped(tmp_path / "p10.npy", 0.99)  # in its last row
    store = PixelStore(tmp_path)
    last = len(np.load(tmp_path / "p10.npy")) - 1
    store.batch(np.arange(last))
    with pytest.raises(
        UserError,
        match=rf"p10\.npy: row {last} is not what was packed; delete .*p10\.parquet and index",
    ):
        store.batch([last])
    with pytest.raises(UserError, match="is not what was packed"):
        PixelStore(tmp_path).load("cpu")


@pytest.mark.parametrize("damage", [truncated, lambda path: flipped(path, 0.0)])
def test_an_array_cut_short_or_without_its_header_is_named(root, tmp_path, damage):
    build_store(root, tmp_path)
    damage(tmp_path / "p10.npy")
    with pytest.raises(UserError, match=r"p10\.npy: damaged array .*; delete .*p10\.parquet and index\.parquet"):
        PixelStore(tmp_path)


@pytest.mark.parametrize("name", ["p10.npy", "p10.parquet"])
@pytest.mark.parametrize("damage", [truncated, lambda path: flipped(path, 0.0), lambda path: flipped(path, 0.5)])
def test_a_shard_is_packed_again_as_it_was_though_its_second_name_is_the_same_damaged_file(
    root, tmp_path, name, damage
):
    build_store(root, tmp_path)
    whole = [(tmp_path / made).read_bytes() for made in ("p10.npy", "p10.parquet")]
    damage(tmp_path / name)
    build_again(root, tmp_path)
    assert [(tmp_path / made).read_bytes() for made in ("p10.npy", "p10.parquet")] == whole
