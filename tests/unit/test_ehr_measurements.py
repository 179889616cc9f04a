"""EHR variables from tables of any size: the worked examples, rule by rule, on tables that can be read."""

from pathlib import Path

import duckdb
import numpy as np
import pytest

from mmsn.cohort.build import Cohort
from mmsn.synthetic.dataset import write_dataset
from mmsn.synthetic.settings import SynthSettings
from tests.unit.cohort_tables import VARIABLES, Mimic, build_in, csv_text, values, write_file

LABEVENTS = (
    "labevent_id,subject_id,hadm_id,specimen_id,itemid,order_provider_id,charttime,storetime,value,valuenum,valueuom,"
    "ref_range_lower,ref_range_upper,flag,priority,comments"
)
OMR = "subject_id,chartdate,seq_num,result_name,result_value"
TABLES = {"creatinine": ("hosp/labevents",), "haemoglobin": ("hosp/labevents",), "bmi": ("hosp/omr",), "insurance": ()}
OLD_LABEVENTS = LABEVENTS.replace("order_provider_id,", "")


def cohort_with(folder: Path, variable: str, labevents: str = "", omr: str = "", mimic: Mimic | None = None) -> Cohort:
    """The cohort of the example tables with one more variable.

    Studies: a1 of patient 10000001 at 2150-03-02 09:00:00.5, b1 of 10000002 at 2150-06-01 12:00, c1 of 10000003.
    """
    (mimic or Mimic()).write(folder)
    if labevents:
        text = csv_text("labevent_id  subject_id  itemid  charttime  valuenum\n" + labevents.strip(), LABEVENTS)
        write_file(folder / "mimic-iv/hosp/labevents.csv", text)
    if omr:
        write_file(folder / "mimic-iv/hosp/omr.csv.gz", f"{OMR}\n{omr.strip()}\n")
    return build_in(folder, names=(variable,), variable_tables={variable: TABLES[variable]})


@pytest.mark.parametrize(("variable", "item"), [("creatinine", 50912), ("haemoglobin", 51222)])
class TestLaboratory:
    """The last value within 48 hours before the study."""

    def value(self, folder: Path, variable: str, rows: str) -> object:
        return values(cohort_with(folder, variable, rows), variable)["a1"]

    def test_the_last_of_several_counts_in_any_order_of_rows(self, tmp_path: Path, variable: str, item: int) -> None:
        rows = [
            f"1  10000001  {item}  2150-03-01 08:00:00  7.1",
            f"2  10000001  {item}  2150-03-02 08:00:00  7.2",
            f"3  10000001  {item}  2150-03-01 20:00:00  7.3",
        ]
        for number, order in enumerate((rows, rows[::-1])):
            assert self.value(tmp_path / str(number), variable, "\n".join(order)) == 7.2

    def test_of_two_at_one_moment_the_one_entered_last_counts(self, tmp_path: Path, variable: str, item: int) -> None:
        moment = f"10000001  {item}  2150-03-02 08:00:00"
        assert self.value(tmp_path, variable, f"12  {moment}  7.2\n11  {moment}  7.1") == 7.2

    @pytest.mark.parametrize(
        ("charttime", "known"),
        [
            ("2150-02-28 09:00:00", False),  # 48 hours and half a second
            ("2150-02-28 09:00:01", True),
            ("2150-03-02 09:00:00", True),
            ("2150-03-02 09:00:01", False),  # after the study
        ],
    )
    def test_the_window_is_48_hours_up_to_the_study(
        self, tmp_path: Path, variable: str, item: int, charttime: str, known: bool
    ) -> None:
        assert (self.value(tmp_path, variable, f"1  10000001  {item}  {charttime}  7.1") == 7.1) == known

    def test_an_implausible_or_missing_value_gives_way_to_the_one_before(
        self, tmp_path: Path, variable: str, item: int
    ) -> None:
        rows = [f"1  10000001  {item}  2150-03-01 08:00:00  7.1"]
        rows += [f"{n}  10000001  {item}  2150-03-02 0{n}:00:00  {odd}" for n, odd in enumerate(("0", "999", "."), 2)]
        assert self.value(tmp_path, variable, "\n".join(rows)) == 7.1

    def test_other_patients_and_other_tests_say_nothing(self, tmp_path: Path, variable: str, item: int) -> None:
        rows = f"1  10000002  {item}  2150-03-02 08:00:00  7.1\n2  10000001  50811  2150-03-02 08:00:00  7.1"
        assert self.value(tmp_path, variable, rows) is None

    def test_a_study_without_a_time_is_unknown(self, tmp_path: Path, variable: str, item: int) -> None:
        rows = f"1  10000001  {item}  2150-03-02 08:00:00  7.1"
        mimic = Mimic().but("metadata", "90000.5 ", ".       ")
        assert values(cohort_with(tmp_path, variable, rows, mimic=mimic), variable)["a1"] is None


