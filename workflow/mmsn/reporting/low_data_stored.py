"""What is kept of models trained on few images: their table and figure are made from it without scoring again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow as pa

from mmsn.errors import UserError
from mmsn.files import read_table, write_table
from mmsn.reporting.low_data import MeasuredSubsets, summarise_subsets
from mmsn.reporting.low_data_draws import replicates_of_draws
from mmsn.reporting.low_data_intervals import with_intervals
from mmsn.reporting.schemas import METRICS, Facts, required, table_of
from mmsn.reporting.settings import StatisticsSettings

_COMPARED: Final = (
    *("difference", "difference_lo", "difference_hi", "p_paired", "p_draws"),
    *("p_seeds", "difference_lo_seeds", "difference_hi_seeds", "sd_seeds"),
    *("best_lo", "best_hi", "best_lo_patient", "best_hi_patient", "mean_lo_patient", "mean_hi_patient"),
    *("p_holm", "p_seeds_holm"),
)
SUMMARY: Final = pa.schema(
    [
        *(required(name, pa.string()) for name in ("backbone", "backbone_name", "method", "method_name", "family")),
        *(pa.field(name, pa.string()) for name in ("feature_set", "control", "published")),
        required("share", pa.float64()),
        required("metric", pa.string()),
        *(required(name, pa.int64()) for name in ("draws", "seeds", "best_draw")),
        *(pa.field(name, pa.float64()) for name in ("best", "mean", "sd")),
        required("labels_used", pa.int64()),
        required("labels_excluded", pa.string()),  # names, separated by '; '
        *(pa.field(name, pa.float64()) for name in _COMPARED),
    ]
)
"""One row a method, share of the training images and metric: `low_data_intervals.with_intervals`."""

LABELS: Final = pa.schema(
    [
        *(required(name, pa.string()) for name in ("backbone_name", "method", "method_name", "family")),
        required("seed", pa.int64()),
        required("share", pa.float64()),
        required("draw", pa.int64()),
        required("label", pa.string()),
        *(required(name, pa.int64()) for name in ("positives", "negatives")),
        *(pa.field(name, pa.float64()) for name in METRICS),
        required("excluded", pa.string()),  # empty, or why the label does not count
    ]
)
"""One row a model and label."""


@dataclass(frozen=True)
class Stored:
    """A file of ours, read."""

    rows: pd.DataFrame
    facts: Facts


def store_subsets(
    measured: MeasuredSubsets, statistics: StatisticsSettings, summary: Path, labels: Path, replicates: Path
) -> None:
    """Write `SUMMARY`, `LABELS` and `low_data_draws.REPLICATES` of subsets that were resampled.

    Raises:
        UserError: when no label is left of a share.
    """
    rows = with_intervals(summarise_subsets(measured.labels), measured, statistics.baseline, statistics.level)
    metadata = _facts(measured, statistics).metadata()
    tables = {
        summary: table_of(rows.to_dict("records"), SUMMARY),
        labels: table_of(measured.labels.to_dict("records"), LABELS),
        replicates: replicates_of_draws(measured),
    }
    for path, table in tables.items():
        write_table(path, table.replace_schema_metadata(metadata))


def read_stored(path: Path) -> Stored:
    """A file that `store_subsets` wrote.

    Raises:
        UserError: there is none, or it is another file.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist; make it first or mend the path")
    table = read_table(path)
    return Stored(table.to_pandas(), Facts.of(table, str(path)))


def _facts(measured: MeasuredSubsets, statistics: StatisticsSettings) -> Facts:
    """`excluded` stays empty: which labels do not count depends on the share, and `LABELS` says why."""
    return Facts(
        images=measured.images,
        patients=measured.patients,
        labels=len(measured.names),
        excluded={},
        resamples=statistics.resamples,
        level=statistics.level,
        seed=statistics.seed,
        baseline=statistics.baseline,
        split=measured.split,
    )
