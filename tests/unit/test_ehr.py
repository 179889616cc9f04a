"""Imputation, encoding and controls of the EHR."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsn.ehr.settings import ImputationSettings, Variable
from mmsn.ehr.tables import encode_table, impute_table
from mmsn.errors import UserError
from mmsn.training.controls import constant, shuffled

SEX = Variable(kind="categorical", values=("M", "F"), columns=("male", "female"))
AGE = Variable(kind="continuous", range=(16, 100))
VIEW = Variable(kind="categorical", values=("PA", "LATERAL", "AP", "LL"))
POS = Variable(kind="categorical", values=("Erect", "Recumbent"))
RELEASED = ImputationSettings(model="regressor", fit_on="all")
CORRECTED = ImputationSettings(model="classifier", fit_on="train")


def _images(view, pos, split=None, **more):
    n = len(view)
    return pa.table(
        {"dicom_id": [f"d{i}" for i in range(n)], "split": split or ["train"] * n, "view": view, "pos": pos, **more}
    )


def _radiographs(seed=0, n=400):
    """AP films are taken lying, PA and laterals standing; a few cells are unknown."""
    random = np.random.default_rng(seed)
    view = random.choice(["PA", "LATERAL", "AP"], n)
    pos = np.where((view == "AP") & (random.random(n) < 0.9), "Recumbent", "Erect")
    view = np.where(random.random(n) < 0.05, None, view)
    pos = np.where(random.random(n) < 0.1, None, pos)
    return _images(view.tolist(), pos.tolist())


def test_columns_come_in_the_papers_order():
    table = pa.table({"dicom_id": ["a", "b"], "sex": ["F", "M"], "age": [58.0, 16.0], "view": ["AP", "PA"]})
    encoded = encode_table(table, {"sex": SEX, "age": AGE, "view": VIEW})
    assert encoded.column_names == ["dicom_id", "male", "female", "age", "PA", "LATERAL", "AP", "LL"]
    assert list(encoded.to_pylist()[0].values()) == ["a", 0.0, 1.0, 0.5, 0.0, 0.0, 1.0, 0.0]
    assert {encoded.schema.field(name).type for name in encoded.column_names[1:]} == {pa.float32()}


@given(st.lists(st.sampled_from(["PA", "LATERAL", "AP", "LL"]), min_size=1, max_size=30))
def test_one_hot_rows_sum_to_one_and_name_their_value(values):
    table = pa.table({"dicom_id": [str(i) for i in range(len(values))], "view": values})
    for row, value in zip(encode_table(table, {"view": VIEW}).to_pylist(), values, strict=True):
        assert row.pop("dicom_id") is not None
        assert sum(row.values()) == 1
        assert row[value] == 1


def test_ages_outside_the_range_are_kept_and_counted():
    table = pa.table({"dicom_id": ["a", "b"], "split": ["train"] * 2, "age": [4.0, 100.0]})
    completed, report = impute_table(table, {"age": AGE}, RELEASED, 1)
    assert report["variables"]["age"]["outside_range"] == 1
    assert encode_table(completed, {"age": AGE})["age"].to_pylist() == pytest.approx([-12 / 84, 1.0])


def test_known_cells_are_never_changed_and_no_cell_stays_unknown():
    images = _radiographs()
    for settings in (RELEASED, CORRECTED):
        completed, report = impute_table(images, {"view": VIEW, "pos": POS}, settings, 1)
        for name in ("view", "pos"):
            known = images[name].is_valid().to_numpy()
            assert completed[name].null_count == 0
            before, after = images[name].to_numpy()[known], completed[name].to_numpy()[known]
            assert (before == after).all()
            assert report["variables"][name]["imputed"] == (~known).sum()


def test_the_released_imputation_is_scikit_learns_on_label_codes():
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    images = _radiographs()
    order = {"view": ["AP", "LATERAL", "LL", "PA"], "pos": ["Erect", "Recumbent"]}
    codes = np.array(
        [[np.nan if v is None else order[n].index(v) for v in images[n].to_pylist()] for n in ("view", "pos")]
    ).T
    imputer = IterativeImputer(estimator=RandomForestRegressor(random_state=24), max_iter=10, random_state=24)
    expected = imputer.fit_transform(codes).round().astype(int)
    completed, _ = impute_table(images, {"view": VIEW, "pos": POS}, RELEASED, 1)
    for column, name in enumerate(("view", "pos")):
        assert completed[name].to_pylist() == [order[name][code] for code in expected[:, column]]


def test_hidden_cells_are_imputed_better_than_by_the_mode():
    _, report = impute_table(_radiographs(n=1500), {"view": VIEW, "pos": POS}, CORRECTED, 1)
    study = report["variables"]["pos"]["hidden_cells"]
    assert study["hidden"] > 50
    assert study["accuracy"] > study["accuracy_of_mode"] + 0.1


def test_rows_outside_the_training_split_do_not_teach_the_corrected_imputer():
    train = _radiographs(seed=1, n=300)
    # in the test split everything is the other way round
    test = _images(["AP"] * 200, ["Erect"] * 199 + [None], split=["test"] * 200)
    both = pa.concat_tables([train, test.cast(train.schema)])
    completed, _ = impute_table(both, {"view": VIEW, "pos": POS}, CORRECTED, 1)
    assert completed["pos"].to_pylist()[-1] == "Recumbent"


def test_an_unknown_value_that_may_not_be_imputed_stops_the_run():
    table = pa.table({"dicom_id": ["a", "b"], "split": ["train"] * 2, "age": [50.0, None]})
    with pytest.raises(UserError, match=r"variables\.age: 1 of 2 values are unknown and missing is error"):
        impute_table(table, {"age": AGE.model_copy(update={"missing": "error"})}, RELEASED, 1)


def test_a_variable_that_is_never_known_stays_unknown_and_only_its_feature_sets_fail():
    images = _images(["AP", "PA", "AP"], pa.array([None] * 3, pa.string()))
    completed, _ = impute_table(images, {"view": VIEW, "pos": POS}, RELEASED, 1)
    assert completed["pos"].null_count == 3
    encode_table(completed, {"view": VIEW})
    with pytest.raises(UserError, match=r"variables\.pos: 3 of 3 values are unknown.*leave the feature sets"):
        encode_table(completed, {"pos": POS})


def test_a_value_outside_the_configuration_is_named():
    with pytest.raises(UserError, match=r"variables\.view: 1 images have the value 'LORDOTIC'"):
        impute_table(_images(["AP", "LORDOTIC"], ["Erect"] * 2), {"view": VIEW, "pos": POS}, RELEASED, 1)


def test_numbers_are_imputed_from_predictors():
    random = np.random.default_rng(0)
    view = random.choice(["PA", "AP"], 600)
    age = np.where(view == "AP", 80.0, 30.0) + random.normal(0, 2, 600)
    known = random.random(600) > 0.3
    table = _images(view.tolist(), ["Erect"] * 600, age=[a if k else None for a, k in zip(age, known, strict=True)])
    for settings in (RELEASED, CORRECTED):
        chosen = settings.model_copy(update={"predictors": ("view",)})
        completed, _ = impute_table(table, {"age": AGE, "view": VIEW}, chosen, 1)
        assert np.abs(completed["age"].to_numpy() - age)[~known].mean() < 3


@given(st.lists(st.integers(0, 6), min_size=4, max_size=60), st.integers(0, 100))
def test_a_shuffled_ehr_is_the_same_rows_at_other_patients(patients, seed):
    patients = np.array(patients)
    values = np.arange(2 * len(patients), dtype=np.float32).reshape(-1, 2)
    if 2 * np.bincount(patients).max() > len(patients):
        with pytest.raises(UserError, match="permuted across patients"):
            shuffled(values, patients, seed)
        return
    result = shuffled(values, patients, seed)
    assert sorted(map(tuple, result)) == sorted(map(tuple, values))
    giver = patients[(result[:, 0] / 2).astype(int)]
    assert (giver != patients).all()


def test_a_constant_ehr_says_nothing_about_a_row():
    values = np.random.default_rng(0).random((50, 3), dtype=np.float32)
    result = constant(values)
    assert (result == result[0]).all()
    np.testing.assert_allclose(result[0], values.mean(axis=0), rtol=1e-6)
