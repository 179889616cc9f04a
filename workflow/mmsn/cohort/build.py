"""The cohort: MIMIC-IV and MIMIC-CXR-JPG tables in, one row an image out, in DuckDB."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from mmsn.cohort import flow, reading, splits, variables
from mmsn.cohort.database import connect, run_file, side_by_side, table
from mmsn.cohort.schema import EXCLUSIONS, images_schema
from mmsn.cohort.settings import CohortSettings
from mmsn.cohort.sources import Tables

SPLIT_HASH = "mmsn.split_sha256"
"""Key of images.parquet's metadata: SHA-256 over the cohort's sorted patients and their splits."""
RESULTS = ("identity", "placement", "kept", "flow", "split_hash", "exclusions")
"""The queries that what is written comes from; the longest first."""
_UNCERTAIN = {"zero": 0, "one": 1, "ignore": None}


@dataclass(frozen=True)
class Cohort:
    """What the stage makes."""

    images: pa.Table
    """One row an image, sorted by patient, study, image; `schema.images_schema`."""
    exclusions: pa.Table
    """One row an image that was left out, with the reason; `schema.EXCLUSIONS`."""
    flow: dict[str, Any]
    """Counts of every step beside the published ones; `flow.count_flow`."""


def build(tables: Tables, ehr: Mapping[str, Path], settings: CohortSettings, threads: int) -> Cohort:
    """Join the tables into the cohort of SPEC 2.

    The order of the files' rows matters in one place only: `day` linkage keeps the last covering admission.

    Args:
        tables: The files, from `sources.find_tables`.
        ehr: EHR variable -> file of its SQL statement (`variables.evaluate` says what it may read).
        settings: Linkage rule, views, labels, split.
        threads: Processor cores to use.

    Raises:
        UserError: Anything in the files that would make the cohort wrong, with file, column, row and value.
    """
    with closing(connect(threads)) as connection:
        _hand_over(connection, settings)
        reading.load(connection, {name: path for name, path in vars(tables).items() if path}, threads)
        split_counts = _place(connection, tables, settings)
        values = variables.evaluate(connection, ehr, threads)
        jobs = [partial(table, name=name) for name in RESULTS]
        results = dict(zip(RESULTS, side_by_side(connection, jobs, threads), strict=True))
    counted = flow.count_flow(results["flow"].to_pylist()[0], values, settings, split_counts)
    digest = results["split_hash"]["sha256"][0].as_py()
    images = _images(values, results["kept"]["kept"], results["identity"], results["placement"])
    return Cohort(
        images.replace_schema_metadata({SPLIT_HASH: digest}),
        results["exclusions"].cast(EXCLUSIONS),
        {"split_sha256": digest, **counted},
    )


def _hand_over(connection: duckdb.DuckDBPyConnection, settings: CohortSettings) -> None:
    """Give the settings to the SQL files, which read them with `getvariable`."""
    train, validate, _ = settings.split_fractions
    given = {
        "views": list(settings.views),
        "uncertain_label": _UNCERTAIN[settings.uncertain],
        "train_share": train,
        "validate_share": validate,
        "split_seed": settings.split_seed,
    }
    for name, value in given.items():
        connection.execute(f"SET VARIABLE {name} = ?", [value])


def _place(connection: duckdb.DuckDBPyConnection, tables: Tables, settings: CohortSettings) -> dict[str, int]:
    """Place every image: when it was taken, what covers it, which split, whether it stays."""
    for name in ("images", f"linkage_{settings.linkage}", "covers", "labels"):
        run_file(connection, name)
    split_counts = splits.assign(connection, tables, settings)
    run_file(connection, "cohort")
    splits.check_none_is_empty(connection, tables, settings)
    return split_counts


def _images(values: Mapping[str, pa.ChunkedArray], kept: pa.ChunkedArray, *parts: pa.Table) -> pa.Table:
    """images.parquet: the columns of the cohort's rows, all in the order of `images`."""
    columns = {name: column.filter(kept) for name, column in values.items()}
    for part in parts:
        columns |= dict(zip(part.column_names, part.columns, strict=True))
    schema = images_schema({name: column.type for name, column in values.items()})
    return pa.table([columns[field.name].cast(field.type) for field in schema], schema=schema)
