"""Every routine of `statistics` beside an independent one: scipy, MLstatkit, confidenceinterval."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from mmsn.statistics.bootstrap import bootstrap, image_resamples, patient_resamples, percentile_interval
from mmsn.statistics.delong import delong_test
from mmsn.statistics.metrics import auroc
from mmsn.statistics.permutation import patient_swaps, permutation_p, permuted_differences
from mmsn.statistics.tests import paired_difference
from tests.golden.two_models import LEVEL, SAMPLES, two_models

GOLDEN = {
    answer["seed"]: answer for answer in json.loads((Path(__file__).parents[1] / "golden/statistics.json").read_text())
}


@pytest.mark.parametrize("seed", SAMPLES)
def test_delong_is_that_of_mlstatkit(seed):
    target, first, second = two_models(seed)
    found = delong_test(target, first, second)
    expected = GOLDEN[seed]  # its z is of the second model minus the first
    assert found.difference / found.standard_error == pytest.approx(-expected["delong_z"], rel=1e-9)
    assert found.p == pytest.approx(expected["delong_p"], rel=1e-9)


@pytest.mark.parametrize("seed", SAMPLES)
def test_delongs_standard_error_of_one_model_is_that_of_confidenceinterval(seed):
    """Against constant scores, whose AUROC has no variance. That package computes in single precision."""
    target, first, _ = two_models(seed)
    alone = delong_test(target, first, np.zeros(target.size), level=LEVEL)
    expected = GOLDEN[seed]
    assert auroc(target, first) == pytest.approx(expected["auroc"], abs=1e-6)
    assert [0.5 + alone.lo, 0.5 + alone.hi] == pytest.approx(expected["auroc_interval"], abs=1e-5)


def test_the_interval_of_images_is_scipys_percentile_bootstrap():
    target, score, _ = two_models(11)
    ours = bootstrap(target[:, None], score[:, None], image_resamples(target.size, 4000, seed=0)).auroc[:, 0]
    theirs = stats.bootstrap(
        (target, score),
        _auroc,
        paired=True,
        vectorized=False,
        n_resamples=1000,
        method="percentile",
        rng=np.random.default_rng(1),
    )
    assert percentile_interval(ours) == pytest.approx(tuple(theirs.confidence_interval), abs=0.012)
    assert ours.std() == pytest.approx(theirs.standard_error, rel=0.08)


def test_the_interval_of_patients_is_scipys_percentile_bootstrap_of_whole_patients():
    target, first, second = two_models(8)
    patient = np.arange(target.size) // 4
    weights = patient_resamples(patient, 4000, seed=0)
    a, b = (bootstrap(target[:, None], score[:, None], weights).auroc[:, 0] for score in (first, second))
    ours = paired_difference(a, b, auroc(target, first) - auroc(target, second))
    rows = [np.flatnonzero(patient == one) for one in np.unique(patient)]

    def difference(drawn):
        chosen = np.concatenate([rows[one] for one in drawn])
        return _auroc(target[chosen], first[chosen]) - _auroc(target[chosen], second[chosen])

    theirs = stats.bootstrap(
        (np.arange(len(rows)),),
        difference,
        vectorized=False,
        n_resamples=1000,
        method="percentile",
        rng=np.random.default_rng(1),
    )
    assert (ours.lo, ours.hi) == pytest.approx(tuple(theirs.confidence_interval), abs=0.015)


@pytest.mark.parametrize("seed", range(4))
def test_all_permutations_of_few_patients_are_scipys(seed):
    """Eight patients of three images, exact with ties; scipy swaps each patient's block of ranks."""
    generator = np.random.default_rng(seed)
    patient = np.repeat(np.arange(8), 3)
    target = (generator.random(24) < 0.4).astype(float)
    first, second = (np.round(target + generator.normal(size=24), 0 if seed % 2 else 1) for _ in range(2))
    swaps = patient_swaps(patient, 256, seed=0)
    found = permuted_differences(target[:, None], first[:, None], second[:, None], swaps).auroc[:, 0]
    observed = auroc(target, first) - auroc(target, second)
    ranks = [stats.rankdata(score).reshape(8, 3) for score in (first, second)]

    assert swaps.exact
    expected = [_swapped_difference(target, ranks, way) for way in range(256)]
    np.testing.assert_allclose(sorted(found), sorted(expected), atol=1e-12)
    theirs = stats.permutation_test(
        (np.arange(8), np.arange(8, 16)),
        lambda a, b: _of_blocks(target, np.concatenate(ranks), a) - _of_blocks(target, np.concatenate(ranks), b),
        permutation_type="samples",
        vectorized=False,
        n_resamples=np.inf,
    )
    assert permutation_p(found, observed, exact=True) == pytest.approx(theirs.pvalue, abs=1e-12)


def _auroc(target, score):
    """Mann and Whitney's U over the pairs, by scipy's ranks; NaN without one of the classes."""
    positives = int(target.sum())
    pairs = positives * (target.size - positives)
    ranks = stats.rankdata(score)[target == 1].sum()
    return (ranks - positives * (positives + 1) / 2) / pairs if pairs else np.nan


def _of_blocks(target, blocks, chosen):
    """AUROC of the model whose patients have these blocks of ranks [8]."""
    return _auroc(target, blocks[np.asarray(chosen)].ravel())


def _swapped_difference(target, ranks, way):
    swapped = np.array([way >> patient & 1 for patient in range(8)], dtype=bool)[:, None]
    ours, theirs = np.where(swapped, ranks[1], ranks[0]), np.where(swapped, ranks[0], ranks[1])
    return _auroc(target, ours.ravel()) - _auroc(target, theirs.ravel())
