"""Predictions read one file after another are those of each file read alone."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmsn.errors import UserError
from mmsn.files import write_table
from mmsn.labels import LABELS
from mmsn.lineage import UNTRAINED_LABELS
from mmsn.reporting.predictions import from_table
from mmsn.reporting.reader import Reader


def predictions(seed: int, images: int = 30, subject: int = 0) -> pa.Table:
    """Of a model on the same images, whatever the seed; `subject` moves their patients."""
    generator = np.random.default_rng(seed)
    count = len(LABELS)
    rows = np.arange(images * count)
    return pa.table(
        {
            "dicom_id": pa.array([f"image{row // count}" for row in rows]),
            "subject_id": pa.array(subject + rows // count // 2),
            "label": pa.array([LABELS[row % count] for row in rows]),
            "target": pa.array(np.where(rows % 7 == 0, np.nan, rows % 3 == 0), pa.float32(), from_pandas=True),
            "score": pa.array(generator.random(rows.size), pa.float32()),
        }
    )


def assert_read_as_alone(found, path, table=None):
    """Every field is what `from_table` makes of the file alone."""
    alone = from_table(pq.read_table(path) if table is None else table, str(path))
    for name in ("images", "patients", "targets", "scores"):
        np.testing.assert_array_equal(getattr(found, name), getattr(alone, name))
    assert (found.labels, found.split, found.untrained, found.head_of) == (
        *(alone.labels, alone.split, alone.untrained, alone.head_of),
    )


def test_runs_of_one_test_set_share_their_rows_and_keep_their_scores_and_facts(tmp_path):
    reader, found = Reader(), []
    for seed in range(3):
        path = tmp_path / f"{seed}.parquet"
        write_table(path, predictions(seed), {UNTRAINED_LABELS: f'{{"Edema": "run {seed}"}}'})
        found.append(reader.read(path))
        assert_read_as_alone(found[-1], path)
    assert found[0].targets is found[1].targets is found[2].targets
    assert len({one.scores.tobytes() for one in found}) == 3


@pytest.mark.parametrize("change", ["order", "patients", "targets", "images"])
def test_a_file_of_other_rows_is_arranged_by_itself(tmp_path, change):
    first, second = predictions(0), predictions(1)
    if change == "order":
        second = second.take(np.random.default_rng(0).permutation(len(second)))
    elif change == "patients":
        second = predictions(1, subject=5)
    elif change == "images":
        second = predictions(1, images=29)
    else:
        second = second.set_column(3, "target", pa.array(np.ones(len(second)), pa.float32()))
    reader = Reader()
    for name, table in (("first", first), ("second", second), ("again", first)):
        path = tmp_path / f"{name}.parquet"
        write_table(path, table)
        assert_read_as_alone(reader.read(path), path)


def test_readings_of_one_file_are_each_its_own_rows(tmp_path):
    tables = {name: predictions(seed) for seed, name in enumerate(("class+mean", "attentive"))}
    named = [table.add_column(0, "reading", pa.array([name] * len(table))) for name, table in tables.items()]
    write_table(tmp_path / "readings.parquet", pa.concat_tables(named))
    write_table(tmp_path / "class.parquet", predictions(9))
    reader = Reader()
    assert_read_as_alone(reader.read(tmp_path / "class.parquet"), tmp_path / "class.parquet")
    for name, table in tables.items():
        assert_read_as_alone(reader.read(tmp_path / "readings.parquet", name), tmp_path / "readings.parquet", table)


@pytest.mark.parametrize("damage", ["cut", "scores", "rows"])
def test_a_damaged_file_is_refused_by_its_name(tmp_path, damage):
    write_table(tmp_path / "good.parquet", predictions(0))
    path = tmp_path / "bad.parquet"
    write_table(path, predictions(1))
    data = bytearray(path.read_bytes())
    column = 4 if damage == "scores" else 0
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(column)
    data[chunk.data_page_offset + chunk.total_compressed_size // 2] ^= 0xFF
    path.write_bytes(data[: len(data) // 2] if damage == "cut" else data)
    reader = Reader()
    reader.read(tmp_path / "good.parquet")
    with pytest.raises(UserError, match=r"bad.parquet: damaged table"):
        reader.read(path)


def test_a_missing_file_and_an_impossible_score_are_named(tmp_path):
    reader = Reader()
    with pytest.raises(UserError, match=r"nothing.parquet does not exist; evaluate that run first"):
        reader.read(tmp_path / "nothing.parquet")
    write_table(tmp_path / "good.parquet", predictions(0))
    bad = predictions(1)
    scores = bad["score"].to_numpy().copy()
    scores[3] = np.inf
    write_table(tmp_path / "bad.parquet", bad.set_column(4, "score", pa.array(scores)))
    reader.read(tmp_path / "good.parquet")
    with pytest.raises(UserError, match=r"bad.parquet: column score, label .*: 1 values are not finite"):
        reader.read(tmp_path / "bad.parquet")
