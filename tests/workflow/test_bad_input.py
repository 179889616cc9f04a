"""Bad input ends in one clear line and leaves nothing half-written; what is unreadable but few is set aside."""

import csv
import gzip
import io
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.workflow.project import Project

pytestmark = pytest.mark.workflow
COHORT = "results/cohort/mimic-cxr/images.parquet"
ROWS = "results/cohort/mimic-cxr/rows.parquet"
INDEX = "results/images/mimic-cxr/index.parquet"
METADATA = "mimic-cxr-jpg/mimic-cxr-2.0.0-metadata.csv.gz"
SPLIT = "mimic-cxr-jpg/mimic-cxr-2.0.0-split.csv.gz"


def _rewrite(path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    with gzip.open(path, "rt") as opened:
        table = pd.read_csv(io.StringIO(opened.read()), dtype=str, keep_default_na=False)
    change(table).to_csv(path, index=False)


def _cell(column: str, row: int, value: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[row, column] = value
        return table

    return change


def _error_lines(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith("error:")]


def _one_error(output: str) -> str:
    lines = set(_error_lines(output))
    assert len(lines) == 1, output
    assert "Traceback" not in output
    return lines.pop()


def _two_splits(table: pd.DataFrame) -> pd.DataFrame:
    patient = table.subject_id[table.subject_id.duplicated()].iloc[0]
    rows = table.index[table.subject_id == patient]
    table.loc[rows, "split"] = "train"
    table.loc[rows[0], "split"] = "test"
    return table


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda d: (d / "mimic-iv/hosp/admissions.csv.gz").unlink(), r"admissions\.csv"),
        (
            lambda d: _rewrite(d / METADATA, lambda t: t.drop(columns="ViewPosition")),
            r"metadata\.csv\.gz.*ViewPosition",
        ),
        (
            lambda d: _rewrite(d / METADATA, _cell("StudyDate", 4, "2180-05-06")),
            r"metadata\.csv\.gz: row 6, column StudyDate: '2180-05-06'",
        ),
        (
            lambda d: _rewrite(d / METADATA, lambda t: pd.concat([t, t.iloc[[3]]])),
            r"metadata.*dicom_id",
        ),
        (lambda d: _rewrite(d / SPLIT, _cell("split", 2, "training")), r"split\.csv\.gz.*training.*train, validate"),
        (lambda d: _rewrite(d / SPLIT, _two_splits), r"split.*(two|more than one) splits"),
        (
            lambda d: _rewrite(d / SPLIT, lambda t: t.assign(split=t.split.replace("validate", "train"))),
            r"validate.*(empty|no image)",
        ),
    ],
    ids=[
        "missing table",
        "missing column",
        "StudyDate not an integer",
        "duplicate dicom_id",
        "unknown split",
        "patient in two splits",
        "empty split",
    ],
)
def test_a_spoilt_table_is_one_line_and_no_cohort(fresh, spoil, expected):
    spoil(fresh.folder / "data")
    done = fresh.snakemake(COHORT)
    assert done.returncode != 0
    assert re.search(expected, _one_error(done.stdout)), done.stdout
    assert not [path for path in fresh.folder.glob("results/cohort/**/*") if path.is_file()]


def test_an_nih_test_image_that_mimic_trains_on_stops_the_run(fresh):
    data = fresh.folder / "data"
    tested = (data / "nih-14/test_list.txt").read_text().split()[0].removesuffix(".png")
    with gzip.open(data / SPLIT, "rt") as opened:
        trained = next(row["dicom_id"] for row in csv.DictReader(opened) if row["split"] == "train")
    for table in (METADATA, SPLIT):
        _rewrite(data / table, lambda t: t.assign(dicom_id=t.dicom_id.replace(trained, tested)))
    done = fresh.snakemake("results/cohort/nih-14/images.parquet")
    assert done.returncode != 0
    assert f"dicom_id '{tested}' is in test and also in train of mimic-cxr (1 such rows)" in _one_error(done.stdout)
    assert not (fresh.folder / "results/cohort/nih-14/images.parquet").exists()


