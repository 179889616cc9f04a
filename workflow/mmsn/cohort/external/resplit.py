"""Which patients of NIH-14's train_val_list validate: whole patients, and as many images as were asked for."""

import hashlib
from collections.abc import Mapping
from typing import Final

_PUBLISHED_SHARE: Final = 3_567 / 36_024
"""The paper's validation images among those with a finding on train_val_list.txt; 32,457 are left to train."""


def share(images: int) -> int:
    """The paper's share of `images`, at least one."""
    return max(1, round(images * _PUBLISHED_SHARE))


def choose(images_of: Mapping[int, int], wanted: int, seed: int) -> frozenset[int]:
    """Choose patients with `wanted` images in all.

    Patients are taken in the order of a seeded hash (MD5 of 'seed:patient', then the number); one with more images
    than are still wanted is passed over. So the total is never above `wanted`, and it is met exactly as soon as
    patients with one image are left at the end, which more than half of NIH-14's are. The choice depends on the seed
    and on who has how many images alone, not on row order, threads or a library's random generator.

    Args:
        images_of: Patient -> number of images, each at least one.
        wanted: Images to choose.
        seed: Seed of the order.
    """
    chosen, left = set(), wanted
    for patient in sorted(images_of, key=lambda patient: (_digest(seed, patient), patient)):
        if images_of[patient] <= left:
            chosen.add(patient)
            left -= images_of[patient]
    return frozenset(chosen)


def _digest(seed: int, patient: int) -> bytes:
    return hashlib.md5(f"{seed}:{patient}".encode(), usedforsecurity=False).digest()
