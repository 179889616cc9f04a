"""Subsets of the training images: drawn by patient or image, nested, and what they cannot teach."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsn.evaluation.data import LabelledImages
from mmsn.evaluation.settings import Subset
from mmsn.evaluation.subsets import draw_rows, draw_subset, missing_classes
from mmsn.labels import LABELS

SHARES = (0.01, 0.05, 0.1)


def _images(patients, seed=0):
    """Images of patients with between one and nine each, in random order."""
    random = np.random.default_rng(seed)
    subjects = random.permutation(np.repeat(np.arange(patients) + 10_000_000, random.integers(1, 10, patients)))
    ids = np.array([f"d{i:05d}" for i in range(len(subjects))], dtype=object)
    targets = random.integers(0, 2, (len(subjects), len(LABELS))).astype(np.float32)
    return LabelledImages(ids, subjects, targets, np.arange(len(subjects)))


@given(patients=st.integers(1, 60), draw=st.integers(0, 9), by=st.sampled_from(["patient", "image"]))
@settings(max_examples=60, deadline=None)
def test_smaller_shares_lie_inside_larger_ones(patients, draw, by):
    images = _images(patients, seed=draw)
    parts = [set(draw_subset(images, Subset(share=share, draw=draw, by=by)).images.dicom_ids) for share in SHARES]
    assert parts[0] <= parts[1] <= parts[2]
    assert parts[0]


@given(patients=st.integers(2, 60), share=st.floats(0.01, 0.9), draw=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_a_patient_is_drawn_with_all_images_or_not_at_all(patients, share, draw):
    images = _images(patients)
    drawn = draw_subset(images, Subset(share=share, draw=draw)).images
    inside = np.isin(images.subject_ids, drawn.subject_ids)
    assert set(images.dicom_ids[inside]) == set(drawn.dicom_ids)
    wanted = max(1, round(share * len(images)))
    assert wanted <= len(drawn) < wanted + 9  # the last patient has nine images at most


def test_by_image_the_share_is_exact_and_patients_are_cut_apart():
    images = _images(300)
    drawn = draw_subset(images, Subset(share=0.1, draw=0, by="image")).images
    assert len(drawn) == round(0.1 * len(images))
    others = np.setdiff1d(images.dicom_ids, drawn.dicom_ids)
    assert np.isin(images.subject_ids[np.isin(images.dicom_ids, others)], drawn.subject_ids).any()


def test_a_draw_is_a_seed():
    images = _images(300)
    drawn = [set(draw_subset(images, Subset(share=0.1, draw=draw)).images.dicom_ids) for draw in (0, 0, 1, 2)]
    assert drawn[0] == drawn[1]
    assert len({frozenset(one) for one in drawn}) == 3


def test_the_order_of_rows_does_not_matter():
    images = _images(100)
    shuffled = np.random.default_rng(1).permutation(len(images))
    rows = draw_rows(images.subject_ids, 0.1, 3)
    again = draw_rows(images.subject_ids[shuffled], 0.1, 3)
    assert set(images.dicom_ids[rows]) == set(images.dicom_ids[shuffled][again])


def test_every_image_is_equally_likely():
    units = np.arange(40)
    counts = np.zeros(40)
    for draw in range(2000):
        counts[draw_rows(units, 0.1, draw)] += 1
    assert counts.sum() == 2000 * 4
    assert np.abs(counts - 200).max() < 5 * np.sqrt(200 * 0.9)


def test_a_label_without_a_positive_is_left_out_and_said():
    images = _images(100)
    images.targets[:, LABELS.index("Fracture")] = 0
    images.targets[:, LABELS.index("Edema")] = 1
    images.targets[:, LABELS.index("Pneumonia")] = np.nan
    drawn = draw_subset(images, Subset(share=0.5, draw=0))
    expected = {"Edema": "no negative image", "Fracture": "no positive image", "Pneumonia": "no positive image"}
    assert drawn.untrained == expected
    silent = np.isnan(drawn.images.targets).all(axis=0)
    assert {LABELS[label] for label in np.flatnonzero(silent)} == set(expected)
    assert not np.isnan(images.targets[:, LABELS.index("Fracture")]).any()  # the whole split stays as it was


def test_a_split_with_all_classes_has_nothing_missing():
    assert missing_classes(np.array([[0] * 14, [1] * 14], np.float32)) == {}
