"""Unknown EHR values: imputed, masked or refused; and what is hidden never shows through."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mmsn.ehr import forest
from mmsn.ehr.codes import to_codes
from mmsn.ehr.hidden import hidden_cell_study, scarce
from mmsn.ehr.impute import Imputer
from mmsn.ehr.settings import ImputationSettings, Variable
from mmsn.ehr.tables import encode_table, impute_table
from mmsn.errors import UserError

POS = Variable(kind="categorical", values=("Erect", "Recumbent"))
ICU = Variable(kind="categorical", values=("icu", "not_icu"))
MORT = Variable(kind="categorical", values=("alive", "died"))
AGE = Variable(kind="continuous", range=(16, 100))
MASKED_ICU, MASKED_AGE = (variable.model_copy(update={"missing": "mask"}) for variable in (ICU, AGE))
RELEASED = ImputationSettings(model="regressor", fit_on="all")
CORRECTED = ImputationSettings(model="classifier", fit_on="train")


def images(**columns):
    count = len(next(iter(columns.values())))
    return pa.table({"dicom_id": [f"d{i}" for i in range(count)], "split": ["train"] * count, **columns})


class TestMask:
    def test_an_unknown_category_is_a_row_of_zeros(self):
        encoded = encode_table(images(icu=["not_icu", None, "icu"]), {"icu": MASKED_ICU})
        assert encoded.column_names == ["dicom_id", "icu", "not_icu"]
        assert [encoded["icu"].to_pylist(), encoded["not_icu"].to_pylist()] == [[0, 0, 1], [1, 0, 0]]

    def test_an_unknown_number_is_told_from_the_lowest_by_a_column_of_its_own(self):
        encoded = encode_table(images(age=[16.0, None, 58.0]), {"age": MASKED_AGE})
        assert encoded.column_names == ["dicom_id", "age", "age_known"]
        assert [encoded["age"].to_pylist(), encoded["age_known"].to_pylist()] == [[0, 0, 0.5], [1, 0, 1]]
        assert {field.type for field in encoded.schema if field.name != "dicom_id"} == {pa.float32()}

    def test_the_columns_announced_are_the_columns_made(self):
        assert MASKED_AGE.column_names("age") == ("age", "age_known")
        assert MASKED_ICU.column_names("icu") == ICU.column_names("icu") == ("icu", "not_icu")
        assert AGE.column_names("age") == ("age",)

    @pytest.mark.parametrize("chosen", [RELEASED, CORRECTED])
    def test_it_stays_unknown_beside_variables_that_are_imputed_and_may_help_them(self, chosen):
        table = images(icu=["icu", "not_icu", None] * 20, pos=["Recumbent", "Erect", "Erect"] * 19 + [None] * 3)
        helped = chosen.model_copy(update={"predictors": ("icu",)})
        completed, report = impute_table(table, {"icu": MASKED_ICU, "pos": POS}, helped, 1)
        assert completed["icu"].equals(table["icu"])
        assert completed["pos"].to_pylist()[-3:] == ["Recumbent", "Erect", "Erect"]
        row = report["variables"]["icu"]
        assert (row["missing"], row["unknown"], row["imputed"], row["left_unknown"]) == ("mask", 20, 0, 20)
        assert row["hidden_cells"] == {}

    def test_a_variable_that_is_never_known_can_be_masked(self):
        table = images(icu=pa.array([None] * 3, pa.string()))
        completed, _ = impute_table(table, {"icu": MASKED_ICU}, RELEASED, 1)
        assert encode_table(completed, {"icu": MASKED_ICU})["icu"].to_pylist() == [0, 0, 0]


@pytest.mark.parametrize("chosen", [RELEASED, CORRECTED])
def test_flags_of_unlinked_images_are_imputed_like_any_category(chosen):
    """`cohort.unlinked: unknown` leaves mort and icu unknown for images outside any stay."""
    random = np.random.default_rng(0)
    icu = np.where(random.random(300) < 0.3, "icu", "not_icu")
    mort = np.where((icu == "icu") & (random.random(300) < 0.9), "died", "alive")
    unlinked = random.random(300) < 0.2
    table = images(**{name: np.where(unlinked, None, flag).tolist() for name, flag in (("icu", icu), ("mort", mort))})
    completed, report = impute_table(table, {"icu": ICU, "mort": MORT}, chosen, 1)
    for name, variable in (("icu", ICU), ("mort", MORT)):
        assert completed[name].null_count == 0
        assert set(completed[name].to_pylist()) <= set(variable.values)
        assert report["variables"][name]["imputed"] == unlinked.sum()
        assert set(report["variables"][name]["hidden_confusion"]) == set(variable.values)
    encode_table(completed, {"icu": ICU, "mort": MORT})


def test_two_variables_with_a_column_of_the_same_name_are_refused():
    known = Variable(kind="continuous", range=(0, 1))
    table = images(age=[50.0], age_known=[1.0])
    with pytest.raises(UserError, match=r"variables\.age_known: another variable has the column 'age_known' too"):
        encode_table(table, {"age": MASKED_AGE, "age_known": known})


@pytest.mark.parametrize("table", ["labevents", "hosp/labevents.csv.gz", "../hosp/labevents", "hosp/"])
def test_a_table_is_named_by_folder_and_name(table):
    with pytest.raises(ValidationError, match="must be folder/name without an ending, such as hosp/labevents"):
        Variable(kind="continuous", range=(0, 1), tables=(table,))


def test_a_share_of_the_cells_is_hidden_in_what_is_imputed_and_what_is_masked_and_nowhere_else():
    strict = MORT.model_copy(update={"missing": "error"})
    variables = {"icu": MASKED_ICU, "pos": POS, "mort": strict}
    table = images(icu=["icu", "not_icu"] * 100, pos=["Erect", "Recumbent"] * 100, mort=["alive"] * 200)
    completed, report = impute_table(table, variables, RELEASED.model_copy(update={"hide_share": 0.3}), 1)
    assert report["hide_share"] == 0.3
    hidden = {name: row["hidden_on_purpose"] for name, row in report["variables"].items()}
    assert hidden["mort"] == 0
    assert 40 < hidden["icu"] < 80
    assert 40 < hidden["pos"] < 80
    assert completed["icu"].null_count == report["variables"]["icu"]["left_unknown"] == hidden["icu"]
    assert completed["pos"].null_count == 0
    assert report["variables"]["pos"]["imputed"] == hidden["pos"]


# --- what is hidden never shows through ----------------------------------------------------------------------------

VARIABLES = {"icu": ICU, "pos": POS, "age": AGE}
WORDS = {"icu": ["icu", "not_icu"], "pos": ["Erect", "Recumbent"], "age": [20.0, 50.0, 90.0]}
any_settings = st.builds(
    lambda model, fit_on, seed, share: ImputationSettings(
        model=model, fit_on=fit_on, seed=seed, hide_share=share, hidden_share=0.3, max_iter=2
    ),
    st.sampled_from(["regressor", "classifier"]),
    st.sampled_from(["all", "train"]),
    st.integers(0, 99),
    st.sampled_from([0.2, 0.5]),
)
any_rows = st.lists(
    st.tuples(*(st.sampled_from([*words, None]) for words in WORDS.values()), st.sampled_from(["train", "test"])),
    min_size=20,
    max_size=60,
)


@pytest.fixture
def few_trees(monkeypatch):
    monkeypatch.setattr(forest, "TREES", 4)


def table_of(rows):
    columns = dict(zip((*WORDS, "split"), zip(*rows, strict=True), strict=True))
    return pa.table({"dicom_id": [f"d{i}" for i in range(len(rows))], **columns})


def another_truth(columns, hidden, seed):
    """The same columns with other values, known and hidden ones alike, in the hidden cells."""
    random = np.random.default_rng(seed)
    codes = {name: np.arange(len(words)) if name != "age" else np.array(words) for name, words in WORDS.items()}
    return {n: np.where(hidden[n], random.choice(codes[n], len(c)), c) for n, c in columns.items()}


def unknown_only(before, after):
    return {name: np.isnan(after[name]) & ~np.isnan(before[name]) for name in before}


def learnable(columns, table, chosen):
    train = table["split"].to_numpy(zero_copy_only=False) == "train"
    fit_rows = train if chosen.fit_on == "train" else np.ones(len(train), bool)
    return fit_rows, fit_rows.any() and all(not np.isnan(column[fit_rows]).all() for column in columns.values())


@pytest.mark.usefixtures("few_trees")
@given(any_rows, any_settings, st.integers(0, 99))
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_a_scarce_ehr_hides_reaches_neither_the_fit_nor_an_image(rows, chosen, seed):
    table = table_of(rows)
    truth = to_codes(table, VARIABLES)
    given_to_it = scarce(truth, VARIABLES, chosen)
    fit_rows, possible = learnable(given_to_it, table, chosen)
    if not possible:
        return
    other = scarce(another_truth(truth, unknown_only(truth, given_to_it), seed), VARIABLES, chosen)
    imputer = Imputer(VARIABLES, chosen, 1)
    first, second = (imputer.complete(columns, fit_rows) for columns in (given_to_it, other))
    for name in VARIABLES:
        np.testing.assert_array_equal(first[name], second[name])


class Recording(Imputer):
    """Keeps what it was given and what it made of it."""

    def complete(self, columns, fit_rows):
        completed = super().complete(columns, fit_rows)
        object.__setattr__(self, "seen", (columns, completed))
        return completed


@pytest.mark.usefixtures("few_trees")
@given(any_rows, any_settings, st.integers(0, 99))
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_the_trial_hides_is_compared_with_and_never_learnt_from(rows, chosen, seed):
    table = table_of(rows)
    truth = to_codes(table, VARIABLES)
    fit_rows, possible = learnable(truth, table, chosen)
    first = Recording(VARIABLES, chosen, 1)
    if not possible or not first.wanted(truth, fit_rows):
        return
    hidden_cell_study(first, truth, fit_rows)
    hidden = unknown_only(truth, first.seen[0])
    second = Recording(VARIABLES, chosen, 1)
    hidden_cell_study(second, another_truth(truth, hidden, seed), fit_rows)
    for name in VARIABLES:
        np.testing.assert_array_equal(first.seen[1][name], second.seen[1][name])


def test_the_class_of_the_procedure_tells_the_view_without_being_in_a_feature_set():
    view = Variable(kind="categorical", values=("PA", "LATERAL", "AP", "LL"))
    procedure = Variable(kind="categorical", values=("portable", "two_views", "other"))
    ordered = ["portable", "two_views", "two_views"] * 60
    table = images(view=["AP", "PA", "LATERAL"] * 40 + ["AP", "PA", None] * 20, procedure=ordered)
    variables = {"view": view, "procedure": procedure}
    alone = impute_table(table, variables, CORRECTED, 1)[1]["variables"]["view"]["hidden_cells"]
    helped = CORRECTED.model_copy(update={"predictors": ("procedure",)})
    completed, report = impute_table(table, variables, helped, 1)
    assert report["predictors"] == ["procedure"]
    assert set(completed["view"].to_pylist()[122::3]) <= {"PA", "LATERAL"}
    assert report["variables"]["view"]["hidden_cells"]["accuracy"] > alone["accuracy"] + 0.2
