"""What the tables say of an image: who, when, which admission and ICU stay, which labels."""

import subprocess
import sys
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from mmsn.cohort import build
from mmsn.cohort.database import run_file
from mmsn.cohort.schema import images_schema
from mmsn.labels import LABELS
from tests.unit.cohort_tables import Mimic, build_in, cohort_of, step, values, write_file

ROOT = Path(__file__).parents[2]
OF_PATIENT_1 = "10000001    50000011"


def images_on(*dates_and_times: str) -> Mimic:
    """The example with one more image x0, x1, ... of patient 10000001 for each 'StudyDate  StudyTime'."""
    numbered = list(enumerate(dates_and_times))
    return Mimic().plus(
        metadata="\n".join(f"x{n}  {OF_PATIENT_1}  PA  {moment}  Erect" for n, moment in numbered),
        split="\n".join(f"x{n}  10000001  50000011  train" for n, _ in numbered),
    )


def test_one_row_an_image_in_the_written_schema(tmp_path: Path) -> None:
    cohort = cohort_of(Mimic(), tmp_path)
    kinds = {name: pa.string() for name in ("sex", "age", "view", "pos", "mort", "icu")} | {"age": pa.float64()}
    assert cohort.images.schema.equals(images_schema(kinds))
    assert cohort.images["dicom_id"].to_pylist() == ["a1", "b1", "c1"]
    assert values(cohort, "path")["a1"] == "files/p10/p10000001/s50000001/a1.jpg"
    assert values(cohort, "study_time")["a1"] == datetime(2150, 3, 2, 9, 0, 0, 500_000)
    assert cohort.exclusions.num_rows == 0


def test_the_narrow_table_is_the_same_under_other_rules_of_labels_and_linkage(tmp_path: Path) -> None:
    Mimic().write(tmp_path)
    usual, other = build_in(tmp_path), build_in(tmp_path, uncertain="one", linkage="time", names=("sex",))
    assert usual.rows.column_names == ["dicom_id", "subject_id", "study_id", "path", "split"]
    assert usual.rows.equals(other.rows, check_metadata=True)
    assert usual.rows.schema.metadata == usual.images.schema.metadata
    assert usual.rows["dicom_id"].equals(usual.images["dicom_id"])


def test_age_counts_years_from_the_anchor(tmp_path: Path) -> None:
    mimic = images_on("21500101  0.0", "21491231  0.0", "21600101  0.0")
    age = values(cohort_of(mimic, tmp_path), "age")
    assert (age["x0"], age["x1"], age["x2"]) == (60, 59, 70)


def test_an_age_that_no_one_reaches_or_a_missing_anchor_is_unknown_and_children_stay(tmp_path: Path) -> None:
    mimic = images_on("20890101  0.0", "22110101  0.0", "20950101  0.0").but("patients", "M       40", "M       .")
    cohort = cohort_of(mimic, tmp_path)
    age = values(cohort, "age")
    assert (age["x0"], age["x1"], age["b1"]) == (None, None, None)
    assert age["x2"] == 5


def test_the_age_bins_are_those_of_the_released_notebook(tmp_path: Path) -> None:
    # Born in 2090: pd.cut of the notebook closes its bins on the right.
    mimic = images_on(*(f"{2090 + age}0101  0.0" for age in (0, 20, 21, 25, 26, 90, 91)))
    mimic.write(tmp_path)
    cohort = build_in(tmp_path, names=("age_5y", "age_10y"))
    fives, tens = values(cohort, "age_5y"), values(cohort, "age_10y")
    assert [fives[f"x{n}"] for n in range(7)] == ["<20", "<20", "20-25", "20-25", "25-30", "85-90", "90+"]
    assert [tens[f"x{n}"] for n in range(7)] == ["<20", "<20", "20-30", "20-30", "20-30", "80-90", "90+"]


