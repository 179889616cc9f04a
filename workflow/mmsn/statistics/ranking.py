"""Checked targets and scores, and the one sort by score that every metric starts from."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
Counts: TypeAlias = NDArray[np.uint16]
Bytes: TypeAlias = NDArray[np.uint8]
Flags: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class Ranking:
    """The n images with a known target, best score first; tied images form one group."""

    order: Integers
    """[n] rows of the images in the caller's arrays."""
    positive: Flags
    """[n] whether the image has the label."""
    last: Flags
    """[n] whether the image is the last of its group of equal scores."""

    @cached_property
    def positives(self) -> int:
        """How many images have the label."""
        return int(np.count_nonzero(self.positive))

    @property
    def negatives(self) -> int:
        """How many do not."""
        return self.order.size - self.positives

    @property
    def ends(self) -> tuple[Integers, Integers]:
        """First place, and the one after the last, of every group of equal scores: [G]."""
        stops = np.flatnonzero(self.last) + 1
        return np.concatenate([np.zeros(1, np.int64), stops])[: stops.size], stops

    @property
    def found(self) -> Integers:
        """How many of the first k images have the label: [n + 1]."""
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self.positive)])

    @cached_property
    def groups(self) -> tuple[Integers, Integers]:
        """First place, and the one after the last, of each group with a positive image; an empty one at the end."""
        starts, stops = self.ends
        found = self.found
        own = found[stops] > found[starts]
        end = np.array([self.order.size])
        return np.concatenate([starts[own], end]), np.concatenate([stops[own], end])

    @property
    def midranks(self) -> Floats:
        """Rank of each image from 1 for the lowest score, tied ones sharing their mean: [n], best score first."""
        starts, stops = self.ends
        middle: Floats = np.repeat(self.order.size + (1 - starts - stops) / 2, stops - starts)
        return middle

    def of(self, images: Flags) -> "Ranking":
        """The same ranking of some images alone, chosen by a mask over the caller's arrays; rows stay as they are."""
        own = images[self.order]
        group: Integers = np.cumsum(self.last) - self.last  # of the place, counted from 0
        return Ranking(self.order[own], self.positive[own], last_of_group(group[own]))


def rank(targets: Floats, scores: Floats) -> Ranking:
    """Sort one label's images [N] by descending score, leaving out those whose target is NaN (ignored)."""
    known = np.flatnonzero(~np.isnan(targets))
    order = known[np.argsort(-scores[known])]
    return Ranking(order, targets[order] == 1, last_of_group(scores[order]))


def last_of_group(ranked: Floats | Integers) -> Flags:
    """Whether each of the sorted values is the last of its equals: [n]."""
    last = np.ones(ranked.size, dtype=np.bool_)
    last[:-1] = ranked[1:] != ranked[:-1]
    return last


def rank_all(targets: Floats, scores: Floats) -> tuple[Ranking, ...]:
    """Of each label of targets and scores [N, L] that `checked` has seen; every metric and resample can share them."""
    columns = (
        np.ascontiguousarray(array.T) for array in (targets, scores)
    )  # strided ones are read at a third the speed
    return tuple(rank(target, score) for target, score in zip(*columns, strict=True))


def checked(targets: ArrayLike, scores: ArrayLike, labels: Sequence[str] | None = None) -> tuple[Floats, Floats]:
    """Return targets and scores as float64 [N, L], or [N] for one label.

    Widening float32 keeps ties and order, so nothing that depends on ranks changes.

    Raises:
        ValueError: shapes differ, a target is none of 0, 1, NaN, or a score is not finite; names the labels
            and how many images.
    """
    target, score = np.asarray(targets, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if target.shape != score.shape or target.ndim not in (1, 2):
        raise ValueError(
            f"targets {target.shape} and scores {score.shape} need one shape, [images] or [images, labels]"
        )
    if labels is not None and (target.ndim != 2 or len(labels) != target.shape[1]):
        raise ValueError(f"{len(labels)} label names for targets of shape {target.shape}")
    _refuse(~((target == 0) | (target == 1) | np.isnan(target)), "targets are none of 0, 1 and NaN", labels)
    _refuse(~np.isfinite(score), "scores are not finite", labels)
    return target, score


def evaluable(targets: ArrayLike) -> Flags:
    """Whether each label of targets [N, L] has a positive and a negative, so that its metrics exist: [L]."""
    target = np.asarray(targets, dtype=np.float64)
    both: Flags = (target == 1).any(axis=0) & (target == 0).any(axis=0)
    return both


def why_not(positives: int, negatives: int) -> str:
    """Say why a label with these counts has no AUROC, or nothing when it has one."""
    if positives + negatives == 0:
        return "no image with a known target"
    if positives == 0:
        return "no positive image"
    return "no negative image" if negatives == 0 else ""


def _refuse(wrong: NDArray[Any], what: str, labels: Sequence[str] | None) -> None:
    if not wrong.any():
        return
    if wrong.ndim == 1:
        raise ValueError(f"{wrong.sum()} of {len(wrong)} {what}")
    counts = wrong.sum(axis=0)
    names = labels if labels is not None else [f"label {column}" for column in range(len(counts))]
    found = ", ".join(f"{name}: {count}" for name, count in zip(names, counts, strict=True) if count)
    raise ValueError(f"{what} ({found}, of {len(wrong)} images each)")
