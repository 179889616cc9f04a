"""The SQL against plain Python loops: on random small tables, on the genuine MIMIC-IV demo, on open radiographs."""

import csv
import gzip
import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.cohort_tables import HEADERS, Mimic, build_in, step, values, write_file

Row = dict[str, str]
NOON = datetime(2150, 3, 1, 12)


def moment(cell: str) -> datetime | None:
    """A timestamp's cell."""
    return datetime.fromisoformat(cell) if cell else None


def taken(image: Row) -> tuple[date, datetime] | None:
    """Day and time of a study; None where it has no date."""
    if not image["StudyDate"]:
        return None
    day = datetime.strptime(image["StudyDate"], "%Y%m%d")
    clock = f"{float(image['StudyTime']):013.6f}"
    parts = timedelta(hours=int(clock[:2]), minutes=int(clock[2:4]), seconds=float(clock[4:]))
    return day.date(), day + parts


def by_loop(image: Row, patients: list[Row], admissions: list[Row], stays: list[Row], linkage: str) -> dict[str, Any]:
    """Age, mortality and ICU of one image, the way the released notebook finds them: a loop over the patient's rows."""
    (patient,) = [row for row in patients if row["subject_id"] == image["subject_id"]]
    when = taken(image)
    if when is None:
        return {"sex": patient["gender"], "age": None, "mort": None, "icu": None}
    age = when[0].year - (int(patient["anchor_year"]) - int(patient["anchor_age"]))
    covers = on_the_day if linkage == "day" else at_the_time
    mort, latest = "alive", datetime.min
    for row in admissions:
        starts = min(filter(None, (moment(row["admittime"]), moment(row["edregtime"] if linkage == "time" else ""))))
        # a stay without an end covers the emergency department before it, up to the moment of admission
        ends = moment(row["dischtime"]) or moment(row["admittime"])
        if row["subject_id"] == image["subject_id"] and covers(when, starts, ends):
            if linkage == "day" or starts > latest:
                mort = "died" if row["hospital_expire_flag"] == "1" else "alive"
            latest = max(latest, starts)
    mine = [row for row in stays if row["subject_id"] == image["subject_id"]]
    spans = [(moment(row["intime"]), moment(row["outtime"]) or moment(row["intime"])) for row in mine]
    icu = any(covers(when, *span) for span in spans)
    return {"sex": patient["gender"], "age": age, "mort": mort, "icu": "icu" if icu else "not_icu"}


def on_the_day(when: tuple[date, datetime], starts: datetime, ends: datetime) -> bool:
    return starts.date() <= when[0] <= ends.date()


def at_the_time(when: tuple[date, datetime], starts: datetime, ends: datetime) -> bool:
    return starts <= when[1] <= ends


def read(path: Path) -> list[Row]:
    opener: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", newline="") as lines:
        return list(csv.DictReader(lines))


def compare(folder: Path, linkage: str, mimic_iv: Path) -> int:
    """Check every image of the cohort below `folder` against the loop; how many images there are."""
    cohort = build_in(folder, linkage=linkage)
    tables = [read(next(mimic_iv.glob(f"*/{name}.csv*"))) for name in ("patients", "admissions", "icustays")]
    images = read(folder / "mimic-cxr" / "mimic-cxr-2.0.0-metadata.csv")
    found = {name: values(cohort, name) for name in ("sex", "age", "mort", "icu")}
    gone = set(cohort.exclusions["dicom_id"].to_pylist())
    assert sorted([*found["age"], *gone]) == sorted(image["dicom_id"] for image in images), "each image exactly once"
    for image in images:
        if image["dicom_id"] not in gone:
            there = {name: column[image["dicom_id"]] for name, column in found.items()}
            assert there == by_loop(image, *tables, linkage)
    return len(images)


# --- random small tables -------------------------------------------------------------------------------------------

hours = st.integers(-60, 60)
patient = st.sampled_from([10000001, 10000002, 10000003, 10000004])  # the last is absent from MIMIC-IV
stays = st.lists(st.tuples(patient, hours, st.none() | st.integers(-2, 50), st.none() | st.integers(1, 9)), max_size=6)


def text(hour: int | None) -> str:
    return "." if hour is None else f"{NOON + timedelta(hours=hour):%Y-%m-%d %H:%M:%S}"