def test_view_and_position_are_the_tags_and_blanks_are_unknown(tmp_path: Path) -> None:
    mimic = Mimic().but("metadata", "PA            21500302", ".             21500302")
    cohort = cohort_of(mimic.but("metadata", "Recumbent", "RECUMBENT"), tmp_path)
    assert values(cohort, "view") == {"a1": None, "b1": "AP", "c1": "LATERAL"}
    assert values(cohort, "pos") == {"a1": "Erect", "b1": "Recumbent", "c1": None}


class TestDayLinkage:
    """The released rule: whole days."""

    def test_the_days_of_admission_and_discharge_are_covered_at_any_hour(self, tmp_path: Path) -> None:
        mimic = images_on("21500228  235900.0", "21500301  0.0", "21500305  235900.0", "21500306  0.0")
        mimic = mimic.but("admissions", "23:00:00  0", "23:00:00  1")
        mort = values(cohort_of(mimic, tmp_path), "mort")
        assert [mort[f"x{n}"] for n in range(4)] == ["alive", "died", "died", "alive"]

    def test_an_icu_stay_covers_its_days(self, tmp_path: Path) -> None:
        mimic = images_on("21500301  235900.0", "21500302  0.0", "21500303  235900.0", "21500304  0.0")
        icu = values(cohort_of(mimic, tmp_path), "icu")
        assert [icu[f"x{n}"] for n in range(4)] == ["not_icu", "icu", "icu", "not_icu"]

    def test_of_two_admissions_on_a_day_the_last_in_file_order_wins(self, tmp_path: Path) -> None:
        survived = "10000001  20000001  2150-03-01 10:00:00  2150-03-05 08:00:00  .  0"
        died = "10000001  20000002  2150-03-05 09:00:00  2150-03-05 12:00:00  .  1"
        header = "subject_id  hadm_id  admittime  dischtime  edregtime  hospital_expire_flag"
        for last, (first_row, last_row) in {"died": (survived, died), "alive": (died, survived)}.items():
            mimic = Mimic(admissions=f"{header}\n{first_row}\n{last_row}\n").but("metadata", "21500302", "21500305")
            assert values(cohort_of(mimic, tmp_path / last), "mort")["a1"] == last

    def test_a_study_without_a_date_is_unknown_not_alive(self, tmp_path: Path) -> None:
        cohort = cohort_of(images_on(".  100000.0"), tmp_path)
        assert [values(cohort, name)["x0"] for name in ("age", "mort", "icu")] == [None, None, None]
        assert step(cohort, "before exclusions: StudyDate missing") == 1

    def test_a_stay_without_an_end_covers_the_day_it_began(self, tmp_path: Path) -> None:
        mimic = images_on("21500302  235900.0", "21500303  0.0").but("icustays", "2150-03-03 09:30:00", ".")
        cohort = cohort_of(mimic, tmp_path)
        assert [values(cohort, "icu")[name] for name in ("x0", "x1")] == ["icu", "not_icu"]
        assert step(cohort, "ICU stays without an end") == 1


