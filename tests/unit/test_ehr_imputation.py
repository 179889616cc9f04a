"""Chained imputation on distinct rows is scikit-learn's; what is hidden on purpose stays hidden."""

import warnings
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer

from mmsn.ehr.chained import DistinctRows, chained_imputation
from mmsn.ehr.codes import to_codes
from mmsn.ehr.draws import bootstrap_counts
from mmsn.ehr.forest import Forest
from mmsn.ehr.hidden import hidden_cell_study
from mmsn.ehr.impute import Imputer
from mmsn.ehr.settings import ImputationSettings, Variable
from mmsn.ehr.tables import impute_table
from mmsn.errors import UserError

VIEW = Variable(kind="categorical", values=("PA", "LATERAL", "AP", "LL"))
POS = Variable(kind="categorical", values=("Erect", "Recumbent"))
AGE = Variable(kind="continuous", range=(16, 100))
RELEASED = ImputationSettings(model="regressor", fit_on="all")
CORRECTED = ImputationSettings(model="classifier", fit_on="train")
PUBLISHED_VIEWS = np.array([147_173, 82_853, 35_133, 96_161])  # AP, LATERAL, LL, PA: in the order of their codes


def radiographs(seed, rows, predictors=False, views=PUBLISHED_VIEWS):
    """View and orientation as label codes, AP films mostly taken lying, with the published shares of unknown cells;
    with predictors also age, sex, ICU and mortality, on which view depends."""
    random = np.random.default_rng(seed)
    view = random.choice(4, rows, p=views / views.sum()).astype(float)
    lying = random.random(rows) < np.array([0.82, 0.03, 0.02, 0.06])[view.astype(int)]
    columns = [view, lying.astype(float)]
    if predictors:
        icu = random.random(rows) < np.where(view == 0, 0.38, 0.06)
        age = random.normal(62 - 6 * (view == 3), 17).round().clip(16, 100)
        columns += [age, random.random(rows) < 0.52, icu, random.random(rows) < 0.02 + 0.1 * icu]
    matrix = np.stack(columns, axis=1).astype(float)
    matrix[random.random(rows) < 15_769 / 377_110, 0] = np.nan
    matrix[random.random(rows) < 41_100 / 376_221, 1] = np.nan
    return matrix


def plain(matrix, fit_rows, kind, max_iter=10):
    """The released call."""
    forest = {"regressor": RandomForestRegressor, "classifier": RandomForestClassifier}[kind]
    initial = {"regressor": "mean", "classifier": "most_frequent"}[kind]
    imputer = IterativeImputer(
        estimator=forest(random_state=24), max_iter=max_iter, random_state=24, initial_strategy=initial
    )
    with warnings.catch_warnings(action="ignore"):
        return imputer.fit(matrix[fit_rows]).transform(matrix)


def ours(matrix, fit_rows, kind, max_iter=10, threads=1):
    return chained_imputation(matrix, fit_rows, Forest(kind, 24, threads), max_iter)


@pytest.mark.parametrize("kind", ["regressor", "classifier"])
@pytest.mark.parametrize(("rows", "predictors", "max_iter"), [(40, False, 10), (3000, False, 10), (150, True, 2)])
def test_imputation_on_distinct_rows_is_the_plain_call_to_the_last_bit(kind, rows, predictors, max_iter):
    matrix = radiographs(rows, rows, predictors)
    everything = np.ones(rows, dtype=bool)
    np.testing.assert_array_equal(ours(matrix, everything, kind, max_iter), plain(matrix, everything, kind, max_iter))


@pytest.mark.parametrize("views", [PUBLISHED_VIEWS, np.array([1, 1, 1, 1]), np.array([1, 50, 2, 200])])
def test_other_marginals_change_nothing_about_that(views):
    matrix = radiographs(7, 8_000, views=views)
    everything = np.ones(len(matrix), dtype=bool)
    np.testing.assert_array_equal(ours(matrix, everything, "regressor"), plain(matrix, everything, "regressor"))


