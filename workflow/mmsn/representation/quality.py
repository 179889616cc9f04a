"""Geometry of embeddings: silhouette, Davies-Bouldin, Calinski-Harabasz and RankMe, in the sample and in resamples.

With weights of one each equals scikit-learn's function of the same name, RankMe that of `training.monitor`. Counts of a
resample weight the images; an image drawn twice is not its own neighbour.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from mmsn.representation.parallel import side_by_side
from mmsn.statistics.ranking import Counts, Flags, Floats, Integers

Embeddings = NDArray[np.float32]
CLUSTER_MEASURES: Final = ("silhouette", "davies_bouldin", "calinski_harabasz")
_RESAMPLES_AT_ONCE: Final = 32
_NOTHING: Final = 1e-7  # as in training.monitor.rankme


def silhouettes(distances: NDArray[np.float32], classes: Integers, weights: Floats) -> Floats:
    """Mean silhouette (Rousseeuw 1987) of every row of `weights`: [R].

    Args:
        distances: [N, N] between images.
        classes: [N], 0..K-1.
        weights: [R, N] how often each image counts; NaN where fewer than two classes are drawn.
    """
    member = np.eye(classes.max() + 1, dtype=np.float32)[classes]
    R, (N, K) = len(weights), member.shape
    weighted = weights.T.astype(np.float32)[:, :, None] * member[:, None, :]  # [N, R, K]
    sums = (distances @ weighted.reshape(N, R * K)).reshape(N, R, K)
    sizes = weighted.sum(axis=0)  # [R, K]
    own = member.astype(bool)[:, None, :]
    drawn = weights.T
    with np.errstate(invalid="ignore", divide="ignore"):
        others = (sizes[None] * member[:, None, :]).sum(axis=2) - drawn
        inner = np.where(own, sums, 0).sum(axis=2) / others
        outer = np.where(own | (sizes[None] == 0), np.inf, sums / sizes[None]).min(axis=2)
        values = (outer - inner) / np.maximum(outer, inner)
        values = np.where(others > 0, np.nan_to_num(values, posinf=0, neginf=0), 0)  # alone in its class, or all alike
        mean: Floats = (drawn * values).sum(axis=0) / drawn.sum(axis=0)
    mean[(sizes > 0).sum(axis=1) < 2] = np.nan
    return mean


def separation(features: Floats, classes: Integers, weights: Floats) -> tuple[Floats, Floats]:
    """Davies-Bouldin and Calinski-Harabasz of every row of `weights`: [R] each.

    Davies-Bouldin (1979) is the mean over classes of the worst ratio of spread to distance, lower is better;
    Calinski-Harabasz (1974) the variance between classes to that within, higher is better.

    Args:
        features: [N, D].
        classes: [N], 0..K-1.
        weights: [R, N] how often each image counts; NaN where fewer than two classes are drawn.
    """
    K, centred = int(classes.max()) + 1, features - features.mean(axis=0)
    sizes, spread, within = np.zeros((len(weights), K)), np.zeros((len(weights), K)), np.zeros(len(weights))
    centres = np.zeros((len(weights), K, features.shape[1]))
    for k in range(K):
        mine, drawn = centred[classes == k], weights[:, classes == k]
        sizes[:, k] = drawn.sum(axis=1)
        centres[:, k] = drawn @ mine / np.maximum(sizes[:, k, None], 1)
        lengths = (mine**2).sum(axis=1) + (centres[:, k] ** 2).sum(axis=1)[:, None]
        squares = np.clip(lengths - 2 * centres[:, k] @ mine.T, 0, None)  # [R, n] distances to the class's centre
        spread[:, k] = (drawn * np.sqrt(squares)).sum(axis=1) / np.maximum(sizes[:, k], 1)
        within += (drawn * squares).sum(axis=1)
    present = sizes > 0
    enough = present.sum(axis=1) > 1
    bouldin = np.where(enough, _davies_bouldin(centres, spread, present), np.nan)
    return bouldin, np.where(enough, _calinski_harabasz(centres, sizes, within), np.nan)


def _davies_bouldin(centres: Floats, spread: Floats, present: Flags) -> Floats:
    lengths = (centres**2).sum(axis=2)
    products = centres @ centres.transpose(0, 2, 1)
    apart = np.sqrt(np.clip(lengths[:, :, None] + lengths[:, None, :] - 2 * products, 0, None))
    both = present[:, :, None] & present[:, None, :] & ~np.eye(present.shape[1], dtype=np.bool_) & (apart > 0)
    ratios = np.where(both, (spread[:, :, None] + spread[:, None, :]) / np.where(both, apart, 1), 0)
    mean = (ratios.max(axis=2) * present).sum(axis=1) / np.maximum(present.sum(axis=1), 1)
    return np.asarray(np.where(both.any(axis=(1, 2)), mean, np.nan))  # one point for all classes is no separation


def _calinski_harabasz(centres: Floats, sizes: Floats, within: Floats) -> Floats:
    total, classes = sizes.sum(axis=1), (sizes > 0).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        middle = (sizes[:, :, None] * centres).sum(axis=1) / total[:, None]
        between = (sizes * ((centres - middle[:, None]) ** 2).sum(axis=2)).sum(axis=1)
        ratio = between / within * (total - classes) / (classes - 1)
    return np.asarray(np.where(np.isfinite(ratio), ratio, np.nan))


def rankme(features: Floats, weights: Floats) -> float:
    """Effective rank of weighted features [N, D] (Garrido et al. 2023), from their Gram matrix."""
    values = np.sqrt(np.clip(np.linalg.eigvalsh(features.T @ (weights[:, None] * features)), 0, None))
    shares = values / max(values.sum(), _NOTHING) + _NOTHING
    return float(np.exp(-(shares * np.log(shares)).sum()))


def cluster_quality(
    features: Embeddings, classes: Integers, resamples: Counts, threads: int | None = None
) -> dict[str, tuple[float, Floats]]:
    """Each measure of the classes, by Euclidean distance: its value and its replicates [R].

    Args:
        features: [N, D].
        classes: [N], 0..K-1 with K at least 2, each present.
        resamples: [R, N].
        threads: as many as this process may use when None.
    """
    exact, distances = features.astype(np.float64), cdist(features, features).astype(np.float32)
    weights = _with_whole(resamples)
    parts = np.array_split(weights, -(-len(weights) // _RESAMPLES_AT_ONCE))

    def measures(part: Floats) -> Floats:
        return np.stack([silhouettes(distances, classes, part), *separation(exact, classes, part)])

    found = np.concatenate(side_by_side(measures, parts, threads), axis=1)
    return {name: (float(row[0]), row[1:]) for name, row in zip(CLUSTER_MEASURES, found, strict=True)}


def rank_quality(features: Embeddings, resamples: Counts, threads: int | None = None) -> tuple[float, Floats]:
    """RankMe and its replicates [R]."""
    exact = features.astype(np.float64)
    found = np.array(side_by_side(lambda row: rankme(exact, row), _with_whole(resamples), threads))
    return float(found[0]), found[1:]


def _with_whole(resamples: Counts) -> Floats:
    """Weights of the full sample, then of every resample: [1 + R, N]."""
    return np.vstack([np.ones(resamples.shape[1]), resamples])
