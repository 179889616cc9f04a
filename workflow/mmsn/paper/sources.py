"""What the study has measured, found by protocol, data set, backbone and share of the training images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from mmsn.config_errors import explain
from mmsn.errors import UserError
from mmsn.files import read_json, read_table
from mmsn.reporting.results_table import one_row_a_method
from mmsn.reporting.schemas import Facts
from mmsn.settings import Section

ALL_IMAGES: Final = 1.0


class StatisticsFile(Section):
    """Statistics of one protocol, data set and backbone, as `mmsn report statistics` writes them."""

    protocol: str
    dataset: str
    backbone: str
    """Id of the study's backbone."""
    summary: Path
    """`summary.parquet`."""
    replicates: Path | None = None
    """`replicates.parquet`: macro means in the resamples of patients."""


class LowDataFile(Section):
    """The csv of `mmsn report low-data`."""

    protocol: str
    dataset: str
    backbone: str
    table: Path
    """One row a method, share and metric."""
    replicates: Path | None = None
    """`replicates.parquet`: means over the random subsets in the resamples of patients."""


class PaperInputs(Section):
    """Files that the paper's tables are filled from."""

    statistics: tuple[StatisticsFile, ...] = ()
    low_data: tuple[LowDataFile, ...] = ()
    flows: dict[str, Path] = Field(default_factory=dict)
    """Data set -> its `flow.json`."""


Place = tuple[str, str, str]
"""Protocol, data set, id of the backbone."""


@dataclass(frozen=True)
class Judged:
    """Every run of one place."""

    rows: pd.DataFrame
    """Of the summary, all seeds."""
    facts: Facts
    replicates: dict[tuple[str, str], NDArray[np.float64]]
    """(run, metric) -> macro means [R] in the resamples of patients."""


@dataclass(frozen=True)
class Measured:
    """All that was measured."""

    judged: dict[Place, Judged]
    values: dict[tuple[Place, float, str, str], dict[str, Any]]
    """(place, share of the training images, method, metric) -> value, lo, hi, mark, seeds, missing."""
    subsets: dict[Place, list[dict[str, Any]]]
    """Rows of `reporting.low_data_draws.REPLICATES`."""
    flows: dict[str, dict[str, Any]]


def parse_inputs(text: str) -> PaperInputs:
    """Read `--inputs`.

    Raises:
        UserError: not such JSON.
    """
    try:
        return PaperInputs.model_validate_json(text)
    except ValidationError as error:
        raise UserError(f"--inputs: {explain(error, PaperInputs)}") from None


def read_measured(inputs: PaperInputs) -> Measured:
    """Read every file."""
    judged = {(one.protocol, one.dataset, one.backbone): _judged(one) for one in inputs.statistics}
    values = {
        (place, ALL_IMAGES, row["method"], row["metric"]): row
        for place, own in judged.items()
        for row in _records(one_row_a_method(own.rows))
    }
    for one in inputs.low_data:
        place = one.protocol, one.dataset, one.backbone
        for row in _records(pd.read_csv(_existing(one.table))):
            values[place, row["share"], row["method"], row["metric"]] = _best_draw(row)
    subsets = {
        (one.protocol, one.dataset, one.backbone): read_table(_existing(one.replicates)).to_pylist()
        for one in inputs.low_data
        if one.replicates is not None
    }
    flows = {dataset: read_json(_existing(path)) for dataset, path in inputs.flows.items()}
    return Measured(judged, values, subsets, flows)


def _best_draw(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the low-data table in the summary's words."""
    bounds = {end: row.get(f"best_{end}", float("nan")) for end in ("lo", "hi")}
    return row | bounds | {"value": row["best"], "mark": "", "missing": ""}


def _judged(one: StatisticsFile) -> Judged:
    stored = read_table(_existing(one.summary))
    facts = Facts.of(stored, str(one.summary))
    return Judged(stored.to_pandas().astype({"seed": "Int64"}), facts, _replicates(one.replicates))


def _replicates(path: Path | None) -> dict[tuple[str, str], NDArray[np.float64]]:
    if path is None:
        return {}
    rows = read_table(_existing(path)).to_pylist()
    return {(row["run"], row["metric"]): np.asarray(row["of_patients"], dtype=np.float64) for row in rows}


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in rows.to_dict("records")]


def _existing(path: Path) -> Path:
    if not path.exists():
        raise UserError(f"{path} does not exist; run `snakemake tables`, which makes it")
    return path
