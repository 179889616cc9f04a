"""Comparisons of two models: DeLong, clusters, bootstrap, seeds, several comparisons."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, ttest_ind, ttest_rel
from statsmodels.stats.multitest import multipletests

from mmsn.statistics.bootstrap import bootstrap, patient_resamples
from mmsn.statistics.delong import LabelTests, delong_test, label_components
from mmsn.statistics.metrics import auroc
from mmsn.statistics.ranking import checked, rank_all
from mmsn.statistics.tests import holm, paired_difference, paired_t_test, student_t_test


def two_models(patients: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Patients, targets and two models' tied scores, all alike within a patient."""
    generator = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), 1 + generator.poisson(3, patients))
    target = (generator.random(patients) < 0.4)[patient] ^ (generator.random(patient.size) < 0.1)
    own = generator.normal(size=(2, patients))[:, patient]
    first, second = np.round(1.2 * target + own + generator.normal(size=own.shape), 1)
    return patient, target.astype(float), first, second


def slow_components(target: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DeLong's structural components from every pair: [positives], [negatives]."""
    positive, negative = score[target == 1][:, None], score[target == 0][None, :]
    wins = (positive > negative) + 0.5 * (positive == negative)
    return wins.mean(axis=1), wins.mean(axis=0)


def slow_delong(target: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Standard error and p as DeLong et al. 1988 write them: L S L' over the two models."""
    components = [slow_components(target, score) for score in (first, second)]
    s10, s01 = (np.cov([model[side] for model in components]) for side in (0, 1))
    covariance = s10 / (target == 1).sum() + s01 / (target == 0).sum()
    contrast = np.array([1, -1])
    error = float(np.sqrt(contrast @ covariance @ contrast))
    difference = components[0][0].mean() - components[1][0].mean()
    return error, float(2 * norm.sf(abs(difference) / error))


def slow_obuchowski(patient: np.ndarray, target: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    """Standard error as Obuchowski 1997 writes it: V1 + V2 - 2 C12 from sums over clusters."""
    clusters = np.unique(patient)
    m = np.array([(target[patient == c] == 1).sum() for c in clusters])
    n = np.array([(target[patient == c] == 0).sum() for c in clusters])
    x, y = [], []
    for score in (first, second):
        of_positive, of_negative = slow_components(target, score)
        mean = of_positive.mean()
        x.append([of_positive[patient[target == 1] == c].sum() for c in clusters] - m * mean)
        y.append([of_negative[patient[target == 0] == c].sum() for c in clusters] - n * mean)
    with_positive, with_negative, total = (m > 0).sum(), (n > 0).sum(), len(clusters)

    def covariance(a: int, b: int) -> float:
        s10 = with_positive / ((with_positive - 1) * m.sum()) * (x[a] * x[b]).sum()
        s01 = with_negative / ((with_negative - 1) * n.sum()) * (y[a] * y[b]).sum()
        s11 = total / (total - 1) * (x[a] * y[b] + x[b] * y[a]).sum()
        return float(s10 / m.sum() + s01 / n.sum() + s11 / (m.sum() * n.sum()))

    return float(np.sqrt(covariance(0, 0) + covariance(1, 1) - 2 * covariance(0, 1)))


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=40)
def test_delong_from_midranks_equals_delong_from_all_pairs(seed):
    _, target, first, second = two_models(seed=seed)
    result = delong_test(target, first, second)
    error, p = slow_delong(target, first, second)
    assert result.auroc_first == pytest.approx(auroc(target, first), abs=1e-12)
    assert result.auroc_second == pytest.approx(auroc(target, second), abs=1e-12)
    assert result.standard_error == pytest.approx(error, rel=1e-9)
    assert result.p == pytest.approx(p, rel=1e-6)


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=20)
def test_clustered_delong_equals_obuchowskis_formulas(seed):
    patient, target, first, second = two_models(seed=seed)
    result = delong_test(target, first, second, patient)
    assert result.standard_error == pytest.approx(slow_obuchowski(patient, target, first, second), rel=1e-9)


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=20)
def test_with_one_image_a_patient_the_clustered_test_is_delongs(seed):
    _, target, first, second = two_models(seed=seed)
    own_patient = np.random.default_rng(seed).permutation(target.size)
    plain, clustered = delong_test(target, first, second), delong_test(target, first, second, own_patient)
    assert clustered.standard_error == pytest.approx(plain.standard_error, rel=1e-12)
    assert clustered.p == pytest.approx(plain.p, rel=1e-9)


