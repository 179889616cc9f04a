"""What a resample is: whole patients, or images, drawn as often as there are, the same again with the same seed."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsn.statistics.bootstrap import image_resamples, patient_resamples


@given(st.integers(2, 40), st.integers(1, 40), st.integers(0, 100))
@settings(deadline=None, max_examples=50)
def test_an_image_counts_as_often_as_its_patient_and_as_many_patients_are_drawn_as_there_are(patients, resamples, seed):
    ids = np.random.default_rng(seed).permutation(np.r_[np.arange(patients), np.arange(patients), 0]) * 10
    weights = patient_resamples(ids, resamples, seed)
    assert weights.shape == (resamples, ids.size)
    assert weights.dtype == np.uint16
    _, first, patient = np.unique(ids, return_index=True, return_inverse=True)
    np.testing.assert_array_equal(weights, weights[:, first][:, patient])
    assert (weights[:, first].sum(axis=1) == patients).all()


def test_resamples_follow_the_seed_and_more_resamples_extend_fewer():
    patients = np.repeat(np.arange(30), 2)
    for draw in (
        lambda r, seed: image_resamples(60, r, seed),
        lambda r, seed: patient_resamples(patients, r, seed),
    ):
        np.testing.assert_array_equal(draw(40, 3), draw(40, 3))
        np.testing.assert_array_equal(draw(100, 3)[:40], draw(40, 3))
        assert (draw(40, 3) != draw(40, 4)).any()
    assert (image_resamples(60, 40, seed=3).sum(axis=1) == 60).all()