class TestBodyMassIndex:
    """The last value of the out-patient record within a year up to the study's day."""

    def value(self, folder: Path, *rows: str) -> object:
        return values(cohort_with(folder, "bmi", omr="\n".join(f"10000001,{row}" for row in rows)), "bmi")["a1"]

    def test_the_last_of_several_counts(self, tmp_path: Path) -> None:
        earlier, later = "2150-01-10,1,BMI (kg/m2),31.5", "2150-02-10,1,BMI (kg/m2),30.5"
        assert self.value(tmp_path / "a", earlier, later) == self.value(tmp_path / "b", later, earlier) == 30.5
        assert self.value(tmp_path / "c", "2150-02-10,2,BMI (kg/m2),29", later) == 29

    @pytest.mark.parametrize(
        ("day", "known"), [("2149-03-01", False), ("2149-03-02", True), ("2150-03-02", True), ("2150-03-03", False)]
    )
    def test_the_window_is_365_days_up_to_the_day_of_the_study(self, tmp_path: Path, day: str, known: bool) -> None:
        assert (self.value(tmp_path, f"{day},1,BMI (kg/m2),24.5") == 24.5) == known

    @pytest.mark.parametrize("odd", ["9.9", "80.1", "0", "unable"])
    def test_an_implausible_value_gives_way_to_the_one_before(self, tmp_path: Path, odd: str) -> None:
        assert self.value(tmp_path, "2150-01-10,1,BMI,31.5", f"2150-02-10,1,BMI (kg/m2),{odd}") == 31.5

    def test_other_results_and_other_patients_say_nothing(self, tmp_path: Path) -> None:
        assert self.value(tmp_path, "2150-02-10,1,Weight (Lbs),60", "2150-02-10,1,Blood Pressure,110/70") is None
        cohort = cohort_with(tmp_path / "b", "bmi", omr="10000002,2150-02-10,1,BMI (kg/m2),25")
        assert values(cohort, "bmi") == {"a1": None, "b1": 25.0, "c1": None}


class TestInsurance:
    """The covering admission's, else the last one's before."""

    HEADER = "subject_id  hadm_id  admittime  dischtime  insurance  hospital_expire_flag\n"

    def value(self, folder: Path, *rows: str, linkage: str = "day", version: str = "2.2") -> object:
        mimic = Mimic(admissions=self.HEADER + "\n".join(f"10000001  {row}" for row in rows))
        mimic.write(folder, mimic_iv=version)
        return values(build_in(folder, names=("insurance",), linkage=linkage), "insurance")["a1"]

    @pytest.mark.parametrize("linkage", ["day", "time"])
    def test_the_covering_admission_states_it(self, tmp_path: Path, linkage: str) -> None:
        before = "20000001  2150-02-01 10:00:00  2150-02-03 12:00:00  Medicare  0"
        covers = "20000002  2150-03-01 10:00:00  2150-03-05 12:00:00  Medicaid  0"
        after = "20000003  2150-04-01 10:00:00  2150-04-05 12:00:00  Other     0"
        assert self.value(tmp_path, covers, after, before, linkage=linkage) == "Medicaid"

    def test_which_admission_covers_is_the_linkage_rules_choice(self, tmp_path: Path) -> None:
        # a1 is taken at 09:00, after the first discharge and before the second admission of that day
        first = "20000001  2150-03-01 10:00:00  2150-03-02 08:00:00  Medicare  0"
        second = "20000002  2150-03-02 10:00:00  2150-03-05 12:00:00  Medicaid  0"
        assert self.value(tmp_path / "day", first, second, linkage="day") == "Medicaid"
        assert self.value(tmp_path / "file order", second, first, linkage="day") == "Medicare"
        assert self.value(tmp_path / "time", first, second, linkage="time") == "Medicare"

    def test_without_one_the_last_admission_before_does_and_none_after(self, tmp_path: Path) -> None:
        first = "20000001  2150-01-01 10:00:00  2150-01-03 12:00:00  Medicare  0"
        last = "20000002  2150-02-01 10:00:00  2150-02-03 12:00:00  Medicaid  0"
        after = "20000003  2150-04-01 10:00:00  2150-04-05 12:00:00  Other     0"
        assert self.value(tmp_path / "a", last, first, after) == "Medicaid"
        assert self.value(tmp_path / "b", after) is None

    def test_an_admission_that_states_none_is_passed_over(self, tmp_path: Path) -> None:
        states = "20000001  2150-01-01 10:00:00  2150-01-03 12:00:00  Medicare  0"
        covers = "20000002  2150-03-01 10:00:00  2150-03-05 12:00:00  .         0"
        assert self.value(tmp_path, states, covers) == "Medicare"

    @pytest.mark.parametrize("version", ["1.0", "2.2"])
    def test_private_insurance_is_other_as_versions_before_3_call_it(self, tmp_path: Path, version: str) -> None:
        covers = "20000002  2150-03-01 10:00:00  2150-03-05 12:00:00  Private  0"
        assert self.value(tmp_path, covers, version=version) == "Other"


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("CHEST (PORTABLE AP)", "portable"),
        ("CHEST PORT. LINE PLACEMENT", "portable"),
        ("TRAUMA #3 (PORT CHEST ONLY)", "portable"),
        ("Chest (PA and Lat)", "two_views"),
        ("CHEST (PRE-OP PA & LAT)", "two_views"),
        ("CHEST (LAT DECUB ONLY)", "other"),
        ("ABDOMEN (SUPINE ONLY)", "other"),
        ("PERFORMED DESCRIPTION", None),
        (".", None),
    ],
)
def test_the_procedure_is_a_class_of_its_text(tmp_path: Path, description: str, expected: str | None) -> None:
    metadata = f"""
dicom_id  subject_id  study_id  PerformedProcedureStepDescription  ViewPosition  StudyDate  StudyTime
a1        10000001    50000001  {description}  PA            21500302   90000.5
b1        10000002    50000002  CHEST (SINGLE VIEW)  AP            21500601   120000.0
c1        10000003    50000003  .  LATERAL       21500701   120000.0
"""
    Mimic(metadata=metadata).write(tmp_path)
    assert values(build_in(tmp_path, names=("procedure",)), "procedure") == {"a1": expected, "b1": "other", "c1": None}


