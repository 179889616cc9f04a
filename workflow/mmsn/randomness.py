"""Random numbers without a state to save: each draw has an address, and the address is its seed.

A run that is stopped and taken up again at (epoch, step) draws what it would have drawn, and two methods with the same
seed see the same views of the same images.
"""

import hashlib

import torch


def derived_seed(*address: int | str) -> int:
    """A 63-bit seed from an address such as `(seed, "views", epoch, step)`."""
    digest = hashlib.sha256("/".join(map(str, address)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(device: torch.device | str, *address: int | str) -> torch.Generator:
    """A generator on `device`, seeded by the address."""
    return torch.Generator(device=device).manual_seed(derived_seed(*address))
