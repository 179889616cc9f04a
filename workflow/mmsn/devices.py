"""Which device a job computes on."""

import os
import platform
from typing import Final

import torch

from mmsn.errors import UserError
from mmsn.leases import lease, lease_folder

JOBS_A_GPU: Final = "MMSN_JOBS_A_GPU"
"""Environment variable that lets so many jobs share each GPU of a machine, under NVIDIA's MPS."""


def pick_device(name: str, place: int = 0) -> torch.device:
    """`auto` is a GPU that the job may see and no other job of ours has, else the CPU.

    Args:
        name: auto, cpu, cuda, cuda:1, ...
        place: which of the visible GPUs `cuda` is, for one of several processes on a machine. `auto` takes a free one,
            of at least so many that this place exists.

    Raises:
        UserError: when a device is asked for that is not there.
    """
    free_choice = name == "auto" and torch.cuda.is_available()
    if name == "auto":
        name = "cuda" if free_choice else "cpu"
    device = torch.device("cuda", place) if name == "cuda" else torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"--device {name}: torch sees no GPU here; use --device cpu or auto")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(
            f"GPU {device.index} is asked for and {torch.cuda.device_count()} are visible; lower --processes (the "
            "workflow's pretrain: gpu)"
        )
    return _leased() if free_choice else device


def _leased() -> torch.device:
    """A GPU of this process alone, or one of the places on it; several processes of one job have one each."""
    identities = [str(torch.cuda.get_device_properties(place).uuid) for place in range(torch.cuda.device_count())]
    jobs = os.environ.get(JOBS_A_GPU, "1")
    if not jobs.isdecimal() or int(jobs) < 1:
        raise UserError(f"{JOBS_A_GPU}: {jobs!r} is not a number of jobs; set it to 1 or more, or not at all")
    # every GPU gets a first job before one gets a second
    more = [f"{identity}-{number}" for number in range(1, int(jobs)) for identity in identities]
    return torch.device("cuda", lease([*identities, *more], lease_folder()) % len(identities))


def describe(device: torch.device) -> str:
    """The device's name for a run's record, e.g. `NVIDIA H100` or `x86_64, 2 threads`."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine() or os.name}, {torch.get_num_threads()} threads"
