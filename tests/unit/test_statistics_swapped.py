"""The permutation check's loop: one pass serves both permuted models."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsn.statistics.bootstrap import bootstrap
from mmsn.statistics.permutation import patient_swaps, permuted_differences
from mmsn.statistics.ranking import rank_all


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), permutations=st.sampled_from([3, 40, 1500]), ties=st.sampled_from([1, 2, 6]))
def test_one_pass_for_both_models_gives_the_numbers_of_two_passes(seed, permutations, ties):
    rng = np.random.default_rng(seed)
    targets = (rng.random((120, 3)) < [0.02, 0.3, 0.9]).astype(float)
    targets[rng.random(targets.shape) < 0.05] = np.nan
    first, second = (np.round(rng.random(targets.shape), ties) for _ in range(2))
    swaps = patient_swaps(rng.integers(0, 40, len(targets)), permutations, seed)
    found = permuted_differences(targets, first, second, swaps)
    ranks = [midranks(targets, scores) for scores in (first, second)]
    twice = np.concatenate([targets, targets])
    ours, theirs = (bootstrap(twice, np.concatenate(pair), swaps.weights) for pair in (ranks, ranks[::-1]))
    np.testing.assert_array_equal(found.auroc, ours.auroc - theirs.auroc)
    np.testing.assert_allclose(found.auprc, ours.auprc - theirs.auprc, atol=1e-13)


def midranks(targets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Of the images with a known target, 0 for the others."""
    ranks = np.zeros_like(scores)
    for label, ranking in enumerate(rank_all(targets, scores)):
        ranks[ranking.order, label] = ranking.midranks
    return ranks
