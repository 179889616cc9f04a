"""The input tables: which columns are read, how a cell's text becomes a value, what a cell must be."""

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from mmsn.labels import LABELS

_TEXT: Final = pa.string()
_WHOLE: Final = pa.int64()


@dataclass(frozen=True)
class Column:
    """One column of a CSV file and of the table made from it."""

    header: str
    """Name in the file, as MIMIC-IV 2.x and 3.x have it."""
    parse: str = "{cell}"
    """SQL of the value, with `{cell}` for the text; NULL where the text is not what it must be."""
    must_be: str = ""
    """The demand in words, completing 'must be ...'."""
    required: bool = False
    """A blank cell is an error."""
    name: str = ""
    """Name in the table; the header's where empty."""
    kind: pa.DataType = _TEXT
    """What Arrow may parse the cell as."""
    typed: str = ""
    """SQL of the value, with `{cell}` for what Arrow parsed; as `parse` where empty."""

    @property
    def called(self) -> str:
        """Name in the table."""
        return self.name or self.header


@dataclass(frozen=True)
class InputTable:
    """One input table; a file may have more columns than these."""

    columns: tuple[Column, ...]
    key: str | None = None
    """Column whose values may not repeat."""


def _integer(header: str, required: bool = False) -> Column:
    # A cast alone would round '21800506.5', and take '10000032.0' from a table that went through floats.
    parse = "CAST(TRY_CAST(CASE WHEN NOT contains({cell}, '.') THEN {cell} END AS UINTEGER) AS BIGINT)"
    typed = "CASE WHEN {cell} BETWEEN 0 AND 4294967295 THEN {cell} END"
    return Column(header, parse, "an integer", required, kind=_WHOLE, typed=typed)


def _id(header: str) -> Column:
    return _integer(header, required=True)


def _time(header: str, required: bool = False) -> Column:
    must_be = "a time YYYY-MM-DD hh:mm:ss"
    return Column(header, "TRY_CAST({cell} AS TIMESTAMP)", must_be, required, kind=pa.timestamp("us"), typed="{cell}")


def _label(header: str) -> Column:
    # 1 positive, 0 negative, -1 uncertain; written 1.0 in MIMIC-CXR-JPG.
    parse = "CASE WHEN TRY_CAST({cell} AS FLOAT) IN (1, 0, -1) THEN TRY_CAST({cell} AS FLOAT) END"
    typed = "CASE WHEN {cell} IN (1, 0, -1) THEN {cell} END"
    return Column(header, parse, "1, 0, -1 or blank", kind=pa.float32(), typed=typed)


_DICOM_ID: Final = Column(
    # It becomes a file name: a slash in it would point to another folder.
    "dicom_id",
    "CASE WHEN NOT contains({cell}, '/') AND NOT contains({cell}, ' ') THEN {cell} END",
    "a DICOM id without slashes and blanks",
    required=True,
)
_DIED: Final = Column(
    "hospital_expire_flag",
    "CASE {cell} WHEN '0' THEN CAST(0 AS TINYINT) WHEN '1' THEN CAST(1 AS TINYINT) END",
    "0 or 1",
    required=True,
    kind=pa.int8(),
    typed="CASE WHEN {cell} BETWEEN 0 AND 1 THEN {cell} END",
)
_SPLIT: Final = Column(
    "split",
    "CASE WHEN {cell} IN ('train', 'validate', 'test') THEN {cell} END",
    "train, validate or test",
    required=True,
)
_STUDY_DATE: Final = Column(
    "StudyDate",
    "CAST(CASE WHEN length({cell}) = 8 THEN TRY_STRPTIME({cell}, '%Y%m%d') END AS DATE)",
    "an integer yyyymmdd, a day of the calendar",
    name="study_date",
    kind=_WHOLE,
    typed="CASE WHEN {cell} BETWEEN 10000101 AND 99991231"
    " THEN TRY(make_date({cell} // 10000, {cell} // 100 % 100, {cell} % 100)) END",
)
_STUDY_TIME: Final = Column(
    # A DICOM TM value that went through a number and lost its leading zeros: 70318.255 is 07:03:18.255. In millionths.
    "StudyTime",
    "CASE WHEN TRY_CAST({cell} AS DECIMAL(15, 6)) BETWEEN 0 AND 999999.999999"
    " THEN CAST(TRY_CAST({cell} AS DECIMAL(15, 6)) * 1000000 AS BIGINT) END",
    "a number HHMMSS.ffffff",
    name="study_clock",
    kind=pa.float64(),
    typed="CASE WHEN {cell} BETWEEN 0 AND 999999.999999 THEN CAST(round({cell} * 1000000) AS BIGINT) END",
)

_LABELS: Final = InputTable((_id("study_id"), *(_label(label) for label in LABELS)), key="study_id")

TABLES: Final[dict[str, InputTable]] = {
    "metadata": InputTable(
        (
            _DICOM_ID,
            _id("subject_id"),
            _id("study_id"),
            Column("ViewPosition", name="view_position"),
            _STUDY_DATE,
            _STUDY_TIME,
            Column("PatientOrientationCodeSequence_CodeMeaning", name="orientation"),
        ),
        key="dicom_id",
    ),
    "admissions": InputTable(
        (
            _id("subject_id"),
            _id("hadm_id"),
            _time("admittime", required=True),
            _time("dischtime"),
            _time("edregtime"),
            _DIED,
            Column("race"),
        )
    ),
    "labels": _LABELS,
    "test_labels": _LABELS,
    "split": InputTable((_DICOM_ID, _SPLIT), key="dicom_id"),
    "patients": InputTable(
        (_id("subject_id"), Column("gender"), _integer("anchor_age"), _integer("anchor_year")),
        key="subject_id",
    ),
    "icustays": InputTable(
        (_id("subject_id"), _id("hadm_id"), _id("stay_id"), _time("intime", required=True), _time("outtime"))
    ),
}
"""The longest to read first: several are read at once, and the long ones should not start last. The images are put in
order once they are read, which makes them the longest."""

RENAMED: Final[dict[str, str]] = {"ethnicity": "race", "Airspace Opacity": "Lung Opacity"}
"""Columns that some files call differently: MIMIC-IV 1.0, and the radiologist's labels of MIMIC-CXR-JPG 2.1.0."""
