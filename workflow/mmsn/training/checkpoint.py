"""The state of an unfinished run in one safetensors file: written aside, renamed, refused when it is another run's."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from mmsn.errors import UserError
from mmsn.files import atomic_path


@dataclass(frozen=True)
class Checkpoint:
    """Tensors of model and optimiser, and the JSON state of everything else."""

    tensors: dict[str, Tensor]
    state: dict[str, Any]


def save_checkpoint(path: Path, fingerprint: str, model: nn.Module, optimizer: Optimizer, state: Any) -> None:
    """Write model, optimiser and `state` (JSON) atomically.

    Args:
        path: the file; it is no declared output of the workflow, so a failed job keeps it.
        fingerprint: identifies the settings and inputs of the run.
        model: all its parameters and buffers are kept.
        optimizer: every tensor of its state is kept.
        state: where the run stands.
    """
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for index, values in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in values.items()}
    metadata = {"fingerprint": fingerprint, "state": json.dumps(state)}
    with atomic_path(path) as temporary:
        save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, temporary, metadata)


def load_checkpoint(path: Path, fingerprint: str) -> Checkpoint | None:
    """The checkpoint at `path`, None when there is none.

    Raises:
        UserError: when it is damaged, or belongs to other settings or inputs.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  (not a dict)
    except Exception as error:
        raise UserError(f"{path}: damaged checkpoint ({error}); delete it to start this run afresh") from None
    if metadata.get("fingerprint") != fingerprint:
        raise UserError(f"{path}: checkpoint of other settings or inputs; delete it to start this run afresh")
    return Checkpoint(tensors, json.loads(metadata["state"]))


def restore(checkpoint: Checkpoint, model: nn.Module, optimizer: Optimizer) -> None:
    """Put a checkpoint's tensors back into a model and an optimiser of the same shape."""
    prefix = "model."
    model.load_state_dict({n.removeprefix(prefix): t for n, t in checkpoint.tensors.items() if n.startswith(prefix)})
    whole = optimizer.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in checkpoint.tensors.items():
        if name.startswith("optimizer."):
            _, index, field = name.split(".")
            state.setdefault(int(index), {})[field] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": whole["param_groups"]})


def remove_checkpoint(path: Path) -> None:
    """Delete a checkpoint that is no longer needed."""
    path.unlink(missing_ok=True)
