"""What the statistics read: predictions, descriptions of runs, and the published results."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mmsn.errors import UserError
from mmsn.reporting.predictions import Predictions, check_same_test_set, from_table
from mmsn.reporting.published import published, published_order
from mmsn.reporting.runs import RunDescription, parse_runs
from mmsn.reporting.schemas import METRICS
from tests.unit.test_reporting import describe, fake_study, long_form


def test_published_marks_fit_the_reading_of_their_two_levels() -> None:
    rows = published()
    z: dict[str, list[float]] = {"∗": [], "†": [], "": []}
    for _, table in rows.groupby(["table", "dataset"]):
        if not (table[["auroc_mark", "auprc_mark"]] != "").any(axis=None):
            continue
        reference = table[table["pretraining"] == "MSN"].iloc[0]
        for _, row in table[table["pretraining"] == "MSN+EHR"].iterrows():
            for metric in METRICS:
                widths = [one[f"{metric}_hi"] - one[f"{metric}_lo"] for one in (row, reference)]
                error = np.hypot(*widths) / (2 * stats.norm.ppf(0.975))
                z[row[f"{metric}_mark"]].append((row[metric] - reference[metric]) / error)
    assert sum(value < 4.3 for value in z["∗"]) == 1
    assert sum(not 2.1 < value < 3.2 for value in z["†"]) == 1
    assert max(z[""]) < 1.9


def test_published_results_are_complete_and_in_the_papers_order() -> None:
    rows = published()
    assert len(rows) == 246
    assert rows[["auroc", "auroc_lo", "auroc_hi", "auprc"]].notna().all(axis=None)
    assert set(rows.loc[~rows["label_certain"], "feature_set"]) == {"mort", "icu", "D+SM", "D+SI", "SM+SI"}
    assert list(published_order())[:5] == [("ImageNet", ""), ("DINO", ""), ("MAE", ""), ("MSN", ""), ("MSN+EHR", "sex")]


def test_published_results_are_the_shared_ones() -> None:
    shared = Path(__file__).parents[3] / "shared/paper/published_results.csv"
    if not shared.exists():
        pytest.skip("SKIPPED: ../shared/paper is not there: our copy of the published results is not compared")
    ours = Path(__file__).parents[2] / "workflow/mmsn/reporting/published_results.csv"
    assert ours.read_bytes() == shared.read_bytes()


def test_runs_on_different_test_sets_are_refused_by_name() -> None:
    first = fake_study({"msn": 1.0}).judged[0][1]
    fewer = Predictions(first.images[1:], first.patients[1:], first.labels, first.targets[1:], first.scores[1:])
    others = {
        "150 and 149 images, 1 only in the first, 0 only in the second": fewer,
        "targets differ, the first of them for Atelectasis": replace(first, targets=1 - first.targets),
        "another patient": replace(first, patients=first.patients + 1),
        "only one of them has the labels": replace(first, labels=("Other", *first.labels[1:])),
    }
    for difference, other in others.items():
        with pytest.raises(UserError, match="runs a and b were not judged on the same test set") as caught:
            check_same_test_set(first, other, ("a", "b"))
        assert difference in str(caught.value)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_stored_rows_means_nothing(seed: int) -> None:
    predictions = fake_study({"msn": 1.0}, images=12).judged[0][1]
    read = from_table(long_form(predictions, seed), "predictions.parquet")
    check_same_test_set(predictions, read, ("written", "read"))
    assert np.array_equal(predictions.scores, read.scores)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda table: table.drop_columns(["score"]), "column score is missing"),
        (lambda table: table.slice(1), "every image needs each label exactly once"),
        (lambda table: pa.concat_tables([table.slice(1), table.slice(1, 1)]), "exactly once"),
        (lambda table: _set(table, "score", np.nan), "column score, label .*: 1 values are not finite"),
        (lambda table: _set(table, "target", 2), "column target, label .*: 1 values are not 0, 1 or null"),
        (lambda table: _set(table, "subject_id", 1), "belongs to two patients"),
    ],
)
def test_impossible_predictions_are_refused_without_naming_a_patient(spoil, complaint: str) -> None:
    table = spoil(long_form(fake_study({"msn": 1.0}, images=12).judged[0][1]))
    with pytest.raises(UserError, match=complaint) as caught:
        from_table(table, "predictions.parquet")
    assert "image-" not in str(caught.value)


def _set(table: pa.Table, column: str, value: float) -> pa.Table:
    """The table with another first value in a column."""
    place = table.column_names.index(column)
    values = [value, *table.column(column).to_pylist()[1:]]
    return table.set_column(place, column, pa.array(values, table.schema.field(column).type))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "--runs: not JSON"),
        ("[]", "the list is empty"),
        ('[{"id": "a"}]', "--runs: run 1: backbone: Field required"),
        (json.dumps([describe("msn").model_dump(mode="json")] * 2), "'vit-small/msn/seed0' is given twice"),
    ],
)
def test_run_descriptions_are_checked(text: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        parse_runs(text, RunDescription)
