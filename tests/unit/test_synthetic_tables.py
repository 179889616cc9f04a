"""The synthetic tables have the genuine layout, the published counts, and a truth that they agree with."""

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmsn.errors import UserError
from mmsn.labels import LABELS
from mmsn.synthetic import published
from mmsn.synthetic.dataset import write_dataset
from mmsn.synthetic.exact import apportion, exact_subset
from mmsn.synthetic.hospital import draw_hospital
from mmsn.synthetic.settings import SynthSettings
from mmsn.synthetic.views import draw_images

SHARED = Path(__file__).parents[3] / "shared/data"
SMALL = SynthSettings(patients=30, side=48, seed=3)
TABLES = SynthSettings(patients=1500, images=8652, seed=4, tables_only=True)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete little set with radiographs and external sets."""
    folder = tmp_path_factory.mktemp("synthetic") / "small"
    write_dataset(SMALL, folder)
    return folder


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables only, in the layout of MIMIC-IV 1.0."""
    folder = tmp_path_factory.mktemp("synthetic") / "tables"
    write_dataset(TABLES.model_copy(update={"mimic_iv_version": "1.0"}), folder)
    return folder


def header(path: Path) -> list[str]:
    raw = path.read_bytes()
    text = gzip.decompress(raw) if path.suffix == ".gz" else raw
    return next(csv.reader(text.decode().splitlines()))


def shared(name: str) -> Path:
    if not (SHARED / name).exists():
        pytest.skip(f"SKIPPED: ../shared/data/{name} is not there: the layout is not compared with the genuine one")
    return SHARED / name


@pytest.mark.shared
@pytest.mark.parametrize("table", ["hosp/patients", "hosp/admissions", "icu/icustays"])
def test_mimic_iv_2_2_has_the_genuine_columns(small: Path, table: str) -> None:
    genuine = header(shared("mimic-iv-demo/v2.2") / f"{table}.csv")
    assert header(small / f"mimic-iv/{table}.csv.gz") == genuine


@pytest.mark.shared
@pytest.mark.parametrize("table", ["core/patients", "core/admissions", "icu/icustays"])
def test_mimic_iv_1_0_has_the_genuine_columns(tables: Path, table: str) -> None:
    genuine = header(shared("mimic-iv-demo/v1.0") / f"{table}.csv.gz")
    assert header(tables / f"mimic-iv/{table}.csv.gz") == genuine


@pytest.mark.shared
@pytest.mark.parametrize("table", ["metadata", "chexpert", "split"])
def test_mimic_cxr_has_the_columns_of_open_cxr(small: Path, table: str) -> None:
    name = f"mimic-cxr-jpg/mimic-cxr-2.0.0-{table}.csv.gz"
    assert header(small / name) == header(shared("open-cxr") / name)


@pytest.mark.shared
def test_nih_has_the_genuine_columns(small: Path) -> None:
    genuine = header(shared("nih-14/Data_Entry_2017_v2020.csv.gz"))
    assert header(small / "nih-14/Data_Entry_2017_v2020.csv") == genuine


def test_cells_look_like_those_of_physionet(small: Path) -> None:
    metadata = pd.read_csv(small / "mimic-cxr-jpg/mimic-cxr-2.0.0-metadata.csv.gz", dtype=str)
    assert metadata.dicom_id.str.fullmatch(r"([0-9a-f]{8}-){4}[0-9a-f]{8}").all()
    assert metadata.subject_id.str.fullmatch(r"1\d{7}").all()
    assert metadata.study_id.str.fullmatch(r"5\d{7}").all()
    assert metadata.StudyDate.str.fullmatch(r"2[12]\d{6}").all()
    assert metadata.StudyTime.astype(float).between(0, 235959.999).all()
    labels = pd.read_csv(small / "mimic-cxr-jpg/mimic-cxr-2.0.0-negbio.csv.gz", dtype=str, keep_default_na=False)
    assert set(np.unique(labels[list(LABELS)])) == {"", "0.0", "1.0", "-1.0"}
    read = pd.read_csv(small / "mimic-cxr-jpg/mimic-cxr-2.1.0-test-set-labeled.csv", dtype=str)
    assert list(read) == ["study_id", *(name.replace("Lung Opacity", "Airspace Opacity") for name in LABELS)]
    admissions = pd.read_csv(small / "mimic-iv/hosp/admissions.csv.gz", dtype=str)
    assert admissions.admittime.str.fullmatch(r"2\d{3}-\d\d-\d\d \d\d:\d\d:00").all()


