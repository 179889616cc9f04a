"""Training images as a head learns from them: labels that they cannot teach left out; random parts of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from mmsn.evaluation.data import LabelledImages
from mmsn.evaluation.settings import Subset
from mmsn.labels import LABELS
from mmsn.randomness import generator


@dataclass(frozen=True)
class Drawn:
    """A part of the training images, and the labels that it cannot teach."""

    images: LabelledImages
    """Targets of the untrained labels are NaN."""
    untrained: dict[str, str]
    """Labels without both classes, and which one is missing."""


def draw_rows(units: NDArray[np.object_] | NDArray[np.int64], share: float, draw: int) -> NDArray[np.int64]:
    """Rows of a random part, ascending: the fewest units, in a random order, whose rows reach `share`.

    The order of units depends on `draw` and on which units there are, not on the order of rows. So, of one draw, the
    rows of a smaller share are among those of every larger one.

    Args:
        units: `[N]` what is drawn as a whole: a patient's id, or an image's own.
        share: of the N rows, more than 0 and at most 1; at least one row is drawn.
        draw: the seed.
    """
    distinct, unit_of_row, sizes = np.unique(units, return_inverse=True, return_counts=True)
    order = torch.randperm(len(distinct), generator=generator("cpu", "low-data subset", draw)).numpy()
    wanted = max(1, round(share * len(units)))
    taken = int(np.searchsorted(sizes[order].cumsum(), wanted)) + 1
    return np.flatnonzero(np.isin(unit_of_row, order[:taken]))


def draw_subset(images: LabelledImages, subset: Subset) -> Drawn:
    """The part of the training images that a subset names, without targets of labels that have one class in it."""
    units = images.subject_ids if subset.by == "patient" else images.dicom_ids
    rows = draw_rows(units, subset.share, subset.draw)
    targets = images.targets[rows]
    part = images.dicom_ids[rows], images.subject_ids[rows], targets, images.positions[rows], images.labels
    return taught(LabelledImages(*part))


def taught(images: LabelledImages) -> Drawn:
    """The same images without targets of labels that have one class among them: a head can learn nothing of those."""
    untrained = missing_classes(images.targets, images.labels)
    if not untrained:
        return Drawn(images, untrained)
    targets = images.targets.copy()
    targets[:, [images.labels.index(label) for label in untrained]] = np.nan
    return Drawn(replace(images, targets=targets), untrained)


def missing_classes(targets: NDArray[np.float32], labels: Sequence[str] = LABELS) -> dict[str, str]:
    """Labels of targets `[N, L]` that lack a positive or a negative, and which."""
    missing: dict[str, str] = {}
    for label, column in zip(labels, targets.T, strict=True):
        for value, name in ((1.0, "no positive image"), (0.0, "no negative image")):
            if not (column == value).any():
                missing.setdefault(label, name)
    return missing
