"""The cohort: MIMIC-IV and MIMIC-CXR-JPG tables in, one row an image out, in DuckDB."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from mmsn.cohort import flow, linkage, radiologist, reading, splits, variables
from mmsn.cohort.database import connect, run_file, set_variable, side_by_side, table
from mmsn.cohort.schema import EXCLUSIONS, ROWS, images_schema
from mmsn.cohort.settings import CohortSettings
from mmsn.cohort.sources import Tables
from mmsn.cohort.streamed import create_views
from mmsn.labels import LABELS
from mmsn.lineage import Split

DATA_SET = "mimic-cxr"
RESULTS = ("identity", "placement", "label_values", "kept", "flow", "split_hash", "exclusions")
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

    @property
    def rows(self) -> pa.Table:
        """The columns `schema.ROWS` of `images`, with its metadata: what is left is equal under other labels."""
        return self.images.select(list(ROWS))

    @property
    def records(self) -> pa.Table:
        """`images` without labels: what imputation and feature tables are made of, equal under other labels."""
        without = [name for name in self.images.column_names if name not in ("labelled", *LABELS)]
        return self.images.select(without)


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
        reading.load(connection, tables.loaded, threads)
        create_views(connection, tables.streamed)
        split_counts = _place(connection, tables, settings)
        values = variables.evaluate(connection, ehr, threads)
        jobs = [partial(table, name=name) for name in RESULTS]
        results = dict(zip(RESULTS, side_by_side(connection, jobs, threads), strict=True))
        links = linkage.read_links(connection)
    (counts,) = results["flow"].to_pylist()
    counted = flow.count_flow(counts, values, settings, split_counts, synthetic=tables.synthetic is not None)
    if settings.assert_published:
        flow.check_published(counted)
    digest = results["split_hash"]["sha256"][0].as_py()
    images = _images(values, results)
    return Cohort(
        images.replace_schema_metadata(Split(DATA_SET, digest).metadata),
        results["exclusions"].cast(EXCLUSIONS),
        {"split_sha256": digest, **counted, "linkage": linkage.count_links(links, settings)},
    )


def _hand_over(connection: duckdb.DuckDBPyConnection, settings: CohortSettings) -> None:
    """Give the settings to the SQL files, which read them with `getvariable`."""
    train, validate, _ = settings.split_fractions
    given = {
        "views": list(settings.views),
        "uncertain_label": _UNCERTAIN[settings.uncertain],
        "unlinked": settings.unlinked,
        "train_share": train,
        "validate_share": validate,
        "split_seed": settings.split_seed,
    }
    for name, value in given.items():
        set_variable(connection, name, value)


def _place(connection: duckdb.DuckDBPyConnection, tables: Tables, settings: CohortSettings) -> dict[str, int]:
    """Place every image: when it was taken, what covers it, which split, whether it stays."""
    for name in ("images", "linkage", f"linkage_{settings.linkage}", "labels"):
        run_file(connection, name)
    counts = splits.assign(connection, tables, settings)
    if tables.test_labels:
        radiologist.relabel_test(connection)
    run_file(connection, "cohort")
    splits.check_none_is_empty(connection, tables, settings)
    return counts | (radiologist.count_test(connection, tables) if tables.test_labels else {})


def _images(values: Mapping[str, pa.ChunkedArray], results: Mapping[str, pa.Table]) -> pa.Table:
    """images.parquet: the columns of the cohort's rows, all in the order of `images`."""
    kept, placement = results["kept"]["kept"], results["placement"]
    labels = results["label_values"].combine_chunks().take(placement["label_row"])
    columns = {name: column.filter(kept) for name, column in values.items()}
    for part in (results["identity"], placement, labels):
        columns |= dict(zip(part.column_names, part.columns, strict=True))
    schema = images_schema({name: column.type for name, column in values.items()})
    return pa.table([columns[field.name].cast(field.type) for field in schema], schema=schema)
