"""The table of measures behind all tables of this stage: long, a row a run, group and measure."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mmsn.errors import UserError
from mmsn.reporting.runs import RunDescription, in_paper_order
from mmsn.reporting.schemas import table_of

REPRESENTATION: Final = "representation"
ATTRIBUTES: Final = "attributes"
CALIBRATION: Final = "calibration"
"""Topics of rows; those of subgroups are the variables that make the groups."""
MACRO: Final = "mean over labels"
"""Group of the rows that average a measure over labels."""
_FACTS: Final = "mmsn.measured"
_NAN: Final = float("nan")


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


SCHEMA: Final = pa.schema(
    [
        _required("run", pa.string()),
        _required("backbone_name", pa.string()),
        _required("method", pa.string()),
        _required("method_name", pa.string()),
        _required("family", pa.string()),  # baseline, reference, ehr, control
        _required("seed", pa.int32()),
        _required("topic", pa.string()),  # representation, attributes, calibration; of subgroups the variable
        _required("group", pa.string()),
        _required("measure", pa.string()),
        *(pa.field(name, pa.float64()) for name in ("value", "lo", "hi")),  # null: `excluded` says why
        _required("images", pa.int64()),
        _required("patients", pa.int64()),
        _required("excluded", pa.string()),  # why there is no value; empty when there is one
    ]
)


@dataclass(frozen=True)
class Measured:
    """One number of one run, or the reason why there is none."""

    topic: str
    group: str
    measure: str
    images: int = 0
    patients: int = 0
    value: float = _NAN
    lo: float = _NAN
    hi: float = _NAN
    excluded: str = ""


def counted(patients: NDArray[np.int64]) -> tuple[int, int]:
    """How many images and how many patients, from the patient of each image [N]."""
    return len(patients), len(np.unique(patients))


@dataclass(frozen=True)
class MeasuredFacts:
    """What captions say of all rows."""

    resamples: int
    level: float
    sentences: dict[str, list[str]]
    """Topic -> sentences about its images and labels."""

    @property
    def metadata(self) -> dict[str, str]:
        """As metadata of a Parquet file."""
        return {_FACTS: json.dumps(asdict(self))}

    @classmethod
    def of(cls, table: pa.Table, source: str) -> "MeasuredFacts":
        """Read what `metadata` wrote.

        Raises:
            UserError: `source` is no table of `mmsn represent`.
        """
        stored = (table.schema.metadata or {}).get(_FACTS.encode())
        if stored is None:
            raise UserError(f"{source}: not a table of `mmsn represent`; run that first")
        return cls(**json.loads(stored))


def measured_table(
    found: Sequence[tuple[RunDescription, Iterable[Measured]]], baseline: str, facts: MeasuredFacts
) -> pa.Table:
    """Rows of every run, in the paper's order of runs."""
    by_run = {run.id: measures for run, measures in found}
    rows = []
    for run in in_paper_order([run for run, _ in found], baseline):
        names = run.model_dump(include={"backbone_name", "method", "method_name", "seed"})
        shared = {"run": run.id, "family": run.family(baseline), **names}
        rows += [shared | asdict(one) for one in by_run[run.id]]
    return table_of(rows, SCHEMA).replace_schema_metadata(facts.metadata)
