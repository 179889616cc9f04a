"""The radiologist's labels of the test split, which MIMIC-CXR-JPG 2.1.0 added.

`mimic-cxr-2.1.0-test-set-labeled.csv` lies uncompressed beside tables that are still named 2.0.0. It has `study_id`
(no `subject_id`) and the fourteen labels, of which Lung Opacity is called Airspace Opacity; cells are 1, 0, -1 or
blank, as in the labellers' tables, so the policy for uncertain labels holds here too. It has 687 studies of the
official test split. (The file is behind PhysioNet's credentials: this is what public code that reads it says, which
renames the column and joins on `study_id` alone.)
"""

import duckdb

from mmsn.cohort.database import rows, run_file
from mmsn.cohort.sources import Tables
from mmsn.errors import UserError


def relabel_test(connection: duckdb.DuckDBPyConnection) -> None:
    """Give the test split the radiologist's labels; `label_rows` is made anew."""
    run_file(connection, "labels_radiologist")


def count_test(connection: duckdb.DuckDBPyConnection, tables: Tables) -> dict[str, int]:
    """Count what the radiologist labelled, for flow.json.

    Raises:
        UserError: No image of the test split is labelled, so nothing could be evaluated.
    """
    ((images,),) = rows(
        connection, "SELECT count(*) FROM placed WHERE reason IS NULL AND split = 'test' AND label_row IS NOT NULL"
    )
    if not images:
        raise UserError(
            f"{tables.test_labels}: no study_id of it is in the cohort's test split; the radiologist read studies of"
            " the official one: choose split 'official', or test_labels 'labeller'"
        )
    test_study = "SELECT study_id FROM placed WHERE split = 'test'"
    ((studies, used),) = rows(
        connection, f"SELECT count(*), count(*) FILTER (study_id IN ({test_study})) FROM test_labels"
    )
    return {
        "the cohort: test, radiologist-labelled": images,
        "radiologist's labels: studies": studies,
        "radiologist's labels: studies outside the test split": studies - used,
    }
