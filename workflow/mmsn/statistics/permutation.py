"""Permutation check of two models: the scores of whole patients change places between them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from mmsn.statistics.bootstrap import RESAMPLES_A_PASS, Replicates, Resamples, processors
from mmsn.statistics.ranking import Counts, Ranking, checked, last_of_group, rank_all
from mmsn.statistics.swapped_kernel import compiled

_ROUNDING: Final = 1e-10
"""Differences closer than this are equal: sums of the same numbers in another order."""


@dataclass(frozen=True)
class Swaps:
    """In which permutation which patient's scores change places."""

    resamples: Resamples
    """0 or 1: whether the images of a patient count with their own model's score (first N) or the other's (last N)."""
    exact: bool
    """Whether these are all permutations there are, the one that changes nothing among them."""

    @property
    def weights(self) -> Counts:
        """The same by image: [R, 2N]."""
        return self.resamples.weights


def patient_swaps(patients: ArrayLike, permutations: int, seed: int) -> Swaps:
    """Draw which patients' scores change places; every one of the 2^P ways once where those are not more.

    Args:
        patients: [N] patient of each image; all images of a patient change places together.
        permutations: R at most.
        seed: the same seed draws the same patients, whatever the order of rows.

    Raises:
        ValueError: no permutation asked for.
    """
    if permutations < 1:
        raise ValueError(f"at least one permutation is needed, got {permutations}")
    known, patient = np.unique(np.asarray(patients), return_inverse=True)
    exact = known.size < 31 and 2**known.size <= permutations
    if exact:
        ways = np.arange(2**known.size, dtype=np.int64)
        swapped = ((ways[None, :] >> np.arange(known.size)[:, None]) & 1).astype(np.uint8)  # [P, R]
    else:
        drawn = np.random.default_rng(seed).integers(0, 2, size=(permutations, known.size), dtype=np.uint8)
        swapped = np.ascontiguousarray(drawn.T)
    units = np.concatenate([patient, patient + known.size])
    return Swaps(Resamples(np.concatenate([1 - swapped, swapped]), units), exact)


def permuted_differences(
    targets: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    swaps: Swaps,
    labels: Sequence[str] | None = None,
    threads: int | None = None,
) -> Replicates:
    """`permuted_rankings` of targets and scores [N, L], with L names for error messages."""
    target, one = checked(targets, first, labels)
    _, other = checked(targets, second, labels)
    return permuted_rankings(rank_all(target, one), rank_all(target, other), swaps, threads)


def permuted_rankings(
    first: Sequence[Ranking], second: Sequence[Ranking], swaps: Swaps, threads: int | None = None
) -> Replicates:
    """AUROC and AUPRC of the first model minus those of the second in every permutation, exact with ties.

    Each model's scores of a label are replaced by their midranks before they change places, so a model may be on
    another scale than the other, or differently calibrated (Venkatraman & Begg 1996, for one image a patient). Every
    permuted model has each image once: it is the bootstrap's loop over both models' images with counts of 0 and 1,
    and one pass serves both models.

    Args:
        first: of every label.
        second: of the same images.
        swaps: of the same images.
        threads: as many as this process may use when left out.

    Returns:
        [R, L] each; NaN for labels without both classes.
    """
    drawn, kernel = swaps.resamples, compiled()
    columns, permutations = len(first), drawn.counts.shape[1]
    auroc, auprc = (np.empty((columns, 2, permutations)) for _ in range(2))

    def fill(column: int) -> None:
        ranking = _together(first[column], second[column], drawn.units.size // 2)
        images = drawn.units[ranking.order], ranking.positive, *ranking.groups
        for start in range(0, permutations, RESAMPLES_A_PASS):
            stop = min(start + RESAMPLES_A_PASS, permutations)
            kernel(drawn.counts, *images, start, stop, auroc[column], auprc[column])

    with ThreadPoolExecutor(threads or processors()) as pool:
        list(pool.map(fill, range(columns)))
    return Replicates((auroc[:, 0] - auroc[:, 1]).T, (auprc[:, 0] - auprc[:, 1]).T)


def permutation_p(differences: ArrayLike, observed: float, exact: bool) -> float:
    """Two-sided p: the share of permutations [R] whose difference is at least as large as the observed one.

    Of drawn permutations the observed arrangement counts as one more (Phipson & Smyth 2010), so p is never 0. It is
    a check beside the bootstrap: its null hypothesis says more, that the models' ranks of a patient are exchangeable,
    not only that their areas are equal.

    Args:
        differences: [R] of `permuted_differences`, or a mean of them over labels or seeds.
        observed: difference of the models as they are.
        exact: as `Swaps.exact`.
    """
    values = np.abs(np.asarray(differences, dtype=np.float64))
    if not values.size or np.isnan(values).any():
        raise ValueError(f"{int(np.isnan(values).sum())} of {values.size} permutations have no value")
    as_large = int((values >= abs(observed) - _ROUNDING).sum())
    return as_large / values.size if exact else (1 + as_large) / (1 + values.size)


def _together(first: Ranking, second: Ranking, images: int) -> Ranking:
    """Both models' images by midrank; those of the second are rows `images` and on."""
    midranks = np.concatenate([first.midranks, second.midranks])
    order = np.argsort(-midranks, kind="stable")  # both halves are sorted: a stable sort only merges them
    rows = np.concatenate([first.order, second.order + images])
    positive = np.concatenate([first.positive, second.positive])
    return Ranking(rows[order], positive[order], last_of_group(midranks[order]))
