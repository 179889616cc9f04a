"""Which files a cohort is built from is seen from the folders: versions, compression, labellers."""

from pathlib import Path

import pytest

from mmsn.cohort.settings import CohortSettings
from mmsn.cohort.sources import find_tables
from mmsn.errors import UserError
from tests.unit.cohort_tables import Mimic, build_in, values, write_file

OFFICIAL = CohortSettings(split="official")


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
@pytest.mark.parametrize("mimic_iv", ["1.0", "2.2"])
@pytest.mark.parametrize("cxr", ["2.0.0", "2.1.0"])
def test_every_version_compressed_or_not_gives_the_same_cohort(
    tmp_path: Path, suffix: str, mimic_iv: str, cxr: str
) -> None:
    Mimic().write(tmp_path / "this", suffix, mimic_iv, cxr)
    Mimic().write(tmp_path / "usual")
    assert build_in(tmp_path / "this").images.equals(build_in(tmp_path / "usual").images)


def test_the_race_of_an_admission_has_one_name_in_both_versions(tmp_path: Path) -> None:
    # MIMIC-IV 1.0 calls the column `ethnicity`.
    write_file(tmp_path / "race.sql", "SELECT dicom_id, any_value(race) AS value FROM images"
               " JOIN admissions USING (subject_id) GROUP BY dicom_id")  # fmt: skip
    for version in ("1.0", "2.2"):
        Mimic().write(tmp_path / version, mimic_iv=version)
        for path in (tmp_path / version).glob("mimic-iv/*/admissions.csv"):
            path.write_text(path.read_text().replace(",,,2150-02-28", ",,WHITE,2150-02-28"))
        cohort = build_in(tmp_path / version, files={"race": tmp_path / "race.sql"})
        assert values(cohort, "race") == {"a1": "WHITE", "b1": None, "c1": None}


def test_hosp_alone_is_no_2x_when_the_patients_lie_in_core(tmp_path: Path) -> None:
    Mimic().write(tmp_path, mimic_iv="1.0")
    write_file(tmp_path / "mimic-iv" / "hosp" / "labevents.csv", "labevent_id\n")
    assert find_tables(tmp_path / "mimic-iv", tmp_path / "mimic-cxr", OFFICIAL).patients.parent.name == "core"


def test_two_versions_in_one_folder_are_refused(tmp_path: Path) -> None:
    for version in ("1.0", "2.2"):
        Mimic().write(tmp_path, mimic_iv=version)
    with pytest.raises(UserError, match=r"hosp/patients \(MIMIC-IV 2\.x\) and core/patients \(1\.0\)"):
        find_tables(tmp_path / "mimic-iv", tmp_path / "mimic-cxr", OFFICIAL)


def test_tables_named_by_different_versions_go_together_but_two_of_one_table_are_refused(tmp_path: Path) -> None:
    # MIMIC-CXR-JPG 2.1.0 ships its tables under the names of 2.0.0; copies of it carry both.
    Mimic().write(tmp_path)
    cxr = tmp_path / "mimic-cxr"
    usual = build_in(tmp_path)
    (cxr / "mimic-cxr-2.0.0-chexpert.csv").rename(cxr / "mimic-cxr-2.1.0-chexpert.csv")
    assert build_in(tmp_path).images.equals(usual.images)
    (cxr / "mimic-cxr-2.0.0-chexpert.csv").write_text((cxr / "mimic-cxr-2.1.0-chexpert.csv").read_text())
    with pytest.raises(UserError, match=r"holds mimic-cxr-2\.0\.0-chexpert and mimic-cxr-2\.1\.0-chexpert; keep"):
        build_in(tmp_path)


def test_only_the_tables_that_the_settings_need_are_looked_for(tmp_path: Path) -> None:
    Mimic().write(tmp_path)
    (tmp_path / "mimic-cxr" / "mimic-cxr-2.0.0-split.csv").unlink()
    tables = find_tables(tmp_path / "mimic-iv", tmp_path / "mimic-cxr", CohortSettings(split="random"))
    assert [path.stem for path in tables.paths] == [
        "patients", "admissions", "icustays", "mimic-cxr-2.0.0-metadata", "mimic-cxr-2.0.0-chexpert",
    ]  # fmt: skip
    with pytest.raises(UserError, match=r"none of mimic-cxr-2\.0\.0-split\.csv\.gz, .*put the table there"):
        find_tables(tmp_path / "mimic-iv", tmp_path / "mimic-cxr", OFFICIAL)