def test_the_radiologist_reads_the_official_test_split_and_is_right(tables: Path) -> None:
    cxr = tables / "mimic-cxr-jpg"
    read = pd.read_csv(cxr / "mimic-cxr-2.1.0-test-set-labeled.csv").set_index("study_id")
    split = pd.read_csv(cxr / "mimic-cxr-2.0.0-split.csv.gz").set_index("study_id")["split"]
    assert set(split.loc[read.index]) == {"test"}
    assert 0 < len(read) <= published.RADIOLOGIST_STUDIES
    truth = pd.read_parquet(tables / "truth.parquet").drop_duplicates("study_id").set_index("study_id")
    assert (read["Edema"].notna() == truth.loc[read.index, "Edema"].astype(bool)).all()


def test_every_named_radiograph_is_there_in_its_size(small: Path) -> None:
    metadata = pd.read_csv(small / "mimic-cxr-jpg/mimic-cxr-2.0.0-metadata.csv.gz").set_index("dicom_id")
    truth = pd.read_parquet(small / "truth.parquet")
    assert len(list(small.glob("mimic-cxr-jpg/files/p1?/p1*/s5*/*.jpg"))) == len(truth) == len(metadata)
    for row in truth.itertuples():
        with Image.open(small / "mimic-cxr-jpg" / row.path) as image:
            image.load()
            assert (image.mode, image.height, image.width) == ("L", *metadata.loc[row.dicom_id, ["Rows", "Columns"]])
            assert max(image.size) == SMALL.side


def test_external_images_are_there(small: Path) -> None:
    entries = pd.read_csv(small / "nih-14/Data_Entry_2017_v2020.csv", index_col=False)
    lists = [(small / f"nih-14/{name}_list.txt").read_text().split() for name in ("train_val", "test")]
    assert sorted(lists[0] + lists[1]) == sorted(entries["Image Index"])
    assert not {name[:8] for name in lists[0]} & {name[:8] for name in lists[1]}
    assert all((small / "nih-14/images" / name).is_file() for name in entries["Image Index"])
    for part in ("train", "valid", "test"):
        table = pd.read_csv(small / f"chexpert/{part}.csv")
        assert set(LABELS) < set(table.columns)
        assert all((small / "chexpert" / path.removeprefix("CheXpert-v1.0-small/")).is_file() for path in table.Path)
    assert pd.read_csv(small / "chexpert/valid.csv")[list(LABELS)].isin([0, 1]).all(axis=None)


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers(small: Path, tmp_path: Path) -> None:
    write_dataset(SMALL, tmp_path / "again", workers=2)
    names = sorted(path.relative_to(small) for path in small.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(tmp_path / "again") for path in (tmp_path / "again").rglob("*.*"))
    assert all((small / name).read_bytes() == (tmp_path / "again" / name).read_bytes() for name in names)


def test_a_complete_set_is_left_as_it_is_and_another_is_refused(small: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in small.rglob("*")}
    write_dataset(SMALL, small)
    assert {path: path.stat().st_mtime_ns for path in small.rglob("*")} == before
    with pytest.raises(UserError, match=r"seed is 3, not 9.*choose another folder or delete it"):
        write_dataset(SMALL.model_copy(update={"seed": 9}), small)
    with pytest.raises(UserError, match=r"no synthetic data set \(no truth.json\)"):
        write_dataset(SMALL, small / "mimic-iv")


def test_an_interrupted_run_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mmsn.synthetic.dataset.draw_plates", stop)
    with pytest.raises(KeyboardInterrupt):
        write_dataset(SMALL, tmp_path / "set")
    assert not list(tmp_path.iterdir())


