"""The two tables of a comparison, as Arrow schemas, and what their files' metadata say of the test set."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import pandas as pd
import pyarrow as pa

from mmsn.errors import UserError
from mmsn.files import read_table
from mmsn.lineage import TEST_SET

Metric: TypeAlias = Literal["auroc", "auprc"]
METRICS: Final[tuple[Metric, ...]] = ("auroc", "auprc")
METRIC_NAMES: Final[dict[Metric, str]] = {"auroc": "AUROC", "auprc": "AUPRC"}


def required(name: str, kind: pa.DataType) -> pa.Field:
    """A column without nulls."""
    return pa.field(name, kind, nullable=False)


_RUN = [
    required("run", pa.string()),  # the description's id; `<backbone>/<method>/mean` for the mean over seeds
    required("backbone", pa.string()),
    required("backbone_name", pa.string()),
    required("method", pa.string()),
    required("method_name", pa.string()),
    required("family", pa.string()),  # baseline, reference, ehr, control
    pa.field("feature_set", pa.string()),
    pa.field("control", pa.string()),
    pa.field("published", pa.string()),  # the paper's name of the pretraining
    pa.field("seed", pa.int32()),  # null in the mean over seeds
    required("seeds", pa.int32()),
]
_INTERVALS = (
    "lo",
    "hi",
    "lo_patient",
    "hi_patient",
)  # percentile bootstrap of images (published), of patients
_DIFFERENCE = ("difference", "difference_lo", "difference_hi")  # to the reference with the same seed

SUMMARY: Final = pa.schema(
    [
        *_RUN,
        required("metric", pa.string()),
        *(pa.field(name, pa.float64()) for name in ("value", *_INTERVALS)),
        pa.field("p_published", pa.float64()),  # Student's t-test on image-level replicates: anti-conservative
        required("mark", pa.string()),
        *(pa.field(name, pa.float64()) for name in _DIFFERENCE),  # paired bootstrap of patients
        pa.field("p_paired", pa.float64()),
        pa.field("p_holm", pa.float64()),  # over the comparisons of the same family, metric and seed
        required("comparisons", pa.int32()),  # how many those are
        pa.field("p_seeds", pa.float64()),  # paired t-test over three or more seeds, in the mean row
        pa.field("p_seeds_holm", pa.float64()),  # over the same comparisons as p_holm
        *(pa.field(name, pa.float64()) for name in ("difference_lo_seeds", "difference_hi_seeds")),  # of that t-test
        pa.field("sd_seeds", pa.float64()),  # standard deviation of the seeds' values (n - 1), in the mean row
        pa.field("p_permutation", pa.float64()),  # patients' scores change places between the models; not corrected
        required("not_tested", pa.string()),  # empty, or which test has no p although it had its data, and why
        required("labels_used", pa.int32()),
        required("labels_excluded", pa.string()),  # names, separated by '; '
        required("missing", pa.string()),  # empty, or why the run has no numbers
    ]
)
"""One row a run and metric; macro mean over the labels that have a positive and a negative."""

LABELS: Final = pa.schema(
    [
        *_RUN,
        required("label", pa.string()),
        required("positives", pa.int64()),
        required("negatives", pa.int64()),
        required("positive_patients", pa.int64()),  # patients with a positive image
        *(pa.field(metric + end, pa.float64()) for metric in METRICS for end in ("", *(f"_{i}" for i in _INTERVALS))),
        *(pa.field(name, pa.float64()) for name in _DIFFERENCE),  # AUROC, DeLong with patients as clusters
        pa.field("p_delong", pa.float64()),
        pa.field("p_holm", pa.float64()),  # over every label and run of the same family and seed
        pa.field("p_holm_labels", pa.float64()),  # over the labels of the run alone
        pa.field("p_delong_images", pa.float64()),  # DeLong as of 1988, every image taken as independent
        pa.field("p_permutation", pa.float64()),  # patients' scores change places between the models; not corrected
        pa.field("p_permutation_holm", pa.float64()),  # over the labels of the run alone
        required("excluded", pa.string()),  # empty, or why the label has no metrics
        required("remark", pa.string()),  # constant score; why p_delong is missing; else empty
    ]
)
"""One row a run and label."""


@dataclass(frozen=True)
class Facts:
    """What a caption says of the test set and the statistics."""

    images: int
    patients: int
    labels: int
    excluded: dict[str, str]
    """Labels left out of the macro mean and why."""
    resamples: int
    level: float
    seed: int
    baseline: str
    """Method id of the reference."""
    split: str = ""
    """First digits of the hash of the split under which every run was trained and judged."""
    head_of: str = ""
    """Data set whose head judged this one as it is."""

    def metadata(self) -> dict[str, str]:
        """As metadata of a Parquet file."""
        return {TEST_SET: json.dumps(asdict(self))}

    @classmethod
    def of(cls, table: pa.Table, source: str) -> "Facts":
        """Read what `metadata` wrote.

        Raises:
            UserError: `source` is no table of `report statistics`.
        """
        stored = (table.schema.metadata or {}).get(TEST_SET.encode())
        if stored is None:
            raise UserError(f"{source}: not a table of `report statistics`; run that first")
        return cls(**json.loads(stored))


def read_stored(path: Path, schema: pa.Schema) -> tuple[pd.DataFrame, Facts]:
    """A file of statistics, and what its metadata say.

    Args:
        path: of the file.
        schema: its columns.

    Raises:
        UserError: there is none, or it is another file.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist; make it first or mend the path")
    table = read_table(path)
    facts = Facts.of(table, str(path))
    if missing := [name for name in schema.names if name not in table.column_names]:
        raise UserError(f"{path}: column {missing[0]} is missing, so it is another file of statistics; mend the path")
    return table.to_pandas(), facts


def table_of(rows: Iterable[Mapping[Any, Any]], schema: pa.Schema) -> pa.Table:
    """Rows as an Arrow table; NaN becomes null."""
    return pa.Table.from_pylist([{key: _null(value) for key, value in row.items()} for row in rows], schema=schema)


def _null(value: Any) -> Any:
    return None if isinstance(value, float) and value != value else value
