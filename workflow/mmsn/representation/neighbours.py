"""k-nearest neighbours: an embedding judged without training anything on it."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mmsn.errors import UserError
from mmsn.representation.parallel import side_by_side
from mmsn.statistics.ranking import Floats

_QUERIES_AT_ONCE: Final = 256


def knn_scores(
    train: NDArray[np.float32],
    targets: NDArray[np.float32],
    queries: NDArray[np.float32],
    neighbours: int,
    threads: int | None = None,
) -> Floats:
    """Mean of the labels of the nearest training images by cosine, every label alike: [Q, L].

    Args:
        train: [N, D] embeddings.
        targets: [N, L] of 1, 0, NaN (ignored).
        queries: [Q, D] embeddings.
        neighbours: k.
        threads: blocks of queries at once.

    Returns:
        Shares of positives among the neighbours whose label is known; the label's share in training where none is.

    Raises:
        UserError: fewer than k training images.
    """
    if len(train) < neighbours:
        raise UserError(
            f"representation.neighbours: {neighbours} neighbours asked for, {len(train)} training images; lower it"
        )
    unit, known = _unit(train), ~np.isnan(targets)
    positive = np.nan_to_num(targets).astype(np.float64)
    prior = positive.sum(axis=0) / np.maximum(known.sum(axis=0), 1)

    def block(start: int) -> Floats:
        similarity = _unit(queries[start : start + _QUERIES_AT_ONCE]) @ unit.T
        nearest = np.argpartition(similarity, -neighbours, axis=1)[:, -neighbours:]
        counted = known[nearest].sum(axis=1)
        share = positive[nearest].sum(axis=1) / np.maximum(counted, 1)
        return np.asarray(np.where(counted > 0, share, prior))

    return np.concatenate(side_by_side(block, range(0, len(queries), _QUERIES_AT_ONCE), threads))


def _unit(features: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.maximum(lengths, np.finfo(np.float32).tiny)
