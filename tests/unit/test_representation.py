"""Embeddings judged beyond the linear head: clusters, rank, neighbours, and what probes read from them."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn import metrics
from sklearn.neighbors import NearestNeighbors

from mmsn.errors import UserError
from mmsn.evaluation.settings import LinearSettings
from mmsn.randomness import derived_seed, generator
from mmsn.representation.attributes import PROBED
from mmsn.representation.clusters import Clusters
from mmsn.representation.intervals import centred_interval
from mmsn.representation.linear_probe import Probed, attribute_scores
from mmsn.representation.neighbours import knn_scores
from mmsn.representation.probes import explained_share, mean_error, predicted_ages
from mmsn.representation.quality import (
    cluster_quality,
    rank_quality,
    rankme,
    separation,
    silhouettes,
)
from mmsn.representation.sampling import whole_patients
from mmsn.statistics.bootstrap import patient_resamples
from mmsn.statistics.metrics import auroc
from mmsn.training.monitor import rankme as monitored_rankme

RUNS = [{"schedule": "cosine", "learning_rate": 1e-2}, {"schedule": "plateau", "learning_rate": 1e-3}]
PROTOCOL = LinearSettings.model_validate({"runs": RUNS, "max_epochs": 8, "batch_size": 32})
SCIKIT_LEARN = {
    "silhouette": metrics.silhouette_score,
    "davies_bouldin": metrics.davies_bouldin_score,
    "calinski_harabasz": metrics.calinski_harabasz_score,
}


def blobs(apart=1.0, images=60, classes=3, seed=0):
    """Embeddings [N, 5] around one centre a class, and the classes [N]."""
    rng = np.random.default_rng(seed)
    label = np.arange(images) % classes
    centres = rng.normal(size=(classes, 5)) * apart
    return (centres[label] + rng.normal(size=(images, 5))).astype(np.float32), label


def apart(features):
    return cdist(features, features).astype(np.float32)


def one(name, features, classes, weights):
    bouldin, harabasz = separation(features.astype(float), classes, weights[None])
    found = {"silhouette": silhouettes(apart(features), classes, weights[None]), "davies_bouldin": bouldin}
    return (found | {"calinski_harabasz": harabasz})[name][0]


@pytest.mark.parametrize("name", SCIKIT_LEARN)
@given(seed=st.integers(0, 1000), apart=st.floats(0.1, 5))
@settings(max_examples=10, deadline=None)
def test_cluster_measures_are_scikit_learns(name, seed, apart):
    features, classes = blobs(apart, seed=seed)
    expected = SCIKIT_LEARN[name](features.astype(float), classes)
    assert one(name, features, classes, np.ones(60)) == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", SCIKIT_LEARN)
def test_an_image_that_was_not_drawn_does_not_count(name):
    features, classes = blobs()
    weights = (np.arange(60) % 4 > 0).astype(float)
    expected = SCIKIT_LEARN[name](features[weights > 0].astype(float), classes[weights > 0])
    assert one(name, features, classes, weights) == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", ["davies_bouldin", "calinski_harabasz"])
def test_an_image_drawn_twice_counts_twice(name):
    features, classes = blobs()
    weights = 1 + (np.arange(60) % 3 == 0).astype(float)
    repeated = np.repeat(np.arange(60), weights.astype(int))
    expected = SCIKIT_LEARN[name](features[repeated].astype(float), classes[repeated])
    assert one(name, features, classes, weights) == pytest.approx(expected, rel=1e-6)


def test_an_image_drawn_twice_is_not_its_own_neighbour():
    features, classes = blobs()
    once, twice = silhouettes(apart(features), classes, np.array([np.ones(60), np.full(60, 2.0)]))
    assert twice == pytest.approx(once, abs=1e-6)  # scikit-learn on repeated rows would find neighbours at distance 0


def test_a_class_of_one_image_has_silhouette_0_as_in_scikit_learn():
    features, classes = blobs()
    classes = np.where(np.arange(60) == 7, 3, classes)
    expected = metrics.silhouette_score(features, classes)
    assert silhouettes(apart(features), classes, np.ones((1, 60)))[0] == pytest.approx(expected, abs=1e-5)


def test_a_resample_of_one_class_has_no_clusters():
    features, classes = blobs()
    weights = (classes == 0).astype(float)
    assert all(np.isnan(one(name, features, classes, weights)) for name in SCIKIT_LEARN)


def test_rankme_is_that_of_the_monitor():
    features, _ = blobs()
    assert rankme(features.astype(float), np.ones(60)) == pytest.approx(monitored_rankme(torch.from_numpy(features)))


def test_separate_clusters_are_better_by_every_measure_and_intervals_hold_the_value():
    resamples = patient_resamples(np.arange(60) // 2, 40, seed=0)
    near, far = (cluster_quality(*blobs(apart), resamples) for apart in (0.3, 4))
    for name, sign in {"silhouette": 1, "davies_bouldin": -1, "calinski_harabasz": 1}.items():
        assert sign * far[name][0] > sign * near[name][0]
        low, high = centred_interval(*far[name], 0.95)
        assert low < far[name][0] < high


def test_a_collapsed_encoder_has_rank_one():
    direction = np.ones((60, 5), dtype=np.float32)
    value, replicates = rank_quality(direction, patient_resamples(np.arange(60), 20, seed=0))
    assert value == pytest.approx(1, abs=1e-3)
    assert centred_interval(value, replicates, 0.95, lowest=1.0)[0] >= 1


def test_a_collapsed_encoder_has_no_separation_that_could_look_perfect():
    features, classes = np.ones((60, 5)), np.arange(60) % 3
    assert all(np.isnan(values).all() for values in separation(features, classes, np.ones((2, 60))))


def test_results_do_not_depend_on_the_number_of_threads():
    features, classes = blobs()
    resamples = patient_resamples(np.arange(60) // 2, 70, seed=0)
    one, four = (cluster_quality(features, classes, resamples, threads) for threads in (1, 4))
    assert all((one[name][1] == four[name][1]).all() for name in one)


def test_the_shift_of_resampling_is_taken_off_the_interval():
    replicates = np.linspace(6, 8, 101)  # the sample's value is 5
    low, high = centred_interval(5, replicates, 0.9)
    assert (low + high) / 2 == pytest.approx(5)
    assert centred_interval(0.1, replicates, 0.9, lowest=0.0)[0] == 0
    assert np.isnan(centred_interval(5, [np.nan], 0.9)).all()


def test_k_nn_is_the_mean_of_scikit_learns_neighbours():
    rng = np.random.default_rng(0)
    train, queries = rng.normal(size=(80, 6)).astype(np.float32), rng.normal(size=(300, 6)).astype(np.float32)
    targets = rng.integers(0, 2, (80, 3)).astype(np.float32)
    nearest = NearestNeighbors(n_neighbors=7, metric="cosine").fit(train).kneighbors(queries, return_distance=False)
    np.testing.assert_allclose(knn_scores(train, targets, queries, 7), targets[nearest].mean(axis=1), atol=1e-6)


def test_a_neighbour_with_an_ignored_label_has_no_say():
    train = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], dtype=np.float32)
    targets = np.array([[1, np.nan], [np.nan, np.nan], [0, 1], [0, 0]], dtype=np.float32)
    scores = knn_scores(train, targets, np.array([[1, 0.05]], dtype=np.float32), 2)
    np.testing.assert_allclose(scores, [[1, 0.5]])  # one neighbour knows; none knows: the share in training


def test_more_neighbours_than_training_images_is_one_line():
    features, _ = blobs(images=5)
    with pytest.raises(UserError, match="20 neighbours asked for, 5 training images; lower it"):
        knn_scores(features, np.ones((5, 1), np.float32), features, 20)


def test_a_planted_sex_is_found_and_a_shuffled_one_is_not():
    rng = np.random.default_rng(0)
    sex = rng.integers(0, 2, 1200).astype(float)
    features = rng.normal(size=(1200, 16)).astype(np.float32)
    features[:, 3] += 3 * sex
    attributes = np.stack([sex, rng.permutation(sex)], axis=1)  # the second is nobody's
    train, validate, test = (slice(*ends) for ends in ((0, 600), (600, 800), (800, None)))
    parts = [Probed(features[rows], attributes[rows]) for rows in (train, validate)]
    scores, run = attribute_scores(*parts, features[test], PROTOCOL, seed=0)
    assert auroc(attributes[test, 0], scores[:, 0]) > 0.95
    assert abs(auroc(attributes[test, 1], scores[:, 1]) - 0.5) < 0.12
    assert run in PROTOCOL.runs
    np.testing.assert_array_equal(attribute_scores(*parts, features[test], PROTOCOL, seed=0)[0], scores)


def test_attributes_are_probed_as_findings_are():
    """On embeddings that do not change, the linear protocol's probe and ours take the same steps."""
    features, labels = blobs(images=300)
    sex = (labels % 2).astype(float)[:, None]
    torch.manual_seed(derived_seed(5, "attributes", PROTOCOL.runs[0].id))
    head = torch.nn.Linear(features.shape[1], 1)
    one = PROTOCOL.model_copy(update={"runs": PROTOCOL.runs[:1], "max_epochs": 1})
    optimizer = torch.optim.Adam(head.parameters(), lr=one.runs[0].learning_rate)
    order = torch.randperm(300, generator=generator("cpu", 5, "attribute order", 0))
    for rows in order.split(one.batch_size):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            head(torch.from_numpy(features[rows])), torch.from_numpy(sex[rows]).float()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    part = Probed(features, sex)
    expected = torch.sigmoid(head(torch.from_numpy(features))).detach().numpy()
    np.testing.assert_allclose(attribute_scores(part, part, features, one, seed=5)[0], expected, atol=1e-6)


