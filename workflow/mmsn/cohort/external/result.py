"""What external sets end with: the same three results as MIMIC's cohort, from the table `images` of a database."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import duckdb
import pyarrow as pa

from mmsn.cohort.build import Cohort
from mmsn.cohort.database import rows, table
from mmsn.cohort.flow import stage, step
from mmsn.cohort.leaks import check_leaks
from mmsn.cohort.schema import EXCLUSIONS, IDENTITY
from mmsn.cohort.splits import SPLITS
from mmsn.errors import UserError
from mmsn.labels import LABEL_SETS
from mmsn.lineage import LABEL_NAMES, Split
from mmsn.settings import Section

VARIABLES: Final = pa.schema(
    [
        pa.field("sex", pa.string()),
        pa.field("age", pa.float64()),
        pa.field("view", pa.string()),
        pa.field("pos", pa.string()),
        pa.field("mort", pa.string()),
        pa.field("icu", pa.string()),
    ]
)
"""The EHR variables in MIMIC's raw words; the last three are null throughout, neither set records them."""


def images_schema(names: Sequence[str]) -> pa.Schema:
    """Schema of an external set's images.parquet: identity, variables, and the labels of those names."""
    labels = [pa.field(name, pa.float32()) for name in names]
    return pa.schema([*IDENTITY, *VARIABLES, *labels])


def finish(
    connection: duckdb.DuckDBPyConnection,
    data_set: str,
    settings: Section,
    steps: list[dict[str, Any]],
    published: Mapping[str, int],
    labels: Sequence[str] = (),
) -> Cohort:
    """Make the results and check them.

    Args:
        connection: Holds the table `images`: the columns of `images_schema`, and `reason`, which is null where an
            image stays.
        data_set: Its name.
        settings: Go into flow.json.
        steps: Lines of flow.json that precede the sizes of the splits.
        published: Split -> its published size.
        labels: Names of the labels in order; those of `LABEL_SETS` where none are given.

    Raises:
        UserError: An image stands in the tables twice (says its rows, dicom_id and paths), or a patient is in two
            splits.
    """
    connection.execute("CREATE VIEW placed AS SELECT rowid AS image, subject_id, split, reason FROM images")
    names = tuple(labels) or LABEL_SETS[data_set].names
    schema = images_schema(names)
    columns = ", ".join(f'"{name}"' for name in schema.names)
    stay = connection.sql(f"SELECT {columns} FROM images WHERE reason IS NULL ORDER BY subject_id, study_id, dicom_id")
    ((digest,),) = table(connection, "split_hash").to_pydict().values()
    said = Split(data_set, digest).metadata | ({LABEL_NAMES: json.dumps(names)} if labels else {})
    images = stay.to_arrow_table().cast(schema).replace_schema_metadata(said)
    check_leaks({data_set: images})  # first: an image in two splits is worse than one that stands twice in one
    _refuse_repeats(connection, data_set)
    sizes = dict(rows(connection, "SELECT split, count(*) FROM placed WHERE reason IS NULL GROUP BY split"))
    kept = {split: step(f"kept: {split}", sizes.get(split, 0), published.get(split)) for split in SPLITS}
    left = rows(connection, "SELECT reason, count(*) FROM placed WHERE reason IS NOT NULL GROUP BY reason ORDER BY ALL")
    diagram = {
        "stages": [
            stage("In the tables", steps, [step(reason, count) for reason, count in left]),
            stage("Kept", [step("images", len(images))]),
        ],
        "splits": [stage(split, [counts | {"step": "images"}]) for split, counts in kept.items()],
    }
    steps = [*steps, *kept.values()]
    flow = {
        "split_sha256": digest,
        "settings": settings.model_dump(mode="json"),
        "parts_at": next((line["step"] for line in steps if line["difference"]), None),
        "steps": steps,
        "diagram": diagram,
        "positives": _positives(connection, names),
    }
    return Cohort(images, table(connection, "exclusions").cast(EXCLUSIONS), flow)


def _refuse_repeats(connection: duckdb.DuckDBPyConnection, data_set: str) -> None:
    """Stop where two rows have one `dicom_id`: everything later joins on it."""
    repeated = (
        "SELECT dicom_id, list(rowid + 1 ORDER BY rowid)[:2], list(path ORDER BY rowid)[:2] FROM images"
        " GROUP BY dicom_id HAVING count(*) > 1 ORDER BY dicom_id LIMIT 1"
    )
    for image, numbers, paths in rows(connection, repeated):
        raise UserError(
            f"{data_set}: rows {numbers[0]} and {numbers[1]} of the joined tables have one dicom_id '{image}'"
            f" (paths '{paths[0]}' and '{paths[1]}'); remove one of the two images, or rename its file"
        )


def _positives(connection: duckdb.DuckDBPyConnection, names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Label -> split -> images that have it."""
    counts = ", ".join(f'count(*) FILTER ("{name}" = 1)' for name in names)
    by_split = rows(connection, f"SELECT split, {counts} FROM images WHERE reason IS NULL GROUP BY split")
    found = {split: dict(zip(names, numbers, strict=True)) for split, *numbers in by_split}
    return {name: {split: found[split][name] for split in SPLITS if split in found} for name in names}
