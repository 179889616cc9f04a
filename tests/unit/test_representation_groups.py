"""Predictions by group of patients, and whether probabilities mean what they say."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score

from mmsn.reporting.predictions import Predictions
from mmsn.reporting.settings import StatisticsSettings
from mmsn.representation.calibration import Resamples, calibration
from mmsn.representation.measure_groups import GroupMeasurer
from mmsn.representation.measured import MACRO
from mmsn.representation.settings import SubgroupSettings
from mmsn.representation.subgroups import GAP, gap_of, group_aurocs, grouped, values_of
from mmsn.statistics.bootstrap import patient_draws, patient_resamples
from mmsn.statistics.ranking import rank_all

NAMES = ("A", "B")


def predicted(images=400, strength=(1.0, 1.0), seed=0):
    """Groups F and M (two patients' images alternate), targets [N, 2], tied scores as strong in each group as told."""
    rng = np.random.default_rng(seed)
    sex = np.where(np.arange(images) // 4 % 2, "F", "M")
    targets = rng.integers(0, 2, (images, 2)).astype(float)
    pull = np.where(sex == "F", *strength)[:, None]
    scores = 1 / (1 + np.exp(-(pull * (2 * targets - 1) + rng.normal(size=targets.shape))))
    return sex, np.arange(images) // 4, targets, np.round(scores, 2)


def logistic(images=3000, sharpness=1.0, shift=0.0, seed=0):
    """Targets drawn from probabilities, and the probabilities with their log odds multiplied and shifted."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-1, 1.5, images)
    targets = (rng.random(images) < 1 / (1 + np.exp(-odds))).astype(float)
    return targets, 1 / (1 + np.exp(-(sharpness * odds + shift)))


def measure(targets, scores, resamples=30):
    weights = patient_resamples(np.arange(len(targets)), resamples, seed=0).astype(float)
    return calibration(targets, scores, Resamples(weights), bins=10), weights


def test_a_groups_auroc_is_scikit_learns_on_its_images():
    sex, patients, targets, scores = predicted(strength=(0.3, 1.5))
    groups = grouped("sex", sex, patients, targets, NAMES, fewest=20)
    found = group_aurocs(groups, rank_all(targets, scores), patient_draws(patients, 50, seed=0), threads=1)
    for name in ("F", "M"):
        assert found[name][0] == pytest.approx(roc_auc_score(targets[sex == name], scores[sex == name]))
    assert gap_of(found, 0.95)[0] == pytest.approx(abs(found["F"][0] - found["M"][0]))


def test_replicates_are_scikit_learns_with_the_resamples_as_weights():
    sex, patients, targets, scores = predicted()
    drawn = patient_draws(patients, 5, seed=0)
    groups = grouped("sex", sex, patients, targets, NAMES, fewest=20)
    found = group_aurocs(groups, rank_all(targets, scores), drawn, threads=1)
    mine = sex == "F"
    for row, value in zip(drawn.weights, found["F"][1], strict=True):
        expected = [roc_auc_score(targets[mine, k], scores[mine, k], sample_weight=row[mine]) for k in range(2)]
        assert value == pytest.approx(np.mean(expected))


def test_a_difference_between_groups_is_found():
    gap = _rows(*predicted(800, (0.2, 2.0)))["sex", GAP]
    assert 0.1 < gap.lo < gap.value < gap.hi


def test_equal_groups_seldom_have_a_gap_whose_interval_is_above_0():
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(400):  # four groups as good as each other; a percentile interval of the gap is wrong in most
        deviations = rng.normal(size=(4, 300))
        found = {
            str(group): (value, value + own)
            for group, (value, own) in enumerate(zip(rng.normal(size=4), deviations, strict=True))
        }
        wrong += gap_of(found, 0.95)[1] > 0
    assert 0.02 < wrong / 400 < 0.09


def test_a_group_of_one_patient_is_excluded_with_its_reason():
    sex, patients, targets, scores = predicted()
    rows = _rows(np.where(patients == 7, "X", sex), patients, targets, scores)
    assert rows["sex", "X"].excluded == "1 patient, fewer than 20"
    assert np.isnan(rows["sex", "X"].value)
    assert not rows["sex", "F"].excluded


def test_images_whose_group_is_not_known_are_excluded_and_counted():
    sex, patients, targets, scores = predicted()
    rows = _rows(np.where(patients < 30, "unknown", sex), patients, targets, scores)
    assert (rows["sex", "unknown"].excluded, rows["sex", "unknown"].patients) == ("value not known", 30)


def test_one_group_has_no_gap_and_says_why():
    _, patients, targets, scores = predicted()
    rows = _rows(np.full(400, "F"), patients, targets, scores)
    assert rows["sex", GAP].excluded == "fewer than two groups to compare"


def test_a_label_that_one_group_lacks_is_left_out_of_every_group_and_named():
    sex, patients, targets, _ = predicted()
    targets[sex == "F", 1] = 0
    groups = grouped("sex", sex, patients, targets, NAMES, fewest=20)
    assert groups.labels.tolist() == [True, False]
    assert groups.left_out == "B (F)"


def test_without_a_common_label_every_group_is_excluded():
    sex, patients, targets, scores = predicted()
    targets[sex == "F", 1] = targets[sex == "M", 0] = 0
    rows = _rows(sex, patients, targets, scores)
    assert rows["sex", "F"].excluded == "no label has both classes in every group"
    assert rows["sex", GAP].excluded


def test_a_study_without_a_variable_says_so():
    _, patients, targets, scores = predicted()
    measurer = _measurer({"pos": None}, patients, targets, scores)
    assert next(iter(measurer.measure(scores))).excluded == "the study has no such variable"


def test_ages_fall_into_bands():
    rows = pd.DataFrame({"age": [18.0, 39.9, 40.0, 79.0, 80.0, 95.0, None], "view": ["AP", None, *["PA"] * 5]})
    expected = ["<40", "<40", "40-59", "60-79", "80+", "80+", "unknown"]
    assert values_of(rows, "age", (40, 60, 80)).tolist() == expected
    assert values_of(rows, "view", ()).tolist()[:2] == ["AP", "unknown"]
    groups = grouped("age", expected, np.arange(7), np.zeros((7, 1)), ("A",), fewest=1)
    assert [group.name for group in groups.groups] == ["<40", "40-59", "60-79", "80+", "unknown"]


def test_brier_score_slope_and_intercept_are_those_of_other_libraries():
    targets, scores = logistic(sharpness=1.7, shift=0.4)
    found = measure(targets, scores)[0].value
    odds = np.log(scores / (1 - scores))
    fit = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(odds[:, None], targets)
    fixed = sm.GLM(targets, np.ones(len(targets)), family=sm.families.Binomial(), offset=odds).fit()
    assert found["brier"] == pytest.approx(brier_score_loss(targets, scores))
    assert found["slope"] == pytest.approx(fit.coef_[0, 0], rel=1e-5)
    assert found["intercept"] == pytest.approx(fixed.params[0], rel=1e-6)


def test_the_calibration_error_is_the_mean_gap_over_bins():
    targets, scores = np.array([1, 0, 1, 1.0]), np.array([0.12, 0.18, 0.91, 1.0])
    error = measure(targets, scores)[0].value["ece"]
    assert error == pytest.approx(0.5 * abs(0.5 - 0.15) + 0.5 * abs(1 - 0.955))


@pytest.mark.parametrize(("sharpness", "shift", "slope", "intercept"), [(1, 0, 1, 0), (2, 0, 0.5, None), (1, 1, 1, -1)])
def test_what_was_done_to_probabilities_is_found(sharpness, shift, slope, intercept):
    found = measure(*logistic(20_000, sharpness, shift))[0].value
    assert found["slope"] == pytest.approx(slope, abs=0.05)
    if intercept is not None:
        assert found["intercept"] == pytest.approx(intercept, abs=0.06)
    assert (found["ece"] < 0.01) == (sharpness == 1 and shift == 0)


def test_one_newton_step_is_close_to_fitting_every_resample():
    targets, scores = logistic(2000, 1.3)
    found, weights = measure(targets, scores)
    odds = np.log(scores / (1 - scores))[:, None]
    slopes = [LogisticRegression(C=np.inf).fit(odds, targets, sample_weight=row).coef_[0, 0] for row in weights]
    np.testing.assert_allclose(found.replicates["slope"], slopes, atol=0.4 * np.std(slopes))


def test_brier_and_error_replicates_count_images_as_often_as_they_are_drawn():
    targets, scores = logistic(300)
    found, weights = measure(targets, scores)
    expected = [brier_score_loss(targets, scores, sample_weight=row) for row in weights]
    np.testing.assert_allclose(found.replicates["brier"], expected)
    drawn = np.repeat(np.arange(300), weights[0].astype(int))
    again = measure(targets[drawn], scores[drawn], 2)[0].value["ece"]
    assert found.replicates["ece"][0] == pytest.approx(again)


@pytest.mark.parametrize(
    ("scores", "complaint"),
    [(np.full(40, 0.3), "constant score"), (np.linspace(0.01, 0.99, 40), "scores that separate the classes")],
)
def test_scores_without_a_slope_say_why(scores, complaint):
    with pytest.raises(ValueError, match=complaint):
        measure((np.arange(40) >= 20).astype(float), scores)


def test_a_rare_or_constant_label_is_excluded_from_calibration_with_its_reason():
    _, patients, targets, scores = predicted()
    targets[9:, 0], scores[:, 1] = 0, 0.2
    found = {
        (row.group, row.measure): row
        for row in _measurer({}, patients, targets, scores).measure(scores)
        if row.topic == "calibration"
    }
    assert found["A", "slope"].excluded.startswith("positive images: ")
    assert found["B", "slope"].excluded == "constant score"
    assert found[MACRO, "brier"].excluded == "no label can be judged"


def test_a_label_that_could_not_be_taught_has_no_part_in_groups_or_calibration():
    sex, patients, targets, scores = predicted()
    ids = np.array([f"image-{place:04d}" for place in range(400)], dtype=object)
    untrained = {"B": "no positive image"}
    test_set = Predictions(ids, patients, NAMES, targets, scores, untrained=untrained)
    settings = SubgroupSettings(), StatisticsSettings(resamples=50)
    rows = list(GroupMeasurer(test_set, {"sex": list(sex)}, *settings, threads=1).measure(scores))
    found = {(row.topic, row.group, row.measure): row for row in rows}
    women = sex == "F"
    assert found["sex", "F", "auroc"].value == pytest.approx(roc_auc_score(targets[women, 0], scores[women, 0]))
    assert found["calibration", "B", "brier"].excluded == "no positive image to train on"
    assert found["calibration", MACRO, "brier"].value == found["calibration", "A", "brier"].value


def _measurer(groups, patients, targets, scores):
    ids = np.array([f"image-{place:04d}" for place in range(len(patients))], dtype=object)
    test_set = Predictions(ids, patients, NAMES, targets, scores)
    return GroupMeasurer(test_set, groups, SubgroupSettings(), StatisticsSettings(resamples=100), threads=1)


def _rows(sex, patients, targets, scores):
    measurer = _measurer({"sex": list(sex)}, patients, targets, scores)
    return {(row.topic, row.group): row for row in measurer.measure(scores) if row.topic != "calibration"}