class TestTimeLinkage:
    """The better rule: timestamps."""

    def test_the_hour_decides_on_the_days_of_admission_and_discharge(self, tmp_path: Path) -> None:
        mimic = images_on("21500302  75959.0", "21500302  80000.0", "21500303  93000.0", "21500303  93001.0")
        icu = values(cohort_of(mimic, tmp_path, linkage="time"), "icu")
        assert [icu[f"x{n}"] for n in range(4)] == ["not_icu", "icu", "icu", "not_icu"]

    def test_the_emergency_department_before_an_admission_belongs_to_it(self, tmp_path: Path) -> None:
        mimic = images_on("21500228  225959.0", "21500228  230000.0").but("admissions", "23:00:00  0", "23:00:00  1")
        mort = values(cohort_of(mimic, tmp_path, linkage="time"), "mort")
        assert (mort["x0"], mort["x1"]) == ("alive", "died")

    def test_of_two_admissions_the_latest_to_start_wins_whatever_the_file_order(self, tmp_path: Path) -> None:
        survived = "10000001  20000001  2150-03-01 10:00:00  2150-03-05 12:00:00  .  0"
        died = "10000001  20000002  2150-03-02 07:00:00  2150-03-05 12:00:00  .  1"
        header = "subject_id  hadm_id  admittime  dischtime  edregtime  hospital_expire_flag"
        for number, rows in enumerate(([survived, died], [died, survived])):
            mimic = Mimic(admissions="\n".join([header, *rows]))
            cohort = cohort_of(mimic, tmp_path / str(number), linkage="time")
            assert values(cohort, "mort")["a1"] == "died"

    @pytest.mark.parametrize("clock", [".", "240000.0", "96000.0", "90060.0"])
    def test_a_missing_or_impossible_clock_is_unknown(self, tmp_path: Path, clock: str) -> None:
        cohort = cohort_of(images_on(f"21500302  {clock}"), tmp_path, linkage="time")
        assert [values(cohort, name)["x0"] for name in ("study_time", "mort", "icu")] == [None, None, None]
        assert values(cohort, "age")["x0"] == 60
        assert step(cohort, "before exclusions: StudyTime missing or impossible") == 1


class TestExclusions:
    """Unknown sex first, then views that are not kept."""

    def test_a_patient_absent_from_mimic_iv_leaves_for_the_unknown_sex(self, tmp_path: Path) -> None:
        mimic = Mimic().plus(
            metadata="""
                d1  10000004  50000004  PA   21500302  0.0  Erect
                d2  10000004  50000004  LAO  21500302  0.0  Erect
                a2  10000001  50000001  LAO  21500302  0.0  Erect
                a3  10000001  50000001  .    21500302  0.0  Erect
            """.replace("                ", ""),
            split="d1  10000004  50000004  train\nd2  10000004  50000004  train\n"
            "a2  10000001  50000001  train\na3  10000001  50000001  train",
        )
        cohort = cohort_of(mimic, tmp_path)
        reasons = {row["dicom_id"]: row["reason"] for row in cohort.exclusions.to_pylist()}
        assert reasons == {"d1": "sex unknown", "d2": "sex unknown", "a2": "view not kept"}
        assert set(values(cohort, "sex")) == {"a1", "a3", "b1", "c1"}
        assert step(cohort, "after dropping unknown sex") == 5
        assert step(cohort, "after dropping other views: the cohort") == 4

    def test_the_sex_exclusion_holds_for_a_study_that_does_not_use_sex(self, tmp_path: Path) -> None:
        mimic = Mimic().plus(metadata="a0  10000004  50000004  PA  21500302  0.0  Erect", split="a0  1  1  train")
        cohort = cohort_of(mimic, tmp_path, names=("age",))
        assert cohort.exclusions["reason"].to_pylist() == ["sex unknown"]

    def test_the_views_kept_are_a_setting(self, tmp_path: Path) -> None:
        mimic = Mimic().but("metadata", "LATERAL", "PA")
        cohort = cohort_of(mimic.but("metadata", "PA            21500302", "LAO           21500302"), tmp_path / "a",
                           views=("AP", "PA", "LAO"))  # fmt: skip
        assert values(cohort, "view") == {"a1": None, "b1": "AP", "c1": "PA"}