@pytest.mark.parametrize("kind", ["regressor", "classifier"])
def test_rows_that_are_not_fitted_on_are_completed_as_by_transform(kind):
    matrix = radiographs(3, 400)
    train = np.arange(400) < 250
    matrix[:250, 1] = np.nan_to_num(matrix[:250, 1])  # orientation is known for every training image
    np.testing.assert_array_equal(ours(matrix, train, kind), plain(matrix, train, kind))


def test_fractions_of_a_year_give_the_plain_calls_values_but_for_rounding():
    random = np.random.default_rng(0)
    matrix = np.column_stack([random.normal(60, 15, 120), random.integers(0, 2, 120)])
    matrix[random.random(120) < 0.2, 0] = np.nan
    everything = np.ones(120, dtype=bool)
    np.testing.assert_allclose(ours(matrix, everything, "regressor"), plain(matrix, everything, "regressor"), rtol=1e-9)


def test_threads_change_no_bit():
    matrix = radiographs(0, 4000, predictors=True)
    everything = np.ones(len(matrix), dtype=bool)
    assert len(DistinctRows.of(matrix).values) > 1200
    alone, together = (ours(matrix, everything, "regressor", max_iter=1, threads=n) for n in (1, 3))
    np.testing.assert_array_equal(alone, together)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=300), st.lists(st.integers(0, 2**31 - 1), min_size=1))
@example(numbers=[0] * 256, seeds=[1])
@example(numbers=[0] * 257, seeds=[1])
@settings(deadline=None)
def test_draws_are_numpys_counted_by_distinct_row(numbers, seeds):
    rows = np.array(numbers)
    counts = bootstrap_counts(rows, 21, seeds, threads=1)
    for seed, count in zip(seeds, counts, strict=True):
        drawn = np.random.RandomState(seed).randint(0, len(rows), len(rows))
        np.testing.assert_array_equal(count, np.bincount(rows[drawn], minlength=21))


@given(st.lists(st.tuples(*[st.sampled_from([0.0, 1.5, -2.0, np.nan])] * 3), min_size=1))
def test_distinct_rows_give_every_row_back_and_none_twice(rows):
    matrix = np.array(rows)
    distinct = DistinctRows.of(matrix)
    np.testing.assert_array_equal(distinct.values[distinct.of_row], matrix)
    assert len({row.tobytes() for row in distinct.values}) == len(distinct.values)


FILMS = [("AP", "Recumbent", 60), ("AP", "Erect", 4), ("PA", "Erect", 55), ("LATERAL", "Erect", 25), ("AP", None, 6)]
FILMS += [("PA", None, 5), ("LATERAL", None, 4), (None, "Erect", 6), (None, "Recumbent", 5)]


def films(order=None):
    view, pos = zip(*((view, pos) for view, pos, count in FILMS for _ in range(count)), strict=True)
    table = pa.table({"dicom_id": [f"d{i}" for i in range(len(view))], "view": view, "pos": pos})
    table = table.append_column("split", pa.array(["train"] * len(table)))
    return table if order is None else table.take(order)


@pytest.mark.parametrize("chosen", [RELEASED, CORRECTED])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_row_keeps_its_imputed_value_in_any_order_of_rows(chosen, seed):
    order = np.random.default_rng(seed).permutation(170)
    straight, _ = impute_table(films(), {"view": VIEW, "pos": POS}, chosen, 1)
    permuted, _ = impute_table(films(order), {"view": VIEW, "pos": POS}, chosen, 1)
    assert permuted.equals(straight.take(order))


@dataclass(frozen=True)
class Recording(Imputer):
    """Keeps what it was given and what it made of it."""

    seen: list = field(default_factory=list)

    def complete(self, columns, fit_rows):
        completed = super().complete(columns, fit_rows)
        self.seen.append((columns, completed))
        return completed


