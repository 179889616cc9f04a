"""Reading a split of the user's own: a CSV or Parquet table of patients or images and where they go."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq

from mmsn.errors import UserError

KEYS: Final = ("dicom_id", "subject_id")
"""Columns that say whose split a row gives; where a table has both, the image's."""
_WORDS: Final[Mapping[str, str]] = {
    "train": "train",
    "validate": "validate",
    "val": "validate",
    "valid": "validate",
    "validation": "validate",
    "test": "test",
}
"""What a cell may say, and the split that it means."""


def read_split_file(path: Path) -> pa.Table:
    """Read the rows of a split.

    Returns:
        `dicom_id` (string) or `subject_id` (int64), `split` (train, validate, test), and `row`, the number of the row
        in the file: a CSV file's header is row 1, a Parquet table's first row is.

    Raises:
        UserError: The file cannot be read, lacks a column, has a bad cell, or says `validate` in two ways.
    """
    columns = _columns(path)
    key = next((name for name in KEYS if name in columns), None)
    if key is None or "split" not in columns:
        raise UserError(
            f"{path}: columns {', '.join(columns) or 'none'}; a split needs the columns subject_id and split, or"
            " dicom_id and split"
        )
    table = _as_text(path, [key, "split"])
    if len(table) == 0:
        raise UserError(f"{path} has no row; list every patient with images")
    first = 1 if _is_parquet(path) else 2
    id_is = "a subject_id such as 10000032" if key == "subject_id" else "a dicom_id"
    ids, words = table[key], table["split"]
    _refuse(path, key, ids, _is_id(ids, key), id_is, first)
    _refuse(path, "split", words, pc.is_in(words, pa.array(list(_WORDS))), "train, validate or test", first)
    _refuse_two_words(path, words, first)
    return pa.table(
        {
            key: ids.cast(pa.int64()) if key == "subject_id" else ids,
            "split": pa.array([_WORDS[word] for word in words.to_pylist()], pa.string()),
            "row": pa.array(range(first, first + len(table)), pa.int64()),
        }
    )


def _is_parquet(path: Path) -> bool:
    return path.suffix == ".parquet"


def _columns(path: Path) -> list[str]:
    try:
        if _is_parquet(path):
            return list(pq.read_schema(path).names)
        with csv.open_csv(path) as opened:
            return list(opened.schema.names)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def _as_text(path: Path, names: list[str]) -> pa.Table:
    """Two columns of the table, every cell as text; a blank cell is null."""
    text = dict.fromkeys(names, pa.string())
    options = csv.ConvertOptions(include_columns=names, column_types=text, strings_can_be_null=True, null_values=[""])
    try:
        if _is_parquet(path):
            return pq.read_table(path, columns=names).cast(pa.schema(text))
        return csv.read_csv(path, convert_options=options)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} cannot be read as a table: {str(error).splitlines()[0]}; write it again")


def _is_id(ids: pa.ChunkedArray, key: str) -> pa.ChunkedArray:
    if key == "subject_id":
        return pc.match_substring_regex(ids, r"^[0-9]{1,18}$")
    return pc.is_valid(ids)


def _refuse(path: Path, column: str, cells: pa.ChunkedArray, good: pa.ChunkedArray, must_be: str, first: int) -> None:
    """Report the first cell that is not `good`."""
    good = pc.fill_null(good, False)
    if pc.all(good).as_py():
        return
    place = pc.index(good, False).as_py()
    value = cells[place].as_py()
    shown = "blank" if value is None else f"'{value}'"
    raise UserError(f"{path}: row {first + place}, column {column}: {shown} must be {must_be}; correct the cell")


def _refuse_two_words(path: Path, words: pa.ChunkedArray, first: int) -> None:
    """`val` and `validate` in one table are likelier two sources pasted together than one split."""
    used = [word for word, split in _WORDS.items() if split == "validate" and pc.index(words, word).as_py() >= 0]
    if len(used) > 1:
        rows = [f"'{word}' (row {first + pc.index(words, word).as_py()})" for word in used]
        raise UserError(f"{path}: column split: {' and '.join(rows)} stand for one split; use one word for it")