def test_every_image_twice_tells_delong_more_but_not_the_clustered_test():
    patient, target, first, second = two_models(patients=200)
    twice = [np.tile(values, 2) for values in (target, first, second)]
    once = delong_test(target, first, second, patient)
    assert delong_test(*twice, np.tile(patient, 2)).standard_error == pytest.approx(once.standard_error)
    naive = delong_test(target, first, second).standard_error
    assert delong_test(*twice).standard_error == pytest.approx(naive / np.sqrt(2), rel=0.01)


def test_clustered_delong_and_patient_bootstrap_agree_on_the_standard_error():
    patient, target, first, second = two_models(patients=400)
    weights = patient_resamples(patient, 2000, seed=0)
    a, b = (bootstrap(target[:, None], score[:, None], weights).auroc[:, 0] for score in (first, second))
    assert (a - b).std() == pytest.approx(delong_test(target, first, second, patient).standard_error, rel=0.08)


def test_delong_knows_only_ranks_and_no_row_order():
    patient, target, first, second = two_models()
    row = np.random.default_rng(0).permutation(target.size)
    plain = delong_test(target, first, second, patient)
    other = delong_test(target[row], np.exp(first[row]), 3 * second[row] - 1, 7 * patient[row])
    assert other.standard_error == pytest.approx(plain.standard_error, rel=1e-12)
    assert other.difference == pytest.approx(plain.difference, abs=1e-12)


def test_swapping_the_models_turns_the_difference_round():
    patient, target, first, second = two_models()
    there, back = delong_test(target, first, second, patient), delong_test(target, second, first, patient)
    assert (there.difference, there.lo, there.hi) == pytest.approx((-back.difference, -back.hi, -back.lo))
    assert there.p == pytest.approx(back.p)
    assert there.lo < there.difference < there.hi
    assert delong_test(target, first, second, patient, level=0.99).lo < there.lo


def test_a_model_compared_with_itself_differs_by_nothing():
    patient, target, first, _ = two_models()
    result = delong_test(target, first, first, patient)
    assert (result.difference, result.standard_error, result.p) == (0, 0, 1)


def _delong_of_labels(target, one, other, labels, patients):
    models = (label_components(rank_all(*checked(target, scores)), len(target)) for scores in (one, other))
    return LabelTests(target, labels, patients).compare(*models)


@pytest.mark.parametrize(
    ("targets", "first", "second", "patients"),  # each had a standard error of 3e-17 and 3e-9, and p = 0
    [
        ([0, 1, 1, 1, 0, 0], [0.7, 0.4, 0.6, 0.8, 0.5, 0.3], [1.0, 0.7, 0.7, 0.5, 0.8, 0.4], [0, 1, 3, 1, 3, 3]),
        ([0, 1, 0, 1, 0, 1], [1, 1, 2, 3, 2, 3], [3, 2, 1, 5, 0, 5], [0, 0, 1, 1, 2, 2]),
    ],
)
def test_a_variance_that_is_zero_but_for_rounding_is_zero(targets, first, second, patients):
    found = delong_test(targets, first, second, patients)
    assert found.difference != 0
    assert found.excluded == "the estimated variance is zero"
    assert np.isnan(found.p)


def test_equal_areas_and_a_variance_that_is_zero_but_for_rounding_are_no_difference():
    found = delong_test([0, 1, 0, 1, 0, 1], [2, 0, 1, 5, 3, 4], [5, 4, 1, 2, 0, 3], [0, 0, 1, 1, 2, 2])  # 5e-9
    assert (found.difference, found.standard_error, found.p) == (0, 0, 1)


def test_delong_says_why_a_label_has_no_test():
    perfect, constant = np.array([0.0, 0, 1, 1]), np.zeros(4)
    target = np.array([[0, 0, np.nan, 0, 0], [0, 0, np.nan, 1, 0], [0, 1, np.nan, 1, 1], [0, 1, np.nan, 1, 1]])
    one, other = np.tile(perfect[:, None], 5), np.tile(constant[:, None], 5)
    table = _delong_of_labels(target, one, other, list("abcde"), patients=[1, 2, 3, 4])
    assert table["excluded"].tolist() == [
        "no positive image",
        "the estimated variance is zero",
        "no image with a known target",
        "fewer than two patients with a positive or a negative image",
        "the estimated variance is zero",
    ]
    assert table["p"].isna().all()
    assert table["difference"].tolist()[1] == 0.5