@pytest.mark.parametrize("chosen", [RELEASED, CORRECTED])
def test_the_true_value_of_a_hidden_cell_changes_nothing(chosen):
    variables = {"view": VIEW, "pos": POS}
    truth = to_codes(films(), variables)
    everything = np.ones(len(truth["pos"]), dtype=bool)
    first, second = Recording(variables, chosen, 1), Recording(variables, chosen, 1)
    hidden_cell_study(first, truth, everything)
    hidden = np.isnan(first.seen[0][0]["pos"]) & ~np.isnan(truth["pos"])
    assert hidden.sum() > 5
    hidden_cell_study(second, {**truth, "pos": np.where(hidden, 1 - truth["pos"], truth["pos"])}, everything)
    for name in variables:
        np.testing.assert_array_equal(first.seen[0][1][name], second.seen[0][1][name])


@pytest.mark.parametrize("chosen", [RELEASED, CORRECTED])
def test_the_confusion_table_adds_up_to_the_hidden_cells_and_its_diagonal_to_the_accuracy(chosen):
    _, report = impute_table(films(), {"view": VIEW, "pos": POS}, chosen, 1)
    for name, variable in (("view", VIEW), ("pos", POS)):
        row = report["variables"][name]
        table = row["hidden_confusion"]
        assert tuple(table) == variable.values
        assert sum(sum(counts.values()) for counts in table.values()) == row["hidden_cells"]["hidden"]
        right = sum(table[value][value] for value in variable.values)
        assert right / row["hidden_cells"]["hidden"] == pytest.approx(row["hidden_cells"]["accuracy"], abs=1e-4)
        commonest = max(variable.values, key=lambda value: films()[name].to_pylist().count(value))
        floor = sum(table[commonest].values()) / row["hidden_cells"]["hidden"]
        assert floor == pytest.approx(row["hidden_cells"]["accuracy_of_mode"], abs=1e-4)


def test_a_scarcer_ehr_hides_known_cells_and_counts_them_apart():
    scarce = RELEASED.model_copy(update={"hide_share": 0.4})
    variables = {"view": VIEW, "pos": POS, "age": AGE.model_copy(update={"missing": "error"})}
    images = films().append_column("age", pa.array(np.arange(170.0)))
    completed, report = impute_table(images, variables, scarce, 1)
    again, _ = impute_table(images, variables, scarce, 1)
    assert completed.equals(again)
    for name in ("view", "pos"):
        row = report["variables"][name]
        assert row["unknown"] == images[name].null_count
        assert row["hidden_on_purpose"] == pytest.approx(0.4 * (170 - row["unknown"]), abs=20)
        assert row["imputed"] == row["unknown"] + row["hidden_on_purpose"]
        assert completed[name].null_count == 0
    assert report["variables"]["age"]["hidden_on_purpose"] == 0
    assert completed["age"].equals(images["age"])


def test_cells_hidden_in_one_variable_do_not_depend_on_the_other_variables():
    scarce = RELEASED.model_copy(update={"hide_share": 0.4})
    alone = impute_table(films(), {"pos": POS}, scarce, 1)[1]["variables"]["pos"]
    beside = impute_table(films(), {"view": VIEW, "pos": POS}, scarce, 1)[1]["variables"]["pos"]
    assert alone["hidden_on_purpose"] == beside["hidden_on_purpose"] > 0


def test_nothing_is_hidden_unless_asked_for():
    _, report = impute_table(films(), {"view": VIEW, "pos": POS}, RELEASED, 1)
    assert {row["hidden_on_purpose"] for row in report["variables"].values()} == {0}


def test_an_empty_training_split_is_named():
    images = films().set_column(3, "split", pa.array(["test"] * 170))
    with pytest.raises(UserError, match=r"fit_on: train, but no image is in the train split and view has unknown"):
        impute_table(images, {"view": VIEW, "pos": POS}, CORRECTED, 1)