@st.composite
def worlds(draw: st.DrawFn) -> Mimic:
    """Admissions, ICU stays and studies within five days, overlapping in every way; distinct admission starts."""
    admitted = draw(
        stays.filter(lambda rows: len({(who, start - (ed or 0)) for who, start, _, ed in rows}) == len(rows))
    )
    studies = draw(st.lists(st.tuples(patient, st.none() | hours), max_size=6))
    lines: dict[str, list[str]] = {"admissions": [], "icustays": [], "metadata": [], "split": []}
    for number, (who, start, length, ed) in enumerate(admitted):
        ends = None if length is None else start + length
        before = None if ed is None else start - ed
        flag = draw(st.integers(0, 1))
        lines["admissions"].append(f"{who}  {20000100 + number}  {text(start)}  {text(ends)}  {text(before)}  {flag}")
    for number, (who, start, length, _) in enumerate(draw(stays)):
        ends = None if length is None else start + length
        lines["icustays"].append(f"{who}  20000100  {30000100 + number}  {text(start)}  {text(ends)}")
    names = {10000001: "train", 10000002: "validate", 10000003: "test", 10000004: "train"}
    for number, (who, hour) in enumerate(studies):
        when = ".  100000.0" if hour is None else f"{NOON + timedelta(hours=hour):%Y%m%d  %H%M%S}.0"
        lines["metadata"].append(f"x{number}  {who}  {50000100 + number}  PA  {when}  Erect")
        lines["split"].append(f"x{number}  {who}  {50000100 + number}  {names[who]}")
    return Mimic().plus(**{table: "\n".join(rows) for table, rows in lines.items()})


thorough = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@thorough
@given(mimic=worlds(), linkage=st.sampled_from(["day", "time"]))
def test_the_joins_say_what_the_loop_says_and_never_multiply_an_image(
    tmp_path_factory: pytest.TempPathFactory, mimic: Mimic, linkage: str
) -> None:
    folder = tmp_path_factory.mktemp("world")
    mimic.write(folder)
    compare(folder, linkage, folder / "mimic-iv")


