"""The cohort: MIMIC-IV and MIMIC-CXR-JPG tables in, one row an image out, in DuckDB."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from mmsn.cohort import flow, linkage, radiologist, reading, splits, variables
from mmsn.cohort.database import cursors_of_cores, run_file, set_variable, side_by_side, table
from mmsn.cohort.schema import EXCLUSIONS, ROWS, images_schema
from mmsn.cohort.settings import CohortSettings
from mmsn.cohort.sources import Tables
from mmsn.cohort.streamed import create_views
from mmsn.cohort.tables import TABLES
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
        ehr: EHR variable -> file of its SQL statement (`variables.evaluations` says what it may read).
        settings: Linkage rule, views, labels, split.
        threads: Processor cores to use.

    Raises:
        UserError: Anything in the files that would make the cohort wrong, with file, column, row and value.
    """
    with cursors_of_cores(threads) as cursors:
        _hand_over(cursors, settings)
        _load(cursors, tables)
        create_views(cursors[0], tables.streamed)
        placing: list[Callable[[duckdb.DuckDBPyConnection], Any]]
        placing = [partial(_link, settings=settings), partial(_select, tables=tables, settings=settings)]
        linked, split_counts, numbers = side_by_side(cursors, [*placing, variables.numbers])
        values, results = _read_off(cursors, variables.evaluations(numbers, ehr))
    (counts,) = results["flow"].to_pylist()
    digest = results["split_hash"]["sha256"][0].as_py()
    with ThreadPoolExecutor(1) as beside:
        images = beside.submit(_images, values, results)
        counted = flow.count_flow(counts, values, settings, split_counts, synthetic=tables.synthetic is not None)
    if settings.assert_published:
        flow.check_published(counted)
    return Cohort(
        images.result().replace_schema_metadata(Split(DATA_SET, digest).metadata),
        results["exclusions"].cast(EXCLUSIONS),
        {"split_sha256": digest, **counted, "linkage": linked},
    )


def _hand_over(cursors: Sequence[duckdb.DuckDBPyConnection], settings: CohortSettings) -> None:
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
    for cursor in cursors:
        for name, value in given.items():
            set_variable(cursor, name, value)


def _load(cursors: Sequence[duckdb.DuckDBPyConnection], tables: Tables) -> None:
    """Read the tables, several at once; the images are put in order while other tables are read."""

    def load(cursor: duckdb.DuckDBPyConnection, name: str) -> None:
        reading.load(cursor, name, tables.loaded[name])
        if name == "metadata":
            _order_images(cursor)

    side_by_side(cursors, [partial(load, name=name) for name in TABLES if name in tables.loaded])


def _order_images(connection: duckdb.DuckDBPyConnection) -> None:
    """Make `images` from `metadata`, which PhysioNet ships in order."""
    _bring_in_order(connection, "metadata")
    run_file(connection, "images")


def _bring_in_order(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Sort a table that is hardly ever out of order: to see that it is not costs less than to sort it again."""
    if table(connection, f"{name}_disorder")["rows"][0].as_py():
        run_file(connection, f"{name}_order")


def _link(connection: duckdb.DuckDBPyConnection, settings: CohortSettings) -> dict[str, Any]:
    """Find which hospital stays cover each image; what `linkage.count_links` says of them."""
    for name in ("linkage", f"linkage_{settings.linkage}"):
        run_file(connection, name)
    return linkage.count_links(linkage.read_links(connection), settings)


def _select(connection: duckdb.DuckDBPyConnection, tables: Tables, settings: CohortSettings) -> dict[str, int]:
    """Find which split each image is in, its labels, and whether it stays."""
    for name in ("patients", "labels"):
        run_file(connection, name)
    counts = splits.assign(connection, tables, settings)
    if tables.test_labels:
        radiologist.relabel_test(connection)
    run_file(connection, "placed")
    _bring_in_order(connection, "placed")
    splits.check_none_is_empty(connection, tables, settings)
    return counts | (radiologist.count_test(connection, tables) if tables.test_labels else {})


def _read_off(
    cursors: Sequence[duckdb.DuckDBPyConnection], evaluations: Mapping[str, variables.Evaluation]
) -> tuple[dict[str, pa.ChunkedArray], dict[str, pa.Table]]:
    """The EHR variables of every image by name, and the results of `RESULTS`."""
    jobs: list[Callable[[duckdb.DuckDBPyConnection], Any]]
    jobs = [*(partial(table, name=name) for name in RESULTS), *evaluations.values()]
    with variables.joins_as_written(cursors[0]):
        found = side_by_side(cursors, jobs)
    results = dict(zip(RESULTS, found[: len(RESULTS)], strict=True))
    return dict(zip(evaluations, found[len(RESULTS) :], strict=True)), results


def _images(values: Mapping[str, pa.ChunkedArray], results: Mapping[str, pa.Table]) -> pa.Table:
    """images.parquet: the columns of the cohort's rows, all in the order of `images`."""
    kept, placement = results["kept"]["kept"], results["placement"]
    labels = results["label_values"].combine_chunks().take(placement["label_row"])
    columns = {name: column.filter(kept) for name, column in values.items()}
    for part in (results["identity"], placement, labels):
        columns |= dict(zip(part.column_names, part.columns, strict=True))
    schema = images_schema({name: column.type for name, column in values.items()})
    return pa.table([columns[field.name].cast(field.type) for field in schema], schema=schema)