def test_images_of_unknown_sex_teach_the_probe_nothing():
    features, _ = blobs(images=200)
    sex = (features[:, :1] > 0).astype(float)
    half = np.where(np.arange(200)[:, None] < 100, sex, np.nan)
    other = features.copy()
    other[100:] = 7
    found = [
        attribute_scores(Probed(seen, half), Probed(features, sex), features, PROTOCOL, seed=0)[0]
        for seen in (features, other)
    ]
    np.testing.assert_allclose(*found)


def test_old_age_is_an_attribute_with_unknown_ages_left_unknown():
    old = next(attribute for attribute in PROBED if attribute.column == "age")
    targets = old.targets(pd.DataFrame({"age": [64.0, 65.0, np.nan, 90.0]}))
    np.testing.assert_array_equal(targets, [0, 1, np.nan, 1])


def test_age_is_judged_as_by_scikit_learn_in_every_resample():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 4)).astype(np.float32)
    ages = 60 + 10 * features[:, 0] + rng.normal(size=300)
    predicted = predicted_ages(features, ages, features)
    weights = patient_resamples(np.arange(300) // 3, 5, seed=0).astype(float)
    for row, share, error in zip(
        weights, explained_share(ages, predicted, weights), mean_error(ages, predicted, weights), strict=True
    ):
        assert share == pytest.approx(metrics.r2_score(ages, predicted, sample_weight=row))
        assert error == pytest.approx(metrics.mean_absolute_error(ages, predicted, sample_weight=row))
    assert explained_share(ages, predicted, np.ones((1, 300)))[0] > 0.9


def test_every_attribute_says_which_value_is_positive():
    for attribute in PROBED:
        assert not set(attribute.positive) & set(attribute.negative)
        assert bool(attribute.positive and attribute.negative) != (attribute.at_least is not None)
    assert len({attribute.name for attribute in PROBED}) == len(PROBED)


@given(most=st.integers(1, 120), seed=st.integers(0, 100))
def test_a_sample_holds_whole_patients_and_grows_into_a_larger_one(most, seed):
    patients = np.repeat(np.arange(30), 4)
    small, large = whole_patients(patients, most, seed), whole_patients(patients, most + 20, seed)
    assert small.sum() in range(min(most, 4), max(most, 4) + 1)
    assert set(np.bincount(patients[small], minlength=30)) <= {0, 4}
    assert not (small & ~large).any()


def test_a_sample_does_not_depend_on_the_order_of_rows():
    patients = np.repeat(np.arange(30), 4)
    order = np.random.default_rng(0).permutation(120)
    np.testing.assert_array_equal(whole_patients(patients[order], 40, 1), whole_patients(patients, 40, 1)[order])


def test_clusters_are_images_with_a_single_label_of_frequent_labels():
    targets = np.zeros((30, 3))
    targets[:12, 0] = targets[12:24, 1] = targets[24:28, 2] = 1  # twelve, twelve, four
    targets[0, 1] = 1  # two labels
    targets[1, 2] = np.nan  # ignored: not known to be single
    clusters = Clusters.of(targets, np.arange(30), ("A", "B", "C"), fewest=10, most=100, seed=0)
    assert (clusters.names, clusters.left_out) == (("A", "B"), {"C": 4})
    assert clusters.images.tolist() == [*range(2, 12), *range(12, 24)]
    assert clusters.classes.tolist() == [0] * 10 + [1] * 12


def test_clusters_of_one_label_are_excluded_with_the_reason():
    targets = np.eye(2)[np.zeros(20, dtype=int)]
    clusters = Clusters.of(targets, np.arange(20), ("A", "B"), fewest=10, most=100, seed=0)
    assert clusters.excluded == "fewer than two labels with 10 single-label images"
