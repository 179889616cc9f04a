"""Safetensors files with a digest of their content, the same bytes for the same content.

The format itself would load a flipped bit as a weight, and its library writes metadata in another order each time: then
everything that was made from an encoder would be stale as soon as that is made again.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mmsn.files import atomic_path

SEAL: Final = "mmsn.content_digest"
"""Key of the digest in a file's metadata."""


def write_sealed(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and metadata atomically, with the digest of both in the header, metadata sorted."""
    # clones: safetensors refuses tensors that share memory
    stored = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    sealed = {**metadata, SEAL: _digest(stored, metadata)}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(stored, sealed))  # save_file would leave a .tmp of its own when killed
        _sort_metadata(temporary)


def read_sealed(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a file; one that was written without a digest is taken as it is.

    Raises:
        SafetensorError: it is cut short, no safetensors file, or not what was written.
    """
    with safe_open(path, framework="pt") as opened:
        metadata = opened.metadata() or {}
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  (not a dict)
    seal = metadata.pop(SEAL, None)
    if seal is not None and seal != _digest(tensors, metadata):
        raise SafetensorError("its content is not what was written")
    return tensors, metadata


def _sort_metadata(path: Path) -> None:
    """Write the header again, as long as it was, with its metadata in order."""
    with path.open("r+b") as opened:
        size = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        written = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(written) > size:
            raise AssertionError("a safetensors header that grows when it is sorted")
        opened.seek(8)
        opened.write(written.ljust(size))


def _digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    total = hashlib.blake2b(json.dumps(sorted(metadata.items())).encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        total.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()
