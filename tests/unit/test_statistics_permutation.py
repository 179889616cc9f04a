"""The permutation check: patients' scores change places between two models."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsn.statistics.metrics import auroc, average_precision
from mmsn.statistics.permutation import patient_swaps, permutation_p, permuted_differences


def two_models(images=60, patients=25, seed=0, labels=2):
    """Patients [N], targets [N, L] with gaps, tied scores [N, L] of both models."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 2, (images, labels)).astype(float)
    targets[rng.random(targets.shape) < 0.1] = np.nan
    known = np.nan_to_num(targets)
    first, second = (np.round(known + rng.normal(size=targets.shape), 1) for _ in range(2))
    return rng.integers(0, patients, images), targets, first, second


@given(st.integers(0, 500))
@settings(deadline=None, max_examples=25)
def test_every_permutation_is_the_metrics_of_the_scores_that_changed_places(seed):
    from scipy.stats import rankdata

    patients, targets, first, second = two_models(seed=seed)
    swaps = patient_swaps(patients, 4, seed)
    found = permuted_differences(targets, first, second, swaps)
    for row, changed in enumerate(swaps.weights[:, 60:].astype(bool)):
        for label, target in enumerate(targets.T):
            known = ~np.isnan(target)
            a, b = (rankdata(scores[known, label]) for scores in (first, second))
            ours, theirs = np.where(changed[known], b, a), np.where(changed[known], a, b)
            for values, metric in ((found.auroc, auroc), (found.auprc, average_precision)):
                expected = metric(target[known], ours) - metric(target[known], theirs)
                assert values[row, label] == pytest.approx(expected, abs=1e-12)


def test_all_images_of_a_patient_change_places_together_whatever_the_order_of_rows():
    patients = np.array([3, 1, 3, 2, 1, 3] * 10)
    swaps = patient_swaps(np.r_[patients, np.arange(10, 60)], 200, seed=1)
    assert not swaps.exact
    changed = swaps.weights[:, swaps.weights.shape[1] // 2 :]
    for patient in (1, 2, 3):
        own = changed[:, : patients.size][:, patients == patient]
        assert (own == own[:, :1]).all()
    assert 0.45 < changed.mean() < 0.55
    order = np.random.default_rng(0).permutation(110)
    again = patient_swaps(np.r_[patients, np.arange(10, 60)][order], 200, seed=1).weights
    np.testing.assert_array_equal(again[:, 110:], changed[:, order])


def test_few_patients_are_permuted_in_every_way_once():
    swaps = patient_swaps([5, 5, 9, 7], 8, seed=0)
    assert swaps.exact
    ways = {tuple(row) for row in swaps.weights[:, 4:].tolist()}
    assert len(ways) == 8
    assert (0, 0, 0, 0) in ways
    assert not patient_swaps([5, 5, 9, 7], 7, seed=0).exact


def test_another_scale_of_one_model_changes_nothing():
    patients, targets, first, second = two_models(seed=3)
    swaps = patient_swaps(patients, 50, seed=0)
    plain = permuted_differences(targets, first, second, swaps)
    stretched = permuted_differences(targets, np.exp(first), 100 * second - 7, swaps)
    np.testing.assert_allclose(plain.auroc, stretched.auroc, atol=1e-12)
    np.testing.assert_allclose(plain.auprc, stretched.auprc, atol=1e-12)


def test_a_model_and_itself_are_exchangeable_and_a_far_better_one_is_not():
    rng = np.random.default_rng(0)
    patients = np.arange(240) // 4
    target = (rng.random((240, 1)) < 0.4).astype(float)
    good, poor = 3 * target + rng.normal(size=target.shape), rng.normal(size=target.shape)
    swaps = patient_swaps(patients, 500, seed=0)
    observed = auroc(target[:, 0], good[:, 0]) - auroc(target[:, 0], poor[:, 0])
    apart = permuted_differences(target, good, poor, swaps).auroc[:, 0]
    assert permutation_p(apart, observed, swaps.exact) == 1 / 501  # drawn permutations: never 0
    alike = permuted_differences(target, good, good, swaps).auroc[:, 0]
    assert permutation_p(alike, 0.0, swaps.exact) == 1


def test_p_counts_ties_with_what_was_observed():
    assert permutation_p([0.1, -0.2, 0.2, 0.0], 0.2, exact=True) == 0.5
    assert permutation_p([0.1, -0.2, 0.2 - 1e-16, 0.0], 0.2, exact=True) == 0.5
    assert permutation_p([0.1, -0.2, 0.2, 0.0], -0.2, exact=False) == 3 / 5


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="1 of 2 permutations have no value"):
        permutation_p([0.1, np.nan], 0.1, exact=True)
    with pytest.raises(ValueError, match="at least one permutation"):
        patient_swaps([1, 2], 0, seed=0)
    patients, targets, first, second = two_models()
    first[3, 1] = np.nan
    with pytest.raises(ValueError, match="scores are not finite"):
        permuted_differences(targets, first, second, patient_swaps(patients, 5, 0))
