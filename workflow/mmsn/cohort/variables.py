"""EHR variables: one SQL statement each, given as data, run and checked the same way whatever it computes."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.types as kinds

from mmsn.cohort.schema import IDENTITY
from mmsn.cohort.streamed import fault_in_file
from mmsn.errors import UserError
from mmsn.labels import LABELS

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_NUMBERED = "hash(dicom_id) AS image"
"""A hash of 64 bits stands for the 44 letters of an id, which take longer to hand over than most variables to compute.
That two of MIMIC-CXR's ids have one hash is as likely as 1 in 10^8, and would stop the run as a repeat."""
_AS_WRITTEN = "join_order,build_side_probe_side"
"""Steps of DuckDB's optimizer that choose which side of a join is kept in memory. They guess a gzipped file to be a few
dozen rows, and would keep a table of a hundred million."""

Evaluation = Callable[[duckdb.DuckDBPyConnection], pa.ChunkedArray]
"""What gives the values of a variable."""


def numbers(connection: duckdb.DuckDBPyConnection) -> pa.ChunkedArray:
    """The images, in their order, by the numbers that `evaluations` knows them by."""
    return connection.sql(f"SELECT {_NUMBERED} FROM images").to_arrow_table()["image"]


def evaluations(images: pa.ChunkedArray, variables: Mapping[str, Path]) -> dict[str, Evaluation]:
    """The work of evaluating each variable for every image, for `side_by_side` under `joins_as_written`.

    A statement selects `dicom_id` and `value` (text, number or boolean; NULL or no row = unknown) from

    - `images`: dicom_id, subject_id, study_id, study_date DATE, study_time TIMESTAMP, view_position,
      orientation; `patients`: subject_id, gender, anchor_age, anchor_year;
    - `admissions`: subject_id, hadm_id, admittime, dischtime, edregtime, hospital_expire_flag, race (called
      `ethnicity` in MIMIC-IV 1.0), in file order (`rowid`);
    - `icustays`: subject_id, hadm_id, stay_id, intime, outtime;
    - `study_moment`: image (a number), dicom_id, subject_id, linked_at (NULL: the linkage rule cannot place the study
      in time); what the rule found: `admission_cover`: image, hospital_expire_flag, and `icu_cover`: image;
      `covering_admission`: image, hadm_id, precedence, of which the one with the largest precedence counts;
    - `raw_metadata`, `raw_patients`, `raw_admissions`, `raw_icustays`: every column of the files, as text;
    - the tables that the variable's line in the configuration names: `hosp.labevents` where it says `hosp/labevents`,
      of any size. A join keeps what stands on its right in memory and lets what stands on its left stream past, so
      write `FROM hosp.labevents JOIN images`.

    Args:
        images: What `numbers` gives.
        variables: Name of the variable -> its statement's file.

    Returns:
        Name -> what gives its values, one an image in the order of the images: string, or float64 for numbers and
        booleans. It raises UserError where a statement fails, or gives an image twice or an unknown image.

    Raises:
        UserError: A name cannot be a column.
    """
    for name in variables:
        _check_name(name)
    return {name: partial(_evaluate_one, images=images, name=name, path=path) for name, path in variables.items()}


@contextmanager
def joins_as_written(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Keep in memory the side of a join that a statement says, in every query of the database."""
    connection.execute(f"SET disabled_optimizers = '{_AS_WRITTEN}'")
    yield
    connection.execute("RESET disabled_optimizers")


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UserError(f"EHR variable '{name}': use a name of small letters, digits and _, a letter first")
    if name in IDENTITY.names or name in LABELS:
        raise UserError(f"EHR variable '{name}': images.parquet has that column already; choose another name")


def _evaluate_one(
    connection: duckdb.DuckDBPyConnection, images: pa.ChunkedArray, name: str, path: Path
) -> pa.ChunkedArray:
    where = f"EHR variable '{name}': {path}"
    try:
        computed = connection.sql(_statement(path, where))
        if sorted(computed.columns) != ["dicom_id", "value"]:
            raise UserError(f"{where} selects {', '.join(computed.columns)}; it must select dicom_id and value")
        rows = computed.project(f"{_NUMBERED}, value").to_arrow_table()
        if not rows["image"].equals(images):
            rows = _sorted_out(connection, rows)
    except duckdb.Error as error:
        fault = fault_in_file(error) or f"{str(error).splitlines()[0]}; correct the SQL"
        raise UserError(f"{where}: {fault}") from error
    if unknown := rows["image"].null_count:
        raise UserError(f"{where} gives {unknown:,} rows whose dicom_id is no image; select from `images`")
    if repeats := len(rows) - len(images):
        raise UserError(f"{where} gives {repeats:,} rows of images it has given before; select one value an image")
    return _plain(rows["value"], where)


def _statement(path: Path, where: str) -> str:
    """The one statement of a file, without its closing semicolon."""
    try:
        statements = duckdb.extract_statements(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{where} cannot be read: {error}; correct the path or the file") from error
    if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
        raise UserError(f"{where} holds {len(statements)} statements; an EHR variable is exactly one SELECT")
    return str(statements[0].query).strip().rstrip(";")


def _sorted_out(connection: duckdb.DuckDBPyConnection, computed: pa.Table) -> pa.Table:
    """The values in the order of the images, with a NULL where the statement gives none.

    The join is full, so that it keeps what does not belong: the row of an unknown image, whose number becomes NULL, and
    every row of an image that is given twice.
    """
    connection.register("computed", computed)
    joined = connection.sql(
        f"SELECT images.image, computed.value FROM (SELECT {_NUMBERED}, rowid AS place FROM images) AS images"
        " FULL JOIN computed USING (image) ORDER BY images.place"
    ).to_arrow_table()
    connection.unregister("computed")
    return joined


def _plain(values: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    """Text as string, numbers and booleans as float64."""
    kind = values.type
    if kinds.is_string(kind):
        return _copy(values)
    if kinds.is_boolean(kind):
        return _copy(values).cast(pa.uint8()).cast(pa.float64())
    if kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_decimal(kind):
        return _copy(values).cast(pa.float64())
    raise UserError(f"{where} gives values of type {kind}; select text, a number or a boolean")


def _copy(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of its own: as DuckDB hands it over, it keeps the memory of the dicom_ids beside it alive."""
    chunks = [pa.concat_arrays([chunk, chunk.slice(0, 0)]) for chunk in values.chunks]
    return pa.chunked_array(chunks, values.type)
