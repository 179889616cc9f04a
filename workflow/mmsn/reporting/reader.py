"""Files of predictions, read one after another: what they share is read and arranged once."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mmsn.errors import UserError
from mmsn.files import read_schema, read_table
from mmsn.reporting.predictions import Predictions, facts_of_file, from_table, refuse_impossible

_ROWS: Final = ("dicom_id", "subject_id", "label", "target")


@dataclass(frozen=True)
class _Arranged:
    """A file's predictions, and the place of each of its rows among the images and labels [N, L]."""

    predictions: Predictions
    cells: NDArray[np.int64]
    rows: pa.Table
    """What every run of the test set has in common."""


class Reader:
    """Reads files of predictions of one test set.

    Runs of a study list the same images, patients, labels and targets in the same rows, and the same values are the
    same bytes of a Parquet file. So where those columns' bytes are known, the scores alone are read: a seventh of the
    time. Any other file is read and arranged by itself.
    """

    def __init__(self) -> None:
        """Nothing has been read."""
        self._known: dict[str, _Arranged] = {}
        self._readings: tuple[Path, pa.Table] | None = None

    def read(self, path: Path, reading: str | None = None) -> Predictions:
        """The predictions of a file, or of one reading of a file that has several.

        Raises:
            UserError: no such file, a damaged one, or what `predictions.from_table` refuses.
        """
        if not path.exists():
            raise UserError(f"{path} does not exist; evaluate that run first")
        if reading is not None:
            return self._reading(self._rows_of(path, reading), str(path))
        rows = _digest(path)
        if rows not in self._known:
            self._known = {rows: _arranged(read_table(path), str(path))}
            return self._known[rows].predictions
        return _with_scores(self._known[rows], read_table(path, ["score"]), str(path))

    def _reading(self, table: pa.Table, source: str) -> Predictions:
        for known in self._known.values():
            if all(known.rows[name].equals(table[name]) for name in _ROWS):
                return _with_scores(known, table, source)
        self._known = {f"reading of {source}": _arranged(table, source)}
        return self._known[f"reading of {source}"].predictions

    def _rows_of(self, path: Path, reading: str) -> pa.Table:
        """Readings of an encoder follow each other, so the last file is kept."""
        if self._readings is None or self._readings[0] != path:
            self._readings = path, read_table(path)
        table = self._readings[1]
        return table.filter(pc.equal(table["reading"], reading))


def _arranged(table: pa.Table, source: str) -> _Arranged:
    predictions = from_table(table, source)
    places = [
        pc.index_in(table[name].cast(pa.string()), pa.array(values)).to_numpy().astype(np.int64)
        for name, values in (("dicom_id", predictions.images.tolist()), ("label", predictions.labels))
    ]
    return _Arranged(predictions, places[0] * len(predictions.labels) + places[1], table.select(_ROWS))


def _with_scores(known: _Arranged, table: pa.Table, source: str) -> Predictions:
    first = known.predictions
    scores = np.empty(first.scores.size)
    scores[known.cells] = table["score"].to_numpy()
    arranged = scores.reshape(first.scores.shape)
    refuse_impossible(first.targets, arranged, list(first.labels), source)
    return replace(first, scores=arranged, **facts_of_file(table))


def _digest(path: Path) -> str:
    """Of the bytes of all columns but the scores and what it takes to read them; the path where a column is missing."""
    schema, total = read_schema(path), hashlib.sha256()
    with pq.ParquetFile(path) as file, path.open("rb") as opened:
        names = [file.metadata.schema.column(place).path for place in range(file.metadata.num_columns)]
        if not set(names) >= {*_ROWS, "score"}:
            return str(path)
        total.update(repr([schema.field(name) for name in _ROWS]).encode())
        for group in range(file.metadata.num_row_groups):
            for name in _ROWS:
                chunk = file.metadata.row_group(group).column(names.index(name))
                begin = chunk.dictionary_page_offset or chunk.data_page_offset
                what = (name, chunk.compression, chunk.encodings, chunk.num_values)
                opened.seek(begin)
                total.update(repr(what).encode() + opened.read(chunk.total_compressed_size))
    return total.hexdigest()