@thorough
@given(mimic=worlds(), linkage=st.sampled_from(["day", "time"]), seed=st.integers(0, 99))
def test_the_order_of_rows_matters_to_the_day_rules_admissions_only(
    tmp_path_factory: pytest.TempPathFactory, mimic: Mimic, linkage: str, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("ordered")
    mimic.write(folder)
    ordered = build_in(folder, linkage=linkage)
    shuffle_rows(folder, seed, but="admissions.csv" if linkage == "day" else "")
    shuffled = build_in(folder, linkage=linkage)
    assert shuffled.images.equals(ordered.images, check_metadata=True)
    assert shuffled.exclusions.equals(ordered.exclusions)
    # What the `day` rule would find is reported under `time` too, and depends on the order of admissions there.
    by_day = [cohort.flow.pop("linkage") for cohort in (ordered, shuffled)]
    assert shuffled.flow == ordered.flow
    assert by_day[0]["rules"]["time"] == by_day[1]["rules"]["time"]
    assert linkage == "time" or by_day[0] == by_day[1]


@thorough
@given(mimic=worlds(), seed=st.integers(0, 99))
def test_under_the_day_rule_another_order_of_admissions_changes_only_what_the_flow_says_it_may(
    tmp_path_factory: pytest.TempPathFactory, mimic: Mimic, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("admissions")
    mimic.write(folder)
    ordered = build_in(folder)
    shuffle_rows(folder, seed)
    shuffled = build_in(folder)
    assert shuffled.images.drop_columns("mort").equals(ordered.images.drop_columns("mort"), check_metadata=True)
    before, after = values(ordered, "mort"), values(shuffled, "mort")
    changed = sum(before[dicom] != after[dicom] for dicom in before)
    assert changed <= ordered.flow["linkage"]["rules"]["day"]["mortality decided by the order of the file"]
    at_the_time = [cohort.flow["linkage"]["rules"]["time"] for cohort in (ordered, shuffled)]
    assert at_the_time[0] == at_the_time[1]


@thorough
@given(mimic=worlds(), unlinked=st.sampled_from(["zero", "unknown"]))
def test_the_images_that_a_rule_is_said_to_move_are_those_that_the_other_rule_gives_another_flag(
    tmp_path_factory: pytest.TempPathFactory, mimic: Mimic, unlinked: str
) -> None:
    folder = tmp_path_factory.mktemp("moved")
    # Every image stays in the cohort: the flow counts those that leave as well.
    mimic.but("patients", "10000003  ", "10000004    F       50          2150\n10000003  ").write(folder)
    day, time = (build_in(folder, linkage=linkage, unlinked=unlinked) for linkage in ("day", "time"))
    assert day.flow["linkage"] == time.flow["linkage"]
    for name in ("mort", "icu"):
        before, after = values(day, name), values(time, name)
        moved = Counter(
            f"{name}: {before[dicom] or 'unknown'} to {after[dicom] or 'unknown'}"
            for dicom in before
            if before[dicom] != after[dicom]
        )
        said = {change: images for change, images in day.flow["linkage"]["moved"].items() if change.startswith(name)}
        assert said.pop(f"{name}: moved") == moved.total()
        assert {change: images for change, images in said.items() if images} == moved


def shuffle_rows(folder: Path, seed: int, but: str = "") -> None:
    """Put the rows of every table below `folder` in another order, except those of the file `but`."""
    shuffle = random.Random(seed).shuffle
    for path in sorted(folder.glob("**/*.csv")):
        if path.name != but:
            header, *rows = path.read_text().splitlines()
            shuffle(rows)
            path.write_text("\n".join([header, *rows, ""]))


# --- the genuine demo tables ---------------------------------------------------------------------------------------


def studies_around(admissions: list[Row], icu: list[Row]) -> Iterator[tuple[str, datetime]]:
    """Studies at every edge that the rules could get wrong: the hours around admission, discharge, ICU in and out."""
    for row in admissions:
        for edge in filter(None, (moment(row[name]) for name in ("admittime", "dischtime", "edregtime"))):
            for hours_later in (-30, -1, 0, 1, 30):
                yield row["subject_id"], edge + timedelta(hours=hours_later)
    for row in icu:
        for edge in filter(None, (moment(row["intime"]), moment(row["outtime"]))):
            for hours_later in (-1, 0, 1):
                yield row["subject_id"], edge + timedelta(hours=hours_later)


def write_studies(folder: Path, studies: list[tuple[str, datetime]]) -> None:
    """MIMIC-CXR tables for these studies: generated ids, patients dealt to the splits in turn."""
    splits = dict(zip(sorted({who for who, _ in studies}), ["train", "train", "validate", "test"] * 25, strict=False))
    metadata, labels, split = (HEADERS[name] + "\n" for name in ("metadata", "labels", "split"))
    for number, (who, when) in enumerate(studies):
        study = 50_000_000 + number
        metadata += f"d{number},{who},{study},,PA,640,640,{when:%Y%m%d},{float(f'{when:%H%M%S}')},,,Erect\n"
        labels += f"{who},{study},1.0{',' * 13}\n"
        split += f"d{number},{study},{who},{splits[who]}\n"
    for name, content in {"metadata": metadata, "chexpert": labels, "split": split}.items():
        write_file(folder / "mimic-cxr" / f"mimic-cxr-2.0.0-{name}.csv", content)


@pytest.mark.shared
@pytest.mark.parametrize("linkage", ["day", "time"])
@pytest.mark.parametrize("version", ["v1.0", "v2.2"])
def test_on_the_genuine_mimic_iv_demo_the_join_says_what_the_loop_says(
    shared_data: Path, tmp_path: Path, version: str, linkage: str
) -> None:
    demo = shared_data / "mimic-iv-demo" / version
    (tmp_path / "mimic-iv").symlink_to(demo)
    admissions, icu = (read(next(demo.glob(f"*/{name}.csv*"))) for name in ("admissions", "icustays"))
    write_studies(tmp_path, list(studies_around(admissions[:60], icu[:40])))
    assert compare(tmp_path, linkage, demo) > 800


@pytest.mark.shared
def test_the_open_radiographs_give_their_documented_cohort(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "open-cxr"
    (tmp_path / "mimic-iv").symlink_to(source / "mimic-iv")
    (tmp_path / "mimic-cxr").symlink_to(source / "mimic-cxr-jpg")
    cohort = build_in(tmp_path)
    assert cohort.images.num_rows == 734
    assert [step(cohort, f"the cohort: {split}") for split in ("train", "validate", "test")] == [555, 69, 110]
    assert all((source / "mimic-cxr-jpg" / path).is_file() for path in cohort.images["path"].to_pylist())
    assert min(age for age in values(cohort, "age").values() if age is not None) == 4, "children stay"
    known = {row["subject_id"]: row for row in read(source / "KNOWN.csv")}
    subjects = values(cohort, "subject_id")
    for dicom, age in values(cohort, "age").items():
        assert (age is not None) == (known[str(subjects[dicom])]["age_known"] == "1")
