"""Tables of any size that EHR variables name: found, streamed, faults named; the configuration's ready-made lines."""

import gzip
import json
import re
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from mmsn.cohort.command import app
from mmsn.cohort.settings import CohortSettings
from mmsn.cohort.sources import find_tables
from mmsn.cohort.streamed import create_views
from mmsn.ehr.settings import Variable
from mmsn.ehr.tables import encode_table
from mmsn.errors import UserError
from mmsn.files import read_table
from mmsn.synthetic.dataset import write_dataset
from mmsn.synthetic.settings import SynthSettings
from tests.unit.cohort_tables import VARIABLES, Mimic, build_in, values, write_file
from tests.unit.test_ehr_measurements import LABEVENTS, TABLES

ROOT = Path(__file__).parents[2]
LABORATORY = {"creatinine": ("hosp/labevents",)}


class TestStreamedTables:
    """Tables that a variable's line names."""

    def write(self, folder: Path) -> Path:
        Mimic().write(folder)
        (folder / "mimic-iv/hosp").mkdir(exist_ok=True)
        return folder / "mimic-iv/hosp"

    def test_csv_gzip_and_parquet_give_the_same_value(self, tmp_path: Path) -> None:
        row = "1,10000001,20000001,1,50912,,2150-03-02 08:00:00,,1.4,1.4,mg/dL,0.4,1.2,abnormal,STAT,"
        text = f'{LABEVENTS}\n{row}"a comment, with a ""quote"""\n'
        write_file(self.write(tmp_path / "csv") / "labevents.csv", text)
        write_file(self.write(tmp_path / "gz") / "labevents.csv.gz", text)
        table = duckdb.read_csv(str(tmp_path / "csv/mimic-iv/hosp/labevents.csv"), all_varchar=True).to_arrow_table()
        pq.write_table(table, self.write(tmp_path / "parquet") / "labevents.parquet")
        for folder in ("csv", "gz", "parquet"):
            cohort = build_in(tmp_path / folder, names=("creatinine",), variable_tables=LABORATORY)
            assert values(cohort, "creatinine")["a1"] == 1.4

    def test_a_table_of_the_cohort_may_be_streamed_too(self, tmp_path: Path) -> None:
        self.write(tmp_path)
        statement = "SELECT dicom_id, any_value(anchor_year_group) AS value FROM hosp.patients JOIN images"
        write_file(tmp_path / "years.sql", f"{statement} USING (subject_id) GROUP BY dicom_id")
        cohort = build_in(
            tmp_path, files={"years": tmp_path / "years.sql"}, variable_tables={"years": ["hosp/patients"]}
        )
        assert cohort.images["years"].null_count == 3

    def test_a_missing_table_is_named_with_its_variable_before_anything_is_read(self, tmp_path: Path) -> None:
        self.write(tmp_path)
        with pytest.raises(
            UserError, match=r"variables\.bmi reads hosp/omr, but .*hosp/omr\.csv\.gz.*take bmi out"
        ) as raised:
            find_tables(tmp_path / "mimic-iv", tmp_path / "mimic-cxr", CohortSettings(split="random"), None, None, None,
                        {"bmi": ["hosp/omr"]})  # fmt: skip
        assert "\n" not in str(raised.value)

    def test_streamed_tables_are_inputs_of_the_workflow(self, tmp_path: Path) -> None:
        write_file(self.write(tmp_path) / "labevents.csv", LABEVENTS + "\n")
        tables = find_tables(tmp_path / "mimic-iv", tmp_path / "mimic-cxr", CohortSettings(split="random"), None, None,
                             None, TABLES | {"bmi": ()})  # fmt: skip
        assert [path.name for path in tables.paths].count("labevents.csv") == 1

    @pytest.mark.parametrize(
        ("good", "bad", "complaint"),
        [
            ("1.5", "high", r"labevents\.csv: row 3, column valuenum: 'high' must be a number; correct the cell"),
            ("2150-03-01 08", "03/01/50 08", r"row 3, column charttime: '03/01/50 08:00:00' must be a time YYYY"),
            (",STAT,", ",", r"labevents\.csv: row 3 cannot be read as CSV; fetch the file again"),
        ],
    )
    def test_a_bad_cell_is_named(self, tmp_path: Path, good: str, bad: str, complaint: str) -> None:
        rows = [f"{n},10000001,,1,50912,,2150-03-0{n} 08:00:00,,x,1.5,mg/dL,,,,STAT," for n in (2, 1)]
        text = "\n".join([LABEVENTS, rows[0], rows[1].replace(good, bad), ""])
        write_file(self.write(tmp_path) / "labevents.csv", text)
        with pytest.raises(UserError, match=complaint) as raised:
            build_in(tmp_path, names=("creatinine",), variable_tables=LABORATORY)
        assert "EHR variable 'creatinine'" in str(raised.value)
        assert "\n" not in str(raised.value)

    def test_a_cut_off_file_is_named(self, tmp_path: Path) -> None:
        packed = gzip.compress((LABEVENTS + "\n" + "1,2,3\n" * 9999).encode())
        (self.write(tmp_path) / "labevents.csv.gz").write_bytes(packed[:-30])
        with pytest.raises(UserError, match=r"labevents\.csv\.gz.*fetch .* again from PhysioNet"):
            build_in(tmp_path, names=("creatinine",), variable_tables=LABORATORY)

    def test_a_file_that_is_no_parquet_is_named(self, tmp_path: Path) -> None:
        (self.write(tmp_path) / "labevents.parquet").write_bytes(b"PAR0" * 9)
        with pytest.raises(UserError, match=r"labevents\.parquet cannot be read as Parquet"):
            build_in(tmp_path, names=("creatinine",), variable_tables=LABORATORY)


