"""Which test images form clusters: those with a single label, of labels frequent enough."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmsn.reporting.number_format import count
from mmsn.representation.sampling import whole_patients
from mmsn.statistics.ranking import Floats, Integers


@dataclass(frozen=True)
class Clusters:
    """Images with exactly one positive label, as in the paper's t-SNE pictures, and which label that is."""

    images: Integers
    """[n] rows of the test images."""
    classes: Integers
    """[n] place in `names`."""
    names: tuple[str, ...]
    left_out: dict[str, int]
    """Labels with too few single-label images to be a cluster, and how many those are."""
    excluded: str
    """Why nothing can be measured; empty when it can."""

    @classmethod
    def of(
        cls,
        targets: Floats,
        patients: NDArray[np.int64],
        labels: Sequence[str],
        fewest: int,
        most: int,
        seed: int,
    ) -> "Clusters":
        """Choose the images.

        Args:
            targets: [N, L] of 1, 0, NaN; an image with an ignored label has not a single one.
            patients: [N].
            labels: [L] names.
            fewest: images that a label needs.
            most: images in all; whole patients drawn at random.
            seed: of that draw.
        """
        single = np.flatnonzero(targets.sum(axis=1) == 1)  # NaN is not 1
        chosen = single[whole_patients(patients[single], most, seed)] if len(single) else single
        label = targets[chosen].argmax(axis=1)
        sizes = np.bincount(label, minlength=len(labels))
        kept = np.flatnonzero(sizes >= fewest)
        belongs = np.isin(label, kept)
        left_out = {name: int(size) for name, size in zip(labels, sizes, strict=True) if 0 < size < fewest}
        excluded = "" if len(kept) > 1 else f"fewer than two labels with {fewest} single-label images"
        classes = np.searchsorted(kept, label[belongs])
        return cls(
            chosen[belongs],
            classes,
            tuple(name for name, size in zip(labels, sizes, strict=True) if size >= fewest),
            left_out,
            excluded,
        )

    @property
    def sentences(self) -> list[str]:
        """What the caption says."""
        said = [
            f"Clusters: {count(len(self.images))} test images with a single label ({', '.join(self.names) or 'none'}),"
            " Euclidean distances."
        ]
        if self.left_out:
            few = ", ".join(f"{name} ({images})" for name, images in self.left_out.items())
            said.append(f"Too few images to be a cluster: {few}.")
        return said