def test_full_size_tables_hit_the_published_counts_exactly() -> None:
    settings = SynthSettings(patients=published.PATIENTS, images=published.IMAGES, tables_only=True)
    rng = np.random.default_rng(0)
    hospital = draw_hospital(rng, settings, published.IMAGES)
    studies, shapes = hospital.studies, hospital.shapes
    known = hospital.patients.known[studies.patient]
    images = draw_images(rng, shapes, known, published.IMAGES)
    assert shapes.images.sum() == published.IMAGES
    assert shapes.images[known].sum() == 376_221
    assert shapes.images[known & hospital.patients.male[studies.patient]].sum() == published.MALE_IMAGES
    assert shapes.images[known & studies.died_day].sum() == published.DIED_IMAGES
    assert shapes.images[~studies.icu_day].sum() == 297_921
    assert images.position_missing[known[images.study]].sum() == published.POSITION_MISSING
    for name, count in published.VIEWS.items():
        assert (images.recorded_view == name).sum() == count
    assert (images.recorded_view == "").sum() == published.VIEW_MISSING
    strange = ~np.isin(images.recorded_view, ["", *published.VIEWS])
    assert (strange.sum(), strange[known[images.study]].sum()) == (21, 20)
    assert (studies.age.min(), studies.age.max()) == (16, 100)
    kept = known[images.study] & ~strange
    assert len(np.unique(studies.patient[images.study[kept]])) == 65_152
    assert hospital.patients.known.sum() == 299_712
    assert hospital.encounters.admitted.sum() == 431_231
    assert hospital.stays.icu.sum() == 73_181


