"""AUROC and average precision, equal to scikit-learn's `roc_auc_score` and `average_precision_score`."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from mmsn.statistics.ranking import Floats, Ranking, checked, rank, rank_all, why_not


def auroc(targets: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Probability that a positive image outscores a negative one, ties counting one half (Mann-Whitney).

    Args:
        targets: [N] of 0, 1, or NaN for an image to ignore.
        scores: [N], higher means more likely positive; only their order matters.
        weights: [N], not negative; one each when left out.

    Returns:
        AUROC in 0..1; NaN when a class is absent or carries no weight.
    """
    return _auroc(*_weight_by_group(targets, scores, weights))


def average_precision(targets: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Mean over positive images of the precision at their score: the paper's AUPRC, without interpolation.

    Arguments as in `auroc`. NaN when a class is absent; scikit-learn returns 0 (with a warning) without a
    positive and 1 without a negative, neither of which says anything about a model.
    """
    return _average_precision(*_weight_by_group(targets, scores, weights))


def label_metrics(
    targets: ArrayLike, scores: ArrayLike, labels: Sequence[str], rankings: Sequence[Ranking] | None = None
) -> pd.DataFrame:
    """Both metrics of every label of targets and scores [N, L], with the counts behind them.

    Args:
        targets: of 0, 1, or NaN for an image to ignore.
        scores: only their order matters.
        labels: L names.
        rankings: `rank_all` of the same targets and scores, where it is known already.

    Returns:
        One row a label: label, positives, negatives, auroc, auprc, excluded. `excluded` is empty, or says why
        the metrics are NaN and the label takes no part in a macro mean.
    """
    ranked = rankings or rank_all(*checked(targets, scores, labels))
    rows = [
        {
            "label": label,
            "positives": ranking.positives,
            "negatives": ranking.negatives,
            **dict(zip(("auroc", "auprc"), ranked_metrics(ranking), strict=True)),
            "excluded": why_not(ranking.positives, ranking.negatives),
        }
        for label, ranking in zip(labels, ranked, strict=True)
    ]
    return pd.DataFrame(rows, columns=["label", "positives", "negatives", "auroc", "auprc", "excluded"])


def ranked_metrics(ranking: Ranking) -> tuple[float, float]:
    """`auroc` and `average_precision` of images that are sorted already: only groups with a positive are looked at."""
    if ranking.positives * ranking.negatives == 0:
        return float("nan"), float("nan")
    starts, stops = (ends[:-1] for ends in ranking.groups)
    found = ranking.found
    before, up_to = (found[ends] for ends in (starts, stops))
    own = up_to - before
    lost = own * (starts - before + stops - up_to)  # twice: a tie is half a pair
    area = 1 - lost.sum() / (2 * ranking.positives * ranking.negatives)
    return float(area), float((own * (up_to / stops)).sum() / ranking.positives)


def _weight_by_group(targets: ArrayLike, scores: ArrayLike, weights: ArrayLike | None) -> tuple[Floats, Floats]:
    """Weight of the positives and of the negatives at each distinct score, highest score first."""
    target, score = checked(targets, scores)
    if target.ndim != 1:
        raise ValueError(f"one label at a time: targets have shape {target.shape}, not [images]")
    weight = np.ones_like(target) if weights is None else np.asarray(weights, dtype=np.float64)
    if weight.shape != target.shape or not (np.isfinite(weight) & (weight >= 0)).all():
        raise ValueError(f"weights must be {target.size} finite numbers that are not negative")
    ranking = rank(target, score)
    return _by_group(ranking, weight[ranking.order])


def _by_group(ranking: Ranking, ranked: Floats) -> tuple[Floats, Floats]:
    """Weights [n] of ranked images added up: the positives' and the negatives' at each distinct score."""
    first = np.flatnonzero(np.roll(ranking.last, 1))  # a group starts after the last of another
    positive, negative = np.where(ranking.positive, ranked, 0), np.where(ranking.positive, 0, ranked)
    return np.add.reduceat(positive, first), np.add.reduceat(negative, first)


def _auroc(positive: Floats, negative: Floats) -> float:
    pairs = positive.sum() * negative.sum()
    if pairs == 0:
        return float("nan")
    lost = positive * (np.cumsum(negative) - negative / 2)
    return float(1 - lost.sum() / pairs)


def _average_precision(positive: Floats, negative: Floats) -> float:
    total = positive.sum()
    if total * negative.sum() == 0:
        return float("nan")
    found = positive > 0  # other thresholds add no recall, and the first may carry no weight at all
    true, false = np.cumsum(positive)[found], np.cumsum(negative)[found]
    return float((positive[found] * (true / (true + false))).sum() / total)