def test_a_file_that_is_not_there_any_more_is_named() -> None:
    with pytest.raises(UserError, match=r"labevents\.csv cannot be read as CSV"):
        create_views(duckdb.connect(), {"hosp/labevents": Path("/nowhere/labevents.csv")})


def test_the_lines_of_the_configuration_that_wait_to_be_taken_in_are_valid() -> None:
    waiting = re.findall(r"^  # (\w+: \{kind.*?\})", (ROOT / "config.yaml").read_text(), flags=re.MULTILINE)
    lines = {name: Variable.model_validate(line) for text in waiting for name, line in yaml.safe_load(text).items()}
    assert {*TABLES, "procedure", "age_10y"} == set(lines)
    overlay = yaml.safe_load((ROOT / "workflow/configs/labs.yaml").read_text())
    for name, line in overlay["variables"].items():
        assert Variable.model_validate(line) == lines[name]
        assert lines[name].tables == TABLES[name]
    assert all((VARIABLES / f"{name}.sql").is_file() for name in lines)


def test_the_overlays_variables_go_from_tables_to_features(tmp_path: Path) -> None:
    write_dataset(SynthSettings(patients=30, tables_only=True, seed=5), tmp_path / "data")
    overlay = yaml.safe_load((ROOT / "workflow/configs/labs.yaml").read_text())
    variables = {name: Variable.model_validate(line) for name, line in overlay["variables"].items()}
    arguments = {
        "mimic-iv": tmp_path / "data/mimic-iv",
        "mimic-cxr": tmp_path / "data/mimic-cxr-jpg",
        "settings": CohortSettings(split="random").model_dump_json(),
        "variables": json.dumps({name: str(VARIABLES / f"{name}.sql") for name in variables}),
        "variable-tables": json.dumps({name: variable.tables for name, variable in variables.items()}),
        **{f"output-{name}": tmp_path / f"{name}.parquet" for name in ("images", "rows", "exclusions", "flow")},
    }
    done = CliRunner().invoke(app, ["build", *(str(word) for pair in arguments.items() for word in _option(*pair))])
    assert done.exit_code == 0, done.output
    images = read_table(tmp_path / "images.parquet")
    widths = {name: len(encode_table(images, {v: variables[v] for v in names}).column_names) - 1
              for name, names in overlay["feature_sets"].items()}  # fmt: skip
    assert widths == {"labs": 4, "bmi": 2, "insurance": 3, "labs+bmi+insurance": 9}


def _option(name: str, value: object) -> tuple[str, object]:
    return f"--{name}", value
