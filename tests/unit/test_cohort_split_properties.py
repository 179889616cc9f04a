"""Whatever the tables look like: patients are whole, order is nothing, and labels are shared out evenly."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow.csv as csv
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmsn.cohort.build import Cohort
from mmsn.cohort.stratify import balance
from mmsn.errors import UserError
from mmsn.files import write_table
from mmsn.lineage import Split
from tests.unit.cohort_tables import Mimic, build_in

Integers = NDArray[np.int64]
FIRST = 10_000_001
SHARES = (0.5, 0.25, 0.25)
IMAGES = st.lists(
    st.tuples(st.integers(0, 11), st.integers(0, 2), st.sampled_from([".", "1.0", "0.0", "-1.0"])),
    min_size=8,
    max_size=40,
)
"""Images as patient, study of the patient, and what the study's label Edema says."""


def tables(images: list[tuple[int, int, str]], order: list[int] | None = None) -> Mimic:
    """Tables of some images, their rows in another order where one is given."""
    studies = {(patient, study): edema for patient, study, edema in images}
    metadata = [
        f"i{number}  {FIRST + patient}  {50_000_001 + 3 * patient + study}  PA  21500601  120000.0  Erect"
        for number, (patient, study, _) in enumerate(images)
    ]
    labels = [f"{50_000_001 + 3 * patient + study}  .  {edema}" for (patient, study), edema in studies.items()]
    if order is not None:
        metadata = [metadata[place] for place in order]
        labels.reverse()
    known = sorted({patient for patient, _, _ in images}, reverse=order is not None)
    return Mimic(
        patients="subject_id  gender  anchor_age  anchor_year\n"
        + "".join(f"{FIRST + patient}  F  60  2150\n" for patient in known),
        metadata="dicom_id  subject_id  study_id  ViewPosition  StudyDate  StudyTime  orientation\n"
        + "\n".join(metadata),
        labels="study_id  Atelectasis  Edema\n" + "\n".join(labels),
        split="dicom_id  split\n" + "\n".join(f"i{number}  train" for number in range(len(images))),
    )


def random_split(mimic: Mimic, stratify: bool = True) -> Cohort:
    """The cohort under a random split; a draw with an empty split is no example."""
    with TemporaryDirectory() as folder:
        mimic.write(Path(folder))
        try:
            return build_in(Path(folder), split="random", split_fractions=SHARES, split_stratify=stratify)
        except UserError as error:
            assume("is empty after joining" not in str(error))
            raise


@settings(max_examples=6, deadline=None)
@given(IMAGES, st.booleans(), st.randoms(use_true_random=False))
def test_any_row_order_gives_the_same_split_and_no_patient_is_in_two(images, stratify, random) -> None:
    order = list(range(len(images)))
    random.shuffle(order)
    cohort, again = random_split(tables(images), stratify), random_split(tables(images, order), stratify)
    assert cohort.flow["split_sha256"] == again.flow["split_sha256"]
    rows = cohort.images.to_pandas()
    assert rows.groupby("subject_id").split.nunique().max() == 1
    assert set(rows.split) == {"train", "validate", "test"}


@settings(max_examples=4, deadline=None)
@given(IMAGES, st.sampled_from(["subject_id", "dicom_id"]), st.sampled_from([".csv", ".parquet"]))
def test_a_split_written_to_a_file_and_read_again_is_the_same_split(images, key, suffix) -> None:
    mimic = tables(images)
    cohort = random_split(mimic)
    with TemporaryDirectory() as folder:
        mimic.write(Path(folder))
        path, listed = Path(folder) / f"mine{suffix}", cohort.images.select([key, "split"])
        write_table(path, listed) if suffix == ".parquet" else csv.write_csv(listed, path)
        again = build_in(Path(folder), split="file", split_file=path)
    assert Split.of_table(again.images) == Split.of_table(cohort.images)
    assert again.images["split"].equals(cohort.images["split"])


def patients(seed: int, number: int) -> Integers:
    """Images and labels of patients: most have few images, some a hundred; labels from common to rare."""
    rng = np.random.default_rng(seed)
    images = np.minimum(1 + rng.lognormal(0.8, 1.0, number), 200).astype(np.int64)
    often = 0.5 * 0.7 ** np.arange(14) * np.exp(rng.normal(0, 0.5, (number, 1)))
    return np.column_stack([images, rng.binomial(images[:, None], np.minimum(often, 0.9))])


def hashed(rng: np.random.Generator, number: int) -> Integers:
    """A plain random split of patients, 80, 10 and 10 per cent."""
    cut = [round(0.8 * number), round(0.9 * number)]
    return np.digitize(np.arange(number), cut)[rng.permutation(number)]


def deviations(counts: Integers, split: Integers) -> NDArray[np.float64]:
    """How far each label's prevalence is from the whole's in each split, as a share of it. `[3, 14]`"""
    prevalence = counts[:, 1:].sum(0) / counts[:, 0].sum()
    sums = np.stack([counts[split == number].sum(0) for number in range(3)])
    return np.abs(sums[:, 1:] / sums[:, :1] / prevalence - 1)


@pytest.mark.parametrize("number", [300, 4000])
def test_every_labels_prevalence_is_closer_to_the_whole_than_under_a_plain_hash(number: int) -> None:
    plain, balanced = [], []
    for seed in range(6):
        counts, split = patients(seed, number), hashed(np.random.default_rng(seed), number)
        plain.append(deviations(counts, split))
        balanced.append(deviations(counts, balance(counts, split)))
    mean_plain, mean_balanced = np.mean(plain, axis=(0, 1)), np.mean(balanced, axis=(0, 1))
    assert (mean_balanced < mean_plain).all()
    assert mean_balanced.mean() < 0.4 * mean_plain.mean()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_balancing_keeps_the_sizes_and_never_makes_the_splits_less_alike(seed: int, number: int) -> None:
    counts, split = patients(seed, number), hashed(np.random.default_rng(seed), number)
    again = balance(counts, split)
    assert np.array_equal(np.bincount(again, minlength=3), np.bincount(split, minlength=3))
    assert statistic(counts, again) <= statistic(counts, split)
    assert np.array_equal(again, balance(counts, split))


def statistic(counts: Integers, split: Integers) -> float:
    """Chi-square of counts by splits, with expected counts in whole images."""
    sizes = np.bincount(split, minlength=3)
    expected = (2 * sizes[:, None] * counts.sum(0) + len(split)) // (2 * len(split))
    observed = np.stack([counts[split == number].sum(0) for number in range(3)])
    return float(((observed - expected) ** 2 * (2**30 // np.maximum(expected, 1))).sum())


def test_few_patients_of_many_are_exchanged() -> None:
    counts, split = patients(0, 4000), hashed(np.random.default_rng(0), 4000)
    moved = int((balance(counts, split) != split).sum())
    assert 0 < moved < 0.1 * 4000
