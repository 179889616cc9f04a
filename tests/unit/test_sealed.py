"""Weights on disk: the same content is the same bytes, and what is not what was written is not loaded."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mmsn.sealed import read_sealed, write_sealed

TENSORS = {
    "weight": torch.arange(12, dtype=torch.float32).reshape(3, 4),
    "steps": torch.tensor(7),
    "half": torch.ones(2, dtype=torch.bfloat16),
    "none": torch.zeros(0, 5),
}
METADATA = {name: f'a {name}\n"quoted" ä' for name in ("split", "method", "format", "backbone", "labels")}


def test_what_is_written_is_read(tmp_path):
    write_sealed(tmp_path / "x.safetensors", TENSORS, METADATA)
    tensors, metadata = read_sealed(tmp_path / "x.safetensors")
    assert metadata == METADATA
    assert tensors.keys() == TENSORS.keys() == load_file(tmp_path / "x.safetensors").keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


def test_equal_content_is_equal_bytes_though_the_library_shuffles_metadata(tmp_path):
    bytes_of = []
    for number in range(8):
        path = tmp_path / f"{number}.safetensors"
        write_sealed(path, TENSORS, dict(sorted(METADATA.items(), reverse=bool(number % 2))))
        bytes_of.append(path.read_bytes())
    assert len(set(bytes_of)) == 1


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_single_flipped_bit_is_noticed_wherever_it_is(tmp_path_factory, place, bit):
    path = tmp_path_factory.getbasetemp() / "flipped.safetensors"
    write_sealed(path, TENSORS, METADATA)
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 1 << bit
    path.write_bytes(data)
    try:
        tensors, metadata = read_sealed(path)
    except (SafetensorError, UnicodeDecodeError):
        return
    # what is left are bits that say nothing: the blanks behind the header, the name of the digest
    assert METADATA.items() <= metadata.items()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


def test_a_file_without_a_digest_is_taken_as_it_is(tmp_path):
    save_file({"weight": TENSORS["weight"]}, tmp_path / "old.safetensors", {"format": "pt"})
    assert read_sealed(tmp_path / "old.safetensors")[1] == {"format": "pt"}


def test_a_file_cut_short_is_refused(tmp_path):
    path = tmp_path / "cut.safetensors"
    write_sealed(path, TENSORS, METADATA)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(SafetensorError):
        read_sealed(path)
