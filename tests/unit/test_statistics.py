"""Metrics and bootstrap agree with scikit-learn and with what a resample means."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from mmsn.labels import LABELS
from mmsn.statistics import kernel
from mmsn.statistics.bootstrap import (
    Replicates,
    bootstrap,
    bootstrap_ranked,
    image_draws,
    image_resamples,
    patient_draws,
    patient_resamples,
    percentile_interval,
)
from mmsn.statistics.metrics import auroc, average_precision, label_metrics
from mmsn.statistics.ranking import checked, evaluable, rank_all

EXACT = 1e-12


@st.composite
def samples(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets, scores from a handful of values (so that many are tied) and integer weights, some 0."""
    size = draw(st.integers(2, 60))
    seed = draw(st.integers(0, 2**32 - 1))
    generator = np.random.default_rng(seed)
    targets = generator.integers(0, 2, size)
    scores = generator.integers(0, draw(st.integers(1, 30)), size) / 7
    return targets, scores, generator.integers(0, 4, size)


def simulated(images: int = 400, labels: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Patients [N], targets [N, L] and tied scores [N, L]."""
    generator = np.random.default_rng(seed)
    targets = (generator.random((images, labels)) < 0.3).astype(float)
    scores = np.round(targets + generator.normal(size=targets.shape), 1)
    return generator.integers(0, images // 5, images), targets, scores


@given(samples())
@settings(deadline=None, max_examples=150)
def test_metrics_equal_scikit_learn_with_ties_and_weights(sample):
    targets, scores, weights = sample
    drawn = np.repeat(targets, weights)
    if np.unique(drawn).size < 2:
        assert np.isnan(auroc(targets, scores, weights))
        assert np.isnan(average_precision(targets, scores, weights))
        return
    assert auroc(targets, scores, weights) == pytest.approx(
        roc_auc_score(targets, scores, sample_weight=weights), abs=EXACT
    )
    assert average_precision(targets, scores, weights) == pytest.approx(
        average_precision_score(targets, scores, sample_weight=weights), abs=EXACT
    )


@given(samples())
@settings(deadline=None, max_examples=100)
def test_an_integer_weight_is_a_repeated_image(sample):
    targets, scores, weights = sample
    repeated = np.repeat(targets, weights), np.repeat(scores, weights)
    for metric in (auroc, average_precision):
        np.testing.assert_allclose(metric(targets, scores, weights), metric(*repeated), atol=EXACT)


@given(samples())
@settings(deadline=None, max_examples=100)
def test_the_compiled_bootstrap_equals_the_metrics_of_each_resample(sample):
    targets, scores, weights = sample
    counts = np.stack([weights, np.roll(weights, 1), np.ones_like(weights)]).astype(np.uint16)
    replicates = bootstrap(targets[:, None], scores[:, None], counts)
    for r, count in enumerate(counts):
        for values, metric in ((replicates.auroc, auroc), (replicates.auprc, average_precision)):
            np.testing.assert_allclose(values[r, 0], metric(targets, scores, count), atol=EXACT)


def test_the_bootstrap_equals_scikit_learn_on_fourteen_labels():
    patients, targets, scores = simulated(images=1500, labels=len(LABELS))
    weights = patient_resamples(patients, 5, seed=1)
    replicates = bootstrap(targets, scores.astype(np.float32), weights)
    for r in range(len(weights)):
        for k in range(len(LABELS)):
            sample = targets[:, k], scores[:, k].astype(np.float32)
            expected = roc_auc_score(*sample, sample_weight=weights[r])
            assert replicates.auroc[r, k] == pytest.approx(expected, abs=EXACT)
            expected = average_precision_score(*sample, sample_weight=weights[r])
            assert replicates.auprc[r, k] == pytest.approx(expected, abs=EXACT)


def test_the_bootstrap_equals_the_metrics_where_nothing_is_tied_and_negatives_and_positives_come_in_long_runs():
    generator = np.random.default_rng(3)
    targets = (generator.random((700, 3)) < [0.02, 0.5, 0.97]).astype(float)
    scores = generator.permutation(targets.size).reshape(targets.shape) + 500.0 * targets
    patients = generator.integers(0, 90, 700)
    drawn = patient_draws(patients, 40, seed=2)
    replicates = bootstrap(targets, scores, drawn)
    for r, weights in enumerate(patient_resamples(patients, 40, seed=2)):
        for k in range(3):
            one = targets[:, k], scores[:, k], weights
            np.testing.assert_allclose(replicates.auroc[r, k], auroc(*one), atol=EXACT)
            np.testing.assert_allclose(replicates.auprc[r, k], average_precision(*one), atol=EXACT)


def test_patients_rows_a_part_of_the_images_and_a_sort_made_before_change_nothing():
    patients, targets, scores = simulated()
    rankings = rank_all(*checked(targets, scores))
    half = np.arange(0, len(targets), 2)
    for draws, resamples in (
        (patient_draws(patients, 60, seed=0), patient_resamples(patients, 60, seed=0)),
        (image_draws(len(targets), 60, seed=0), image_resamples(len(targets), 60, seed=0)),
    ):
        np.testing.assert_array_equal(draws.weights, resamples)
        ours, theirs = bootstrap_ranked(rankings, draws), bootstrap(targets, scores, resamples)
        np.testing.assert_array_equal(ours.auroc, theirs.auroc)
        np.testing.assert_array_equal(ours.auprc, theirs.auprc)
        part = bootstrap(targets[half], scores[half], draws.of(half))
        np.testing.assert_array_equal(part.auprc, bootstrap(targets[half], scores[half], resamples[:, half]).auprc)
    names = ["a", "b", "c"]
    assert label_metrics(targets, scores, names, rankings).equals(label_metrics(targets, scores, names))


def test_only_the_order_of_the_scores_matters():
    patients, targets, scores = simulated()
    weights = patient_resamples(patients, 50, seed=0)
    plain, stretched = (bootstrap(targets, s, weights) for s in (scores, np.exp(scores / 2) - 5))
    np.testing.assert_array_equal(plain.auroc, stretched.auroc)
    np.testing.assert_array_equal(plain.auprc, stretched.auprc)


def test_the_order_of_the_images_does_not_matter():
    patients, targets, scores = simulated()
    row = np.random.default_rng(1).permutation(len(targets))
    plain = bootstrap(targets, scores, patient_resamples(patients, 50, seed=0))
    shuffled = bootstrap(targets[row], scores[row], patient_resamples(patients[row], 50, seed=0))
    np.testing.assert_array_equal(plain.auroc, shuffled.auroc)
    np.testing.assert_array_equal(plain.auprc, shuffled.auprc)


def test_threads_passes_and_memory_layout_change_nothing():
    patients, targets, scores = simulated(images=100)
    weights = patient_resamples(patients, 1100, seed=0)  # more resamples than one pass of the kernel takes
    one, four = (bootstrap(targets, scores, weights, threads=threads) for threads in (1, 4))
    copied = bootstrap(targets, scores, np.ascontiguousarray(weights))
    last = bootstrap(targets, scores, weights[-1:])
    np.testing.assert_array_equal(one.auroc, four.auroc)
    np.testing.assert_array_equal(one.auprc, copied.auprc)
    np.testing.assert_array_equal(one.auprc[-1:], last.auprc)


def test_constant_scores_are_worth_a_coin_and_the_prevalence():
    targets = np.array([1, 0, 0, 0, 1])
    assert auroc(targets, np.full(5, 0.3)) == 0.5
    assert average_precision(targets, np.full(5, 0.3)) == pytest.approx(0.4, abs=EXACT)


def test_ignored_targets_are_left_out_label_by_label():
    _, targets, scores = simulated()
    targets[::3, 0] = np.nan
    known = ~np.isnan(targets[:, 0])
    table = label_metrics(targets, scores, ["a", "b", "c"]).set_index("label")
    assert table.loc["a", "auroc"] == auroc(targets[known, 0], scores[known, 0])
    assert table.loc["a", "positives"] + table.loc["a", "negatives"] == known.sum()
    assert table.loc["b", "positives"] + table.loc["b", "negatives"] == len(targets)
    weights = image_resamples(len(targets), 20, seed=0)
    alone = bootstrap(targets[known, :1], scores[known, :1], weights[:, known])
    np.testing.assert_array_equal(bootstrap(targets, scores, weights).auprc[:, :1], alone.auprc)


def test_labels_without_both_classes_are_named_with_the_reason():
    nan = np.nan
    targets = np.array([[1, 0, 1, nan], [0, 0, 1, nan], [1, nan, 1, nan]])
    table = label_metrics(targets, np.random.default_rng(0).random(targets.shape), ["a", "b", "c", "d"])
    assert table["excluded"].tolist() == [
        "",
        "no positive image",
        "no negative image",
        "no image with a known target",
    ]
    assert table["auroc"].isna().tolist() == table["auprc"].isna().tolist() == [False, True, True, True]
    assert evaluable(targets).tolist() == [True, False, False, False]


def test_a_resample_without_a_rare_label_is_averaged_over_the_others_and_counted():
    _, targets, scores = simulated(images=200, labels=3)
    targets[:, 2] = 0
    targets[7, 2] = 1  # absent from about 37 of 100 resamples
    weights = image_resamples(200, 300, seed=0)
    replicates = bootstrap(targets, scores, weights)
    absent = weights[:, 7] == 0
    assert replicates.missing.tolist() == [0, 0, absent.sum()]
    macro = replicates.macro("auroc", evaluable(targets))
    np.testing.assert_allclose(macro[absent], replicates.auroc[absent, :2].mean(axis=1))
    np.testing.assert_allclose(macro[~absent], replicates.auroc[~absent].mean(axis=1))


def test_macro_leaves_out_what_the_mask_leaves_out():
    replicates = Replicates(np.array([[0.5, 0.7, np.nan]]), np.array([[0.1, np.nan, np.nan]]))
    assert replicates.macro("auroc", [True, True, False]).tolist() == [0.6]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(replicates.macro("auprc", [False, True, False])).all()
    with pytest.raises(ValueError, match="at least one chosen"):
        replicates.macro("auroc", [False, False, False])


def test_the_bootstrap_standard_error_is_that_of_a_mean():
    """AUROC of one known image against negatives drawn at random: a binomial proportion."""
    scores = np.r_[0.5, np.arange(400) < 100].astype(float)
    targets = np.r_[1.0, np.zeros(400)]
    weights = image_resamples(401, 4000, seed=0).copy()
    weights[:, 0] = 1
    spread = bootstrap(targets[:, None], scores[:, None], weights).auroc.std()
    assert spread == pytest.approx(np.sqrt(0.25 * 0.75 / 400), rel=0.05)


def test_a_higher_level_gives_a_wider_interval():
    values = np.random.default_rng(0).normal(size=500)
    low, high = zip(*(percentile_interval(values, level) for level in (0.5, 0.8, 0.95, 0.99)), strict=True)
    assert list(low) == sorted(low, reverse=True)
    assert list(high) == sorted(high)
    assert percentile_interval(np.r_[values, np.nan]) == percentile_interval(values)
    assert np.isnan(percentile_interval([np.nan])).all()
    with pytest.raises(ValueError, match="between 0 and 1"):
        percentile_interval(values, 95)


def test_scores_that_are_no_numbers_are_refused_by_label_and_count():
    _, targets, scores = simulated()
    scores[3:5, 1] = np.nan
    scores[8, 2] = np.inf
    weights = image_resamples(len(targets), 2, seed=0)
    with pytest.raises(ValueError, match=r"not finite \(Edema: 2, Fracture: 1, of 400 images each\)"):
        bootstrap(targets, scores, weights, ["Pneumonia", "Edema", "Fracture"])
    with pytest.raises(ValueError, match="2 of 400 scores are not finite"):
        auroc(targets[:, 1], scores[:, 1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: patient_resamples([4, 4, 4], 10, 0), "at least two patients to draw from, got 1"),
        (lambda: image_resamples(1, 10, 0), "at least two images"),
        (lambda: image_resamples(5, 0, 0), "at least one resample"),
        (lambda: auroc([0, 2], [0.1, 0.2]), "1 of 2 targets are none of 0, 1 and NaN"),
        (lambda: auroc([0, 1], [0.1]), "need one shape"),
        (lambda: auroc([[0, 1]], [[0.1, 0.2]]), "one label at a time"),
        (lambda: auroc([0, 1], [0.1, 0.2], [1, -1]), "not negative"),
        (lambda: label_metrics([[0, 1]], [[0.1, 0.2]], ["a"]), "1 label names"),
        (
            lambda: bootstrap([[0], [1]], [[0], [1]], np.ones((3, 5), np.uint16)),
            "must be .resamples, images.",
        ),
        (lambda: bootstrap([[0], [1]], [[0], [1]], np.ones((3, 2))), "uint16, not float64"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_counts_that_would_overflow_are_refused():
    targets = np.tile([0.0, 1.0], 20_000)[:, None]
    weights = np.full((1, 40_000), 65_535, dtype=np.uint16)
    with pytest.raises(ValueError, match="too large to add in 32 bits"):
        bootstrap(targets, targets, weights)


def test_the_kernel_compiles_where_numba_may_write_no_cache(monkeypatch):
    compile_with_cache = kernel._compile

    def refuse(loop, signature, keep):
        if keep:
            raise RuntimeError("cannot cache function: no locator available")
        return compile_with_cache(loop, signature, keep=False)

    monkeypatch.setattr(kernel, "_compile", refuse)
    _, targets, scores = simulated(images=50)
    weights = image_resamples(50, 20, seed=0)
    expected = bootstrap(targets, scores, weights)
    kernel.compiled.cache_clear()
    np.testing.assert_array_equal(bootstrap(targets, scores, weights).auprc, expected.auprc)
    kernel.compiled.cache_clear()
