"""The state of an unfinished job in one safetensors file: written aside, renamed, refused when it is another job's."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor, nn
from torch.optim import Optimizer

from mmsn.errors import UserError
from mmsn.files import remove_leftovers
from mmsn.sealed import read_sealed, write_sealed

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, and the JSON state of everything else."""

    tensors: Tensors
    state: Any

    def part(self, prefix: str) -> Tensors:
        """Tensors whose names start with `prefix`, without it."""
        return {n.removeprefix(prefix): t for n, t in self.tensors.items() if n.startswith(prefix)}


def save_checkpoint(path: Path, fingerprint: str, tensors: Tensors, state: Any) -> None:
    """Write tensors and `state` (JSON) atomically.

    Args:
        path: the file; it is no declared output of the workflow, so a failed job keeps it.
        fingerprint: identifies the settings and inputs of the job.
        tensors: by name.
        state: where the job stands.
    """
    metadata = {"fingerprint": fingerprint, "state": json.dumps(state)}
    write_sealed(path, tensors, metadata)


def load_checkpoint(path: Path, fingerprint: str) -> Checkpoint | None:
    """The checkpoint at `path`, None when there is none; what killed jobs left half-written is removed.

    Raises:
        UserError: when it is damaged, or belongs to other settings or inputs.
    """
    remove_leftovers(path)
    if not path.exists():
        return None
    try:
        tensors, metadata = read_sealed(path)
        state = json.loads(metadata["state"])
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: damaged checkpoint ({error}); delete it to start this run afresh") from None
    if metadata.get("fingerprint") != fingerprint:
        raise UserError(f"{path}: checkpoint of other settings or inputs; delete it to start this run afresh")
    return Checkpoint(tensors, state)


def optimizer_tensors(optimizer: Optimizer, prefix: str) -> Tensors:
    """Every tensor of an optimiser's state, named `<prefix><parameter>.<field>`."""
    states = optimizer.state_dict()["state"]
    return {f"{prefix}{index}.{name}": value for index, values in states.items() for name, value in values.items()}


def restore_optimizer(optimizer: Optimizer, tensors: Tensors) -> None:
    """Put tensors of `optimizer_tensors` (without prefix) back; groups and learning rates stay as they are."""
    state: dict[int, Tensors] = {}
    for name, tensor in tensors.items():
        index, field = name.split(".")
        state.setdefault(int(index), {})[field] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def module_tensors(module: nn.Module, prefix: str) -> Tensors:
    """All parameters and buffers of a module."""
    return {f"{prefix}{name}": value for name, value in module.state_dict().items()}
