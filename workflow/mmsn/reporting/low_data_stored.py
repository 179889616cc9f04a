"""What is kept of models trained on few images: their table and figure are made from it without scoring again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa

from mmsn.evaluation.settings import LowDataSettings
from mmsn.files import write_table
from mmsn.reporting.low_data import MeasuredSubsets, measure_subsets, summarise_subsets
from mmsn.reporting.low_data_draws import replicates_of_draws
from mmsn.reporting.low_data_intervals import with_intervals
from mmsn.reporting.reader import Reader
from mmsn.reporting.runs import RunDescription
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
"""One row a model and label; of all training images, share 1 and draw 0, too."""


def measure_and_store(
    runs: Sequence[RunDescription],
    subsets: str,
    settings: LowDataSettings,
    statistics: StatisticsSettings,
    outputs: tuple[Path, Path, Path],
    threads: int | None = None,
) -> None:
    """Score all subsets, and the runs with all training images: `SUMMARY`, `LABELS` and `low_data_draws.REPLICATES`.

    Args:
        runs: their `predictions` are those with all training images.
        subsets: path of a run's predictions of a subset, with `{run}`, `{percent}` and `{draw}`.
        settings: shares and draws.
        statistics: of the resamples, and the reference method.
        outputs: the three files.
        threads: as many as this process may use when None.

    Raises:
        UserError: predictions that are damaged or of another test set, or no label is left of a share.
    """
    few = [run.model_copy(update={"predictions": Path(subsets.replace("{run}", run.id))}) for run in runs]
    measured = measure_subsets(
        few, settings.shares, settings.draws, statistics.baseline, Reader().read, statistics, threads, runs
    )
    rows = with_intervals(summarise_subsets(measured.labels), measured, statistics.baseline, statistics.level)
    labels = [*measured.labels.to_dict("records"), *measured.whole.to_dict("records")]
    tables = table_of(rows.to_dict("records"), SUMMARY), table_of(labels, LABELS), replicates_of_draws(measured)
    metadata = _facts(measured, statistics).metadata()
    for path, table in zip(outputs, tables, strict=True):
        write_table(path, table.replace_schema_metadata(metadata))


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