def test_a_test_patient_among_the_images_to_pretrain_on_stops_the_run(finished, tmp_path):
    project = Project(tmp_path)
    for name in ("results", ".snakemake", "data"):
        shutil.copytree(finished[0].folder / name, tmp_path / name, symlinks=True)
    rows = pq.read_table(tmp_path / ROWS)
    split = rows["split"].to_pylist()
    patients = rows["subject_id"].to_pylist()
    several = [patient for patient, images in Counter(patients).items() if images > 1]
    planted = next(i for i, patient in enumerate(patients) if split[i] == "test" and patient in several)
    split[planted] = "train"
    changed = rows.set_column(rows.column_names.index("split"), "split", pa.array(split))
    pq.write_table(changed.replace_schema_metadata(rows.schema.metadata), tmp_path / ROWS)
    done = project.snakemake("results/pretrain/vit-ci/msn/seed0/encoder.safetensors", "--forcerun", "pretrain")
    assert done.returncode != 0
    line = _one_error(done.stdout)
    assert f"of validation or test patients, such as subject_id {patients[planted]}, who is in test" in line
    assert "Pretraining" in done.stdout


def test_a_missing_data_folder_offers_the_demo(fresh):
    done = fresh.snakemake("--config", 'data={"mimic_iv": "/no/such/folder"}')
    assert done.returncode != 0
    assert "/no/such/folder does not exist" in _one_error(done.stdout)
    assert "make demo" in done.stdout


def test_an_unknown_key_stops_before_any_job(fresh):
    done = fresh.snakemake("--config", 'pretrain={"learnin_rate": 1}')
    assert done.returncode != 0
    assert "did you mean learning_rate?" in _one_error(done.stdout)
    assert not (fresh.folder / "results").exists()


def test_folders_may_have_spaces(fresh):
    (fresh.folder / "data").rename(fresh.folder / "my data")
    names = {"mimic_iv": "mimic-iv", "mimic_cxr": "mimic-cxr-jpg", "chexpert": "chexpert", "nih_14": "nih-14"}
    paths = "data=" + json.dumps({key: f"my data/{folder}" for key, folder in names.items()})
    done = fresh.snakemake("counts", "--config", "results=my results", paths)
    assert done.returncode == 0, done.stdout
    assert (fresh.folder / "my results/tables/cohort_mimic-cxr.md").is_file()


def _radiographs(project) -> list[Path]:
    return sorted(project.folder.glob("data/mimic-cxr-jpg/files/p1*/*/*/*.jpg"))


def test_a_truncated_and_an_absent_radiograph_are_set_aside_and_counted(fresh):
    truncated, absent = _radiographs(fresh)[:2]
    truncated.write_bytes(truncated.read_bytes()[:200])
    absent.unlink()
    done = fresh.snakemake(INDEX, "--config", 'images={"max_unreadable_share": 0.05}')
    assert done.returncode == 0, done.stdout
    quarantined = pd.read_parquet(fresh.folder / "results/images/mimic-cxr/quarantine.parquet")
    assert set(quarantined.dicom_id) == {truncated.stem, absent.stem}
    assert quarantined.reason.str.len().min() > 3
    stored = pd.read_parquet(fresh.folder / INDEX)
    assert len(stored) == len(pd.read_parquet(fresh.folder / ROWS)) - 2


def test_too_many_unreadable_radiographs_stop_the_run(fresh):
    truncated = _radiographs(fresh)[0]
    truncated.write_bytes(b"")
    done = fresh.snakemake(INDEX)
    assert done.returncode != 0
    line = _one_error(done.stdout)
    assert re.search(r"1 of \d+ images.*max_unreadable_share", line), line
    assert not (fresh.folder / INDEX).exists()


def test_the_last_lines_after_a_failure_name_the_log(fresh):
    _rewrite(fresh.folder / "data" / METADATA, _cell("StudyDate", 4, "x"))
    done = fresh.snakemake(COHORT)
    last = "\n".join(done.stdout.splitlines()[-7:])
    assert "results/logs/cohort/mimic-cxr.log" in last
    assert "the same command goes on from here" in last
    assert "column StudyDate: 'x'" in last
