"""The imputation table says how many values were filled and whether that beats the plain guess."""

import pytest

from mmsn.errors import UserError
from mmsn.reporting.imputation_table import imputation_tables
from mmsn.reporting.layout import to_html, to_markdown

REPORT = {
    "model": "regressor",
    "fitted_on": "all",
    "predictors": [],
    "hide_share": 0,
    "images": 1380,
    "variables": {
        "age": {
            "unknown": 10,
            "hidden_on_purpose": 0,
            "imputed": 10,
            "left_unknown": 0,
            "hidden_cells": {"hidden": 30, "mean_absolute_error": 12.5, "mean_absolute_error_of_mean": 14.0},
        },
        "pos": {
            "unknown": 151,
            "hidden_on_purpose": 7,
            "imputed": 158,
            "left_unknown": 0,
            "hidden_cells": {"hidden": 121, "accuracy": 0.8, "accuracy_of_mode": 0.7},
            "hidden_confusion": {"Erect": {"Erect": 70, "Recumbent": 5}, "Recumbent": {"Erect": 20, "Recumbent": 26}},
        },
        "sex": {"unknown": 0, "hidden_on_purpose": 0, "imputed": 0, "left_unknown": 0, "hidden_cells": {}},
        "bmi": {"unknown": 900, "hidden_on_purpose": 0, "imputed": 0, "left_unknown": 900, "hidden_cells": {}},
    },
}


def test_each_variable_has_its_share_imputed_right_and_the_floor():
    first, _ = imputation_tables(REPORT, "imputation.json")
    rows = {row.cells[0].text: [cell.text for cell in row.cells[1:]] for row in first.rows}
    assert rows["pos"] == ["151", "7", "158", "0", "121", "0.800", "0.700"]
    assert rows["age"] == ["10", "0", "10", "0", "30", "12.500", "14.000"]
    assert rows["sex"] == ["0", "0", "0", "0", "", "", ""]
    assert rows["bmi"] == ["900", "0", "0", "900", "", "", ""]


def test_confusions_put_true_against_imputed_values():
    tables = imputation_tables(REPORT, "imputation.json", "synthetic")
    assert len(tables) == 2
    assert [[cell.text for cell in row.cells] for row in tables[1].rows] == [
        ["Erect", "70", "5"],
        ["Recumbent", "20", "26"],
    ]
    assert "synthetic" in to_html(tables)
    assert "Recumbent" in to_markdown(tables)


def test_the_caption_says_what_helped_and_what_was_hidden():
    plain, _ = imputation_tables(REPORT, "imputation.json")
    assert "helped" not in " ".join(plain.caption)
    assert "scarcer" not in " ".join(plain.caption)
    other, _ = imputation_tables({**REPORT, "predictors": ["age", "procedure"], "hide_share": 0.4}, "imputation.json")
    assert "helped by age, procedure" in other.caption[0]
    assert "40% of the known values were hidden on purpose" in other.caption[1]


def test_a_file_without_variables_is_named():
    with pytest.raises(UserError, match=r"imputation\.json: no key 'variables'"):
        imputation_tables({}, "imputation.json")