@pytest.mark.parametrize("version", ["1.0", "2.2"])
def test_the_examples_say_what_a_loop_says_on_generated_tables(tmp_path: Path, version: str) -> None:
    settings = SynthSettings(patients=30, tables_only=True, seed=3, mimic_iv_version=version)
    write_dataset(settings, tmp_path / "data")
    data = tmp_path / "data"
    (data / "mimic-cxr").symlink_to(data / "mimic-cxr-jpg")
    names = tuple(TABLES) if version == "2.2" else ("creatinine", "haemoglobin", "insurance")
    cohort = build_in(data, names=names, variable_tables={name: TABLES[name] for name in names})
    images = cohort.images.select(["subject_id", "study_time", *names]).to_pandas()
    labs = duckdb.read_csv(str(data / "mimic-iv/hosp/labevents.csv.gz")).df()
    assert list(labs.columns) == (LABEVENTS if version == "2.2" else OLD_LABEVENTS).split(",")
    for name, item, low, high in (("creatinine", 50912, 0.1, 20), ("haemoglobin", 51222, 1, 25)):
        tests = labs[(labs.itemid == item) & labs.valuenum.between(low, high)].sort_values(["charttime", "labevent_id"])
        of_patient = dict(tuple(tests.groupby("subject_id")))
        for image in images.itertuples():
            window = of_patient.get(image.subject_id, tests[:0])
            age = image.study_time - window.charttime
            window = window[(age >= "0s") & (age <= "48h")].valuenum
            found = getattr(image, name)
            assert np.isnan(found) if window.empty else found == window.iloc[-1]
        assert 0.2 < images[name].notna().mean() < 0.9
    assert set(images.insurance.dropna()) == {"Medicare", "Medicaid", "Other"}
    assert version == "1.0" or 0.1 < images.bmi.notna().mean() < 0.9


@pytest.mark.shared
@pytest.mark.parametrize("version", ["v1.0", "v2.2"])
def test_the_examples_run_on_the_genuine_demo_tables(shared_data: Path, tmp_path: Path, version: str) -> None:
    """Genuine admissions of 100 patients for the insurance; of labevents the demo here has the header and five rows."""
    demo = shared_data / "mimic-iv-demo" / version
    genuine = (shared_data / "mimic-iv-demo/v1.0/hosp/labevents.head.csv").read_text()
    assert genuine.splitlines()[0] == OLD_LABEVENTS
    mimic_iv = tmp_path / "mimic-iv"
    for path in demo.glob("*/*.csv*"):
        (mimic_iv / path.parent.name).mkdir(parents=True, exist_ok=True)
        (mimic_iv / path.parent.name / path.name).symlink_to(path)
    write_file(mimic_iv / "hosp/labevents.csv", genuine)
    metadata = """
dicom_id  subject_id  study_id  ViewPosition  StudyDate  StudyTime
a1        10014354    50000001  PA            21480816   120000.0
b1        10004235    50000002  AP            21960225   120000.0
c1        10003400    50000003  AP            21370225   120000.0
"""
    Mimic(metadata=metadata).write(tmp_path / "cxr")
    (tmp_path / "mimic-cxr").symlink_to(tmp_path / "cxr/mimic-cxr")
    write_file(
        tmp_path / "haematocrit.sql",
        (VARIABLES / "haemoglobin.sql").read_text().replace("51222", "51221").replace("25", "60"),
    )
    files = {"haematocrit": tmp_path / "haematocrit.sql"}
    files |= {name: VARIABLES / f"{name}.sql" for name in ("creatinine", "haemoglobin", "insurance")}
    streamed = dict.fromkeys(("haematocrit", "creatinine", "haemoglobin"), ("hosp/labevents",))
    cohort = build_in(tmp_path, files=files, variable_tables=streamed)
    assert values(cohort, "haematocrit") == {"a1": 29.6, "b1": None, "c1": None}
    assert values(cohort, "creatinine") == values(cohort, "haemoglobin") == dict.fromkeys(("a1", "b1", "c1"))
    assert values(cohort, "insurance")["b1"] == "Medicaid"