def test_delong_of_labels_leaves_out_ignored_targets():
    patient, target, first, second = two_models()
    gaps = target.copy()
    gaps[::4] = np.nan
    known = ~np.isnan(gaps)
    table = _delong_of_labels(
        np.stack([target, gaps], 1), np.stack([first] * 2, 1), np.stack([second] * 2, 1), ["a", "b"], patient
    )
    expected = delong_test(target[known], first[known], second[known], patient[known])
    assert table.loc[1, "standard_error"] == expected.standard_error
    assert table.loc[0, "p"] == delong_test(target, first, second, patient).p


def test_the_bootstrap_p_is_never_zero_and_says_how_many_resamples_disagree():
    resamples = np.linspace(0.01, 0.02, 999)
    assert paired_difference(resamples, np.zeros(999), 0.015).p == 2 / 1000
    mixed = np.r_[np.full(990, 0.1), np.full(9, -0.1)]
    assert paired_difference(mixed, np.zeros(999), 0.1).p == 2 * 10 / 1000
    assert paired_difference(np.ones(999), np.ones(999), 0).p == 1


@given(st.integers(0, 1000), st.floats(-3, 3))
@settings(deadline=None, max_examples=60)
def test_the_bootstrap_p_agrees_with_its_interval_up_to_one_resample(seed, shift):
    values = np.random.default_rng(seed).normal(shift, 1, 999)
    result = paired_difference(values, np.zeros(999), shift)
    assert result.lo < result.hi
    if result.p > 0.05 + 4 / 1000:
        assert result.lo <= 0 <= result.hi
    if result.p < 0.05 - 4 / 1000:
        assert result.lo > 0 or result.hi < 0


def test_the_bootstrap_comparison_pairs_resamples_and_leaves_out_missing_ones():
    shared = np.random.default_rng(0).normal(size=500)
    result = paired_difference(shared + 0.1, shared, 0.1)
    assert (result.difference, result.lo, result.hi) == pytest.approx((0.1, 0.1, 0.1))
    shared[:10] = np.nan
    assert paired_difference(shared + 0.1, shared, 0.1).p == 2 / 491
    with pytest.raises(ValueError, match="paired"):
        paired_difference(shared, shared[1:], 0)
    with pytest.raises(ValueError, match="no resample"):
        paired_difference([np.nan], [0.5], 0)


def test_the_published_t_test_is_students_and_calls_chance_significant():
    patient, target, first, second = two_models(patients=200)
    weights = patient_resamples(patient, 1000, seed=0)
    a, b = (bootstrap(target[:, None], score[:, None], weights).auroc[:, 0] for score in (first, second))
    assert student_t_test(a, b) == pytest.approx(ttest_ind(a, b).pvalue, rel=1e-9, abs=0)
    observed = auroc(target, first) - auroc(target, second)
    assert student_t_test(a, b) < 1e-6 < 0.05 < paired_difference(a, b, observed).p
    assert student_t_test([1, 1], [1, 1]) == 1
    assert np.isnan(student_t_test([1, 1], [2, 2]))
    with pytest.raises(ValueError, match="two replicates"):
        student_t_test([1], [1, 2])


def test_over_seeds_the_t_test_is_paired():
    a, b = np.array([0.71, 0.74, 0.69, 0.73]), np.array([0.70, 0.72, 0.69, 0.70])
    result = paired_t_test(a, b)
    assert result.p == ttest_rel(a, b).pvalue
    assert result.difference == pytest.approx(0.015)
    assert result.lo < result.difference < result.hi
    assert paired_t_test(a, a).p == 1
    assert np.isnan(paired_t_test([0, 0, 0], [1, 1, 1]).p)
    with pytest.raises(ValueError, match="at least 3 seeds"):
        paired_t_test(a[:2], b[:2])
    with pytest.raises(ValueError, match="1 of 4 seeds"):
        paired_t_test(a, np.r_[b[:3], np.nan])


@pytest.mark.parametrize("comparisons", [1, 2, 5, 13])
def test_holm_agrees_with_statsmodels(comparisons):
    p = np.round(np.random.default_rng(comparisons).random(comparisons) ** 3, 2)  # small ones, some equal
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], atol=1e-15)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
@settings(deadline=None)
def test_holm_never_lowers_a_p_nor_changes_the_order(p):
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(1, len(p) * np.array(p))).all()
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()


def test_holm_counts_only_comparisons_that_were_made():
    adjusted = holm([0.01, np.nan, 0.04, 0.03])
    np.testing.assert_allclose(adjusted, [0.03, np.nan, 0.06, 0.06])
    assert holm([]).size == 0
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.5, 1.5])