def test_an_icu_stay_covers_days_of_its_own_encounter_alone() -> None:
    """Or images would lie in stays that the exact count has not seen."""
    settings = SynthSettings(patients=20_000, tables_only=True)
    hospital = draw_hospital(np.random.default_rng(0), settings, 115_000)
    studies, stays, owner = hospital.studies, hospital.stays, hospital.encounters.patient
    day = pd.Series(studies.time // 86_400, name="day")
    of_patients = pd.DataFrame({"patient": owner, "first": stays.icu_in // 86_400, "last": stays.icu_out // 86_400})
    joined = pd.DataFrame({"study": day.index, "patient": studies.patient, "day": day}).merge(of_patients[stays.icu])
    covered = joined[joined.day.between(joined["first"], joined["last"])].study
    assert set(covered) == set(np.flatnonzero(studies.icu_day))


def test_tables_only_has_its_number_of_rows_and_no_image(tables: Path) -> None:
    metadata = pd.read_csv(tables / "mimic-cxr-jpg/mimic-cxr-2.0.0-metadata.csv.gz")
    assert (len(metadata), metadata.subject_id.nunique()) == (TABLES.images, TABLES.patients)
    assert not (tables / "mimic-cxr-jpg/files").exists()
    split = pd.read_csv(tables / "mimic-cxr-jpg/mimic-cxr-2.0.0-split.csv.gz")
    assert (split.split == "test").sum() == round(published.SPLIT["test"] * TABLES.images / published.IMAGES)


def test_missingness_is_the_published_one(tables: Path) -> None:
    metadata = pd.read_csv(tables / "mimic-cxr-jpg/mimic-cxr-2.0.0-metadata.csv.gz")
    assert metadata.ViewPosition.isna().mean() == pytest.approx(15_769 / 377_110, abs=1e-3)
    position = metadata.PatientOrientationCodeSequence_CodeMeaning
    assert position.isna().mean() == pytest.approx(41_100 / 376_221, abs=1e-3)
    truth = pd.read_parquet(tables / "truth.parquet")
    assert (~truth.labelled).sum() == 1
    assert (~truth.in_mimic_iv).sum() == round(889 * TABLES.images / published.IMAGES)


def test_no_patient_is_in_two_splits(small: Path, tables: Path) -> None:
    for folder in (small, tables):
        split = pd.read_csv(folder / "mimic-cxr-jpg/mimic-cxr-2.0.0-split.csv.gz")
        assert len(split[["subject_id", "split"]].drop_duplicates()) == split.subject_id.nunique()
        assert set(split.split) == {"train", "validate", "test"}
        lists = [set(pd.read_csv(folder / f"medfuse/{name}.csv").subject_id) for name in ("validation", "test")]
        assert lists[0]
        assert not lists[0] & lists[1]


def test_truth_agrees_with_what_the_tables_say(tables: Path) -> None:
    """Sex, age, death and ICU by plain joins: the day-level rule, and the hour-level one."""
    truth = pd.read_parquet(tables / "truth.parquet").query("in_mimic_iv")
    patients = pd.read_csv(tables / "mimic-iv/core/patients.csv.gz").set_index("subject_id")
    found = patients.loc[truth.subject_id]
    assert (found.gender.to_numpy() == truth.sex).all()
    born = (found.anchor_year - found.anchor_age).to_numpy()
    assert (truth.study_time.dt.year - born == truth.age).all()
    times = ["edregtime", "admittime", "dischtime"]
    admissions = pd.read_csv(tables / "mimic-iv/core/admissions.csv.gz", parse_dates=times)
    joined = truth.merge(admissions, on="subject_id")
    day = joined.study_time.dt.normalize()
    on_day = joined[joined.admittime.dt.normalize().le(day) & joined.dischtime.ge(day)]
    died = on_day.groupby("dicom_id").hospital_expire_flag.last().reindex(truth.dicom_id, fill_value=0)
    assert (np.where(died == 1, "died", "alive") == truth.mort).all()
    start = joined.edregtime.fillna(joined.admittime)
    at_time = joined[start.le(joined.study_time) & joined.dischtime.ge(joined.study_time)]
    died = at_time.groupby("dicom_id").hospital_expire_flag.max().reindex(truth.dicom_id, fill_value=0)
    assert (np.where(died == 1, "died", "alive") == truth.mort_by_time).all()
    stays = pd.read_csv(tables / "mimic-iv/icu/icustays.csv.gz", parse_dates=["intime", "outtime"])
    joined = truth.merge(stays, on="subject_id")
    day = joined.study_time.dt.normalize()
    covered = joined[joined.intime.dt.normalize().le(day) & joined.outtime.ge(day)].dicom_id
    assert (truth.dicom_id.isin(covered) == (truth.icu == "icu")).all()
    covered = joined[joined.intime.le(joined.study_time) & joined.outtime.ge(joined.study_time)].dicom_id
    assert (truth.dicom_id.isin(covered) == (truth.icu_by_time == "icu")).all()


def test_hospital_life_has_its_corner_cases(tables: Path) -> None:
    times = ["edregtime", "admittime", "dischtime"]
    admissions = pd.read_csv(tables / "mimic-iv/core/admissions.csv.gz", parse_dates=times)
    admissions = admissions.sort_values(["subject_id", "admittime"])
    previous = admissions.groupby("subject_id").dischtime.shift()
    assert (previous.dt.date == admissions.admittime.dt.date).sum() > 5, "readmission on the day of discharge"
    assert not (previous > admissions.admittime).any()
    assert (admissions.edregtime < admissions.admittime).mean() > 0.3
    assert admissions.subject_id.value_counts().max() > 4
    truth = pd.read_parquet(tables / "truth.parquet")
    assert (truth.mort != truth.mort_by_time).any()
    assert (truth.icu != truth.icu_by_time).any()
    assert not truth.subject_id.isin(admissions.subject_id).all(), "studies outside any admission"
    assert truth.subject_id.value_counts().max() > 40, "a long tail of images per patient"


def test_truth_json_states_the_parameters(small: Path) -> None:
    stated = json.loads((small / "truth.json").read_text())
    assert SynthSettings(**{k: v for k, v in stated["parameters"].items() if k != "format"}) == SMALL
    assert set(stated["prevalence_of_studies"]) == set(LABELS)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(0, 60), st.integers(0, 9))
def test_an_exact_subset_never_overshoots_and_is_exact_where_small_groups_are_left(
    sizes: list[int], total: int, seed: int
) -> None:
    sizes = sizes + [1] * 12
    scores = np.random.default_rng(seed).uniform(size=len(sizes))
    chosen = exact_subset(scores, np.array(sizes), total)
    reached = int(np.array(sizes)[chosen].sum())
    assert reached <= total
    assert reached == min(total, sum(sizes)) or 1 not in np.array(sizes)[~chosen]


@given(st.integers(0, 10_000), st.lists(st.floats(0.01, 5), min_size=1, max_size=8))
def test_apportioned_parts_add_up(total: int, weights: list[float]) -> None:
    parts = apportion(total, np.array(weights))
    assert parts.sum() == total
    assert np.abs(parts - total * np.array(weights) / sum(weights)).max() < 1 + 1e-6
