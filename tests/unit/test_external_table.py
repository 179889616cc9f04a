"""Any further data set by a table and a label map: what it becomes, and what stops it."""

import json
import os
from contextlib import closing
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from mmsn.cohort.database import connect
from mmsn.cohort.external.command import app
from mmsn.cohort.external.result import finish, images_schema
from mmsn.cohort.external.settings import TableSettings
from mmsn.cohort.external.table import build
from mmsn.errors import UserError
from mmsn.files import read_table, write_table
from mmsn.label_names import label_names
from mmsn.labels import LABELS
from mmsn.study import load_study
from mmsn.study_command import merged

ROOT = Path(__file__).parents[2]
TABLE = """path,patient,split,infiltrate,mass,nodule,effusion
a/one.png,7,train,1,0,0,
a/two.png,7,train,0,1,,0
b/three.png,8,validate,0,,1,-1
b/four.png,9,test,-1,0,0,1
"""
MAP = {"infiltrate": "Lung Opacity", "mass": "Lung Lesion", "nodule": "Lung Lesion", "effusion": "Pleural Effusion"}


@pytest.fixture(autouse=True)
def umask():
    """The verbs make their files private; later tests keep the old habit."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path, TABLE)


def written(folder: Path, text: str) -> Path:
    """A data set of empty image files: the table is what is read."""
    (folder / "images.csv").write_text(text)
    for line in TABLE.splitlines()[1:]:
        image = folder / line.split(",")[0]
        image.parent.mkdir(exist_ok=True)
        image.touch()
    return folder


def settings(folder: Path, **changes: object) -> TableSettings:
    return TableSettings.model_validate({"root": folder, "labels": MAP, **changes})


def images(folder: Path, **changes: object) -> pd.DataFrame:
    cohort = build("my-set", folder / "images.csv", settings(folder, **changes), 1)
    return cohort.images.to_pandas().set_index("dicom_id")


def error(folder: Path, **changes: object) -> str:
    with pytest.raises(UserError) as raised:
        images(folder, **changes)
    assert "\n" not in str(raised.value)
    return str(raised.value).removeprefix(f"{folder}/")


def test_for_mimics_head_the_table_gets_the_fourteen_labels_and_null_where_no_column_stands_for_one(folder):
    made = images(folder)
    assert made[list(LABELS)].notna().any().pipe(lambda known: list(known[known].index)) == [
        "Lung Lesion",
        "Lung Opacity",
        "Pleural Effusion",
    ]
    assert made.split.to_dict() == {"one": "train", "two": "train", "three": "validate", "four": "test"}


@pytest.mark.parametrize(
    ("choice", "lesion", "effusion"),
    [
        ({}, [0, 1, 1, 0], [0, 0, 0, 1]),
        ({"uncertain": "one"}, [0, 1, 1, 0], [0, 0, 1, 1]),
        ({"uncertain": "ignore"}, [0, 1, 1, 0], [0, 0, None, 1]),
        ({"blank": "ignore"}, [0, 1, 1, 0], [None, 0, 0, 1]),
    ],
)
def test_two_columns_of_one_label_are_positive_where_either_is_and_minus_one_is_what_the_study_says(
    folder, choice, lesion, effusion
):
    made = images(folder, **choice).loc[["one", "two", "three", "four"]]
    for label, expected in (("Lung Lesion", lesion), ("Pleural Effusion", effusion)):
        assert made[label].astype(object).where(made[label].notna(), None).tolist() == expected


def test_a_head_of_its_own_has_the_tables_own_columns(folder):
    own = {"infiltrate": "Lung Opacity", "effusion": None}
    cohort = build("my-set", folder / "images.csv", settings(folder, labels=own, head="own"), 1)
    write_table(folder / "images.parquet", cohort.images)
    assert label_names(folder / "images.parquet") == ("infiltrate", "effusion")
    assert "Lung Opacity" not in cohort.images.column_names


def test_a_parquet_table_and_one_of_numbers_say_the_same(folder):
    before = images(folder)
    table = pd.read_csv(folder / "images.csv")
    table.to_parquet(folder / "images.parquet")
    after = build("my-set", folder / "images.parquet", settings(folder), 1).images.to_pandas().set_index("dicom_id")
    pd.testing.assert_frame_equal(before, after)


def test_without_a_split_every_image_is_tested_on(folder):
    table = pd.read_csv(folder / "images.csv").drop(columns="split")
    table.to_csv(folder / "images.csv", index=False)
    assert set(images(folder).split) == {"test"}
    assert "column 'split' is missing" in error(folder, head="own")


def test_patients_with_names_stay_apart_and_files_of_one_name_too(folder):
    text = TABLE.replace(",7,", ",anna,").replace(",8,", ",bert,").replace(",9,", ",carla,")
    made = images(written(folder, text))
    assert made.subject_id.nunique() == 3
    assert made.loc["one", "subject_id"] == made.loc["two", "subject_id"] > 0
    (folder / "b/one.png").touch()
    made = images(written(folder, text.replace("b/four", "b/one")))
    assert {"a/one", "b/one"} < set(made.index)


def test_files_that_differ_in_the_ending_alone_are_two_images_and_all_ids_are_of_one_kind(folder):
    (folder / "a/one.jpg").touch()
    made = images(written(folder, TABLE.replace("b/four.png", "a/one.jpg")))
    assert set(made.index) == {"a/one.png", "a/two.png", "b/three.png", "a/one.jpg"}
    assert made.index.tolist() == made.path.tolist()


def test_two_images_of_one_id_are_refused_with_their_rows_whatever_the_data_set():
    schema = images_schema(LABELS).append(pa.field("reason", pa.string()))
    known = {"subject_id": 1, "study_id": 1, "split": "test", "labelled": True}
    made = [{"dicom_id": path[-5], "path": path, **known} for path in ("a/x.png", "a/y.png", "b/x.png")]
    with closing(connect(1)) as connection:
        connection.register("made", pa.Table.from_pylist(made, schema))
        connection.execute("CREATE TABLE images AS FROM made")
        with pytest.raises(UserError) as raised:
            finish(connection, "my-set", TableSettings.model_validate({"root": ".", "labels": MAP}), [], {}, LABELS)
    expected = "my-set: rows 1 and 3 of the joined tables have one dicom_id 'x' (paths 'a/x.png' and 'b/x.png')"
    assert expected in str(raised.value)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("mass,nodule", "mass,knot", "images.csv: column 'nodule' is missing (found: path, patient,"),
        ("9,test,-1", "9,test,2", "images.csv: row 5, column infiltrate: '2' must be 0, 1, -1 or blank; correct the"),
        ("9,test,-1", "9,test,yes", "images.csv: row 5, column infiltrate: 'yes' must be 0, 1, -1 or blank"),
        ("9,test", "9,tset", "images.csv: row 5, column split: 'tset' must be train, validate or test"),
        ("9,test", ",test", "images.csv: row 5, column patient: blank must be the patient's number or name"),
        ("9,test", "9,train", "images.csv: column split: no image in test"),
        ("b/four", "b/gone", "images.csv: row 5, column path: 'b/gone.png' is no file below"),
        ("b/four", "a/one", "images.csv: row 5, column path: 'a/one.png' already stands in row 2"),
        ("b/four", "./b/four", "images.csv: row 5, column path: './b/four.png' must be a path below the root without"),
        ("b/four", "b//four", "images.csv: row 5, column path: 'b//four.png' must be a path below the root without"),
        ("b/four", "a/../b/four", "images.csv: row 5, column path: 'a/../b/four.png' must be a path below the root"),
        ("b/four", "/b/four", "images.csv: row 5, column path: '/b/four.png' must be a path below the root"),
        ("9,test", "7,test", "my-set: subject_id 7 is in test and train (1 patients are in two splits)"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(folder, old, new, expected):
    assert expected in error(written(folder, TABLE.replace(old, new)))


@pytest.mark.parametrize("planted", ["four", "elsewhere/four"])
def test_a_test_image_that_mimic_trains_on_stops_the_run(folder, tmp_path, planted):
    mimic = tmp_path / "mimic-cxr/rows.parquet"
    row = {
        "dicom_id": [planted.split("/")[-1]],
        "subject_id": [1],
        "path": [f"files/{planted}.jpg"],
        "split": ["train"],
    }
    write_table(mimic, pa.table(row))
    outputs = [f"--output-{name}={tmp_path / 'out' / name}" for name in ("images", "exclusions", "flow")]
    given = settings(folder).model_dump_json()
    arguments = ["table", "--name=my-set", f"--table={folder / 'images.csv'}", "--settings", given, *outputs]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    log = tmp_path / "log"
    done = CliRunner().invoke(app, [*arguments, "--not-in", str(mimic), "--log", str(log)])
    assert done.exit_code == 2
    assert "my-set: dicom_id 'four' is in test and also in train of mimic-cxr" in log.read_text()


def test_labels_that_no_column_stands_for_are_named(folder, tmp_path):
    outputs = [f"--output-{name}={tmp_path / 'out' / name}" for name in ("images", "exclusions", "flow")]
    log = tmp_path / "log"
    arguments = ["table", "--name=my-set", f"--table={folder / 'images.csv'}", "--log", str(log), *outputs]
    assert CliRunner().invoke(app, [*arguments, "--settings", settings(folder).model_dump_json()]).exit_code == 0
    assert "not labelled, so left out of every mean: Atelectasis, Cardiomegaly, Consolidation, Edema" in log.read_text()
    steps = {line["step"]: line["count"] for line in json.loads((tmp_path / "out/flow").read_text())["steps"]}
    assert steps["labels of MIMIC-CXR without a column"] == 11
    assert len(read_table(tmp_path / "out/images")) == 4


class TestTheStudy:
    """What the configuration may say of data sets."""

    def study(self, **external):
        return load_study({**merged([ROOT / "config.yaml"]), "external": external})

    def test_chexpert_is_judged_by_mimics_head_and_nih_by_its_own(self):
        study = load_study(merged([ROOT / "config.yaml"]))
        assert (study.head_of("chexpert"), study.head_of("nih-14")) == ("mimic", "own")
        assert study.judged_on("chexpert", "linear") == study.methods
        assert study.judged_on("nih-14", "finetune") == study.evaluated("finetune")

    def test_a_data_set_that_is_not_named_is_not_judged(self):
        assert self.study().judged_on("chexpert", "linear") == ()

    @pytest.mark.parametrize(
        ("name", "said", "expected"),
        [
            ("mine", {"labels": {"a": "Edema"}}, r"external\.mine\.images: missing"),
            ("mine", {"images": "a.csv", "root": ".", "labels": {"a": "Oedema"}}, "'Oedema' is none of the 14 labels"),
            ("mine", {"images": "a.csv", "root": ".", "labels": {"a": None}}, "take head: own"),
            ("mine", {"images": "a.csv", "root": ".", "labels": {}}, "no label"),
            ("mine", {"images": "a.csv", "root": ".", "labels": {"Sex": "Edema"}}, "rename it in the table"),
            ("my_set", {"images": "a.csv", "root": ".", "labels": {"a": "Edema"}}, "letters, digits and -"),
            ("mimic-cxr", {"images": "a.csv", "root": ".", "labels": {"a": "Edema"}}, "none of mimic-cxr"),
            ("chexpert", {"head": "own"}, r"external\.chexpert\.head: chexpert has tables of its own"),
            ("chexpert", {"linear": ["supervised"]}, r"external\.chexpert\.linear: 'supervised' is not among"),
        ],
    )
    def test_what_cannot_be_meant_is_one_clear_line(self, name, said, expected):
        with pytest.raises(UserError, match=expected) as raised:
            self.study(**{name: said})
        assert "\n" not in str(raised.value)