class TestLabels:
    """Fourteen labels, blank is 0, uncertain is a choice."""

    @pytest.mark.parametrize(("policy", "uncertain"), [("zero", 0.0), ("one", 1.0), ("ignore", None)])
    def test_uncertain_becomes_what_the_settings_say_and_blank_is_zero(
        self, tmp_path: Path, policy: str, uncertain: float | None
    ) -> None:
        cohort = cohort_of(Mimic(), tmp_path, uncertain=policy)
        assert values(cohort, "Atelectasis") == {"a1": 1.0, "b1": 0.0, "c1": 0.0}
        assert values(cohort, "Edema") == {"a1": 0.0, "b1": uncertain, "c1": 1.0}

    def test_an_image_whose_study_has_no_label_row_stays_unlabelled(self, tmp_path: Path) -> None:
        cohort = cohort_of(Mimic().but("labels", "50000003  .            1.0", ""), tmp_path)
        assert values(cohort, "labelled") == {"a1": True, "b1": True, "c1": False}
        assert all(values(cohort, label)["c1"] is None for label in LABELS)

    def test_the_negbio_table_is_read_when_asked_for(self, tmp_path: Path) -> None:
        Mimic().write(tmp_path)
        chexpert = tmp_path / "mimic-cxr" / "mimic-cxr-2.0.0-chexpert.csv"
        negbio = chexpert.with_name("mimic-cxr-2.0.0-negbio.csv")
        negbio.write_text(chexpert.read_text().replace("50000002,0.0", "50000002,1.0"))
        assert values(build_in(tmp_path, labels="chexpert"), "Atelectasis")["b1"] == 0.0
        assert values(build_in(tmp_path, labels="negbio"), "Atelectasis")["b1"] == 1.0


def test_a_variable_may_give_its_rows_in_any_order_and_leave_images_out(tmp_path: Path) -> None:
    mimic = images_on(*["21500601  0.0"] * 30)
    mimic.write(tmp_path / "mimic")
    statements = {
        "backwards": "SELECT dicom_id, dicom_id AS value FROM images ORDER BY dicom_id DESC;",
        "some": "SELECT dicom_id, upper(dicom_id) value FROM images WHERE dicom_id <> 'x7' ORDER BY md5(dicom_id) --",
        "flag": "SELECT dicom_id, dicom_id = 'x7' AS value FROM images ORDER BY md5(dicom_id)",
        "raw": "SELECT dicom_id, CAST(Rows AS INTEGER) AS value FROM raw_metadata",
    }
    for name, statement in statements.items():
        (tmp_path / f"{name}.sql").write_text(statement)
    cohort = build_in(tmp_path / "mimic", files={name: tmp_path / f"{name}.sql" for name in statements})
    assert all(value == dicom for dicom, value in values(cohort, "backwards").items())
    assert {dicom for dicom, value in values(cohort, "some").items() if value != dicom.upper()} == {"x7"}
    assert values(cohort, "some")["x7"] is None
    assert [dicom for dicom, value in values(cohort, "flag").items() if value == 1.0] == ["x7"]
    assert cohort.flow["variables"]["raw"] == {"known": 0, "unknown": 33, "min": None, "max": None}


def test_what_a_join_leaves_in_another_order_is_brought_in_order(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cohort = cohort_of(Mimic(), tmp_path / "as found")

    def disordered(connection: duckdb.DuckDBPyConnection, name: str) -> None:
        run_file(connection, name)
        if name == "placed":
            connection.execute("CREATE OR REPLACE TABLE placed AS FROM placed ORDER BY image DESC")

    monkeypatch.setattr(build, "run_file", disordered)
    turned = cohort_of(Mimic(), tmp_path / "turned")
    assert turned.images.equals(cohort.images, check_metadata=True)
    assert turned.exclusions.equals(cohort.exclusions)
    assert turned.flow == cohort.flow


def test_the_stage_does_without_pandas_whose_import_takes_a_tenth_of_its_time(tmp_path: Path) -> None:
    Mimic().write(tmp_path)
    for split, patient in (("validate", 10000002), ("test", 10000003)):
        write_file(tmp_path / f"{split}.csv", f"subject_id\n{patient}\n")
    code = (
        "import sys; from pathlib import Path; from tests.unit.cohort_tables import build_in; at = Path(sys.argv[1]);"
        "build_in(at, split='medfuse', medfuse_validate=at / 'validate.csv', medfuse_test=at / 'test.csv');"
        "sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, check=False).returncode == 0
