"""Distributions of the EHR variables: shares of images, and no bar, number or difference that is of few patients."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsn.ehr.settings import Variable
from mmsn.figures.distributions import distribution, distributions, draw_distributions
from mmsn.figures.small_groups import patients_of, withheld
from tests.unit.test_figures import words


@pytest.fixture(scope="module")
def cohort() -> pd.DataFrame:
    """1,200 images of 300 patients aged 16 to 89; a tenth has no view, three patients died."""
    patient = np.arange(1200) // 4
    view = np.tile(["PA", "AP", "LATERAL", "PA"], 300).astype(object)
    view[::10] = None
    return pd.DataFrame(
        {
            "subject_id": patient + 10_000_000,
            "age": 16.0 + 73 * patient / 299,
            "view": view,
            "mort": np.where(patient < 3, "died", "alive"),
        }
    )


VARIABLES = {
    "age": Variable(kind="continuous", range=(16, 100)),
    "view": Variable(kind="categorical", values=("PA", "LATERAL", "AP", "LL")),
    "mort": Variable(kind="categorical", values=("alive", "died")),
}


def test_bars_are_the_shares_of_images_and_what_is_missing_has_one(cohort: pd.DataFrame) -> None:
    _, view, _ = distributions(cohort, VARIABLES)
    known = cohort["view"].value_counts(normalize=False) / len(cohort)
    assert dict(view.bars) == pytest.approx({name: known[name] for name in ("PA", "LATERAL", "AP")})
    assert sum(share for _, share in view.bars) + view.missing == pytest.approx(1)
    assert view.missing == pytest.approx(0.1)


def test_a_value_of_few_patients_shares_a_bar_with_its_complement(cohort: pd.DataFrame) -> None:
    """Three patients died: that 99 % are alive and 0 % missing would say so."""
    _, _, mort = distributions(cohort, VARIABLES)
    assert mort.bars == (("alive or died", pytest.approx(1)),)
    assert mort.missing == 0
    text = words(draw_distributions([mort], 1200, 300, "EHR", ""))
    assert "99.0" not in text
    assert "Joined by 'or': values of fewer than 10 patients" in text.replace("\n", " ")


def test_one_patient_without_a_value_is_no_bar_and_no_percentage() -> None:
    sex = pd.Series(["F"] * 40 + ["M"] * 59 + [None], dtype=object)
    one = distribution("sex", Variable(kind="categorical", values=("F", "M")), sex, pd.Series(np.arange(100)))
    assert dict(one.bars) == pytest.approx({"male": 0.59, "female or missing": 0.41})
    text = words(draw_distributions([one], 100, 100, "EHR", ""))
    assert re.findall(r"[\d.]+ %", text) == ["59.0 %", "41.0 %"]


def test_one_patient_without_a_number_is_not_counted_in_the_title_and_cannot_be_worked_out() -> None:
    age = pd.Series([22.0] * 40 + [47.0] * 59 + [np.nan])
    one = distribution("age", VARIABLES["age"], age, pd.Series(np.arange(100)))
    assert np.isnan(one.missing)
    assert np.nansum(one.shares) == pytest.approx(0.59)
    text = words(draw_distributions([one], 100, 100, "EHR", "")).replace("\n", " ")
    assert "Age at study: median 47\n" in words(draw_distributions([one], 100, 100, "EHR", ""))
    assert "are not drawn: 1 in all" in text
    assert "not said of Age at study: how much is missing" in text


def test_a_cohort_of_few_patients_has_no_bar_at_all() -> None:
    one = distribution("age", VARIABLES["age"], pd.Series([22.0] * 5), pd.Series(np.arange(5)))
    figure = draw_distributions([one], 5, 5, "EHR", "")
    assert not figure.axes
    assert "fewer than 10 patients" in words(figure)


CELLS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40)), min_size=1, max_size=150)


@given(pairs=CELLS)
def test_what_is_shown_and_what_is_left_of_the_whole_stand_for_ten_patients_or_none(pairs) -> None:
    cells, patients = (np.array(column) for column in zip(*pairs, strict=True))
    hidden = withheld(cells, patients, 6)
    for cell in np.flatnonzero(~hidden):
        assert patients_of(patients, cells == cell) not in range(1, 10)
    together = patients_of(patients, hidden[cells])
    assert together not in range(1, 10) or hidden[cells].all()


@given(pairs=CELLS)
def test_nothing_is_withheld_where_every_value_is_of_ten_patients(pairs) -> None:
    cells, patients = (np.array(column) for column in zip(*pairs, strict=True))
    sizes = np.array([patients_of(patients, cells == cell) for cell in range(6)])
    assert withheld(cells, patients, 6).any() == bool(((sizes > 0) & (sizes < 10)).any())


def test_ages_are_in_bins_of_five_years_and_bins_of_few_patients_are_left_out(cohort: pd.DataFrame) -> None:
    old = pd.concat([cohort, pd.DataFrame({"subject_id": [1, 2], "age": [97.0, 130.0]})])
    age, *_ = distributions(old, VARIABLES)
    assert set(np.diff(age.edges)) == {5}
    assert age.outside is None  # one patient
    assert np.isnan(age.shares[-1])
    assert age.left_out == 2  # two patients in all: the bin with the fewest is withheld with them
    assert (1 - np.nansum(age.shares)) * 1202 > 2 + 10


def test_numbers_of_many_patients_beyond_the_axis_are_counted() -> None:
    age = pd.Series([22.0] * 40 + [130.0] * 20)
    one = distribution("age", VARIABLES["age"], age, pd.Series(np.arange(60)))
    assert one.outside == 20
    assert one.left_out == 0


def test_the_distributions_have_a_panel_each_with_units(cohort: pd.DataFrame) -> None:
    figure = draw_distributions(distributions(cohort, VARIABLES), 1200, 300, "EHR", "note")
    text = words(figure)
    assert "age at study (years)" in text
    assert text.count("share of images (%)") == 3
    assert "1,200 images of 300 patients" in text
    bars = [len(axes.patches) for axes in figure.axes]
    assert bars == [17, 4, 2]  # age bins; PA, LATERAL, AP, missing; "alive or died", missing
