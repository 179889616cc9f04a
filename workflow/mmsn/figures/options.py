"""Options and readers that the verbs of this stage share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import pyarrow as pa
import typer
from pydantic import ValidationError

from mmsn.config_errors import explain
from mmsn.errors import UserError
from mmsn.files import read_table
from mmsn.settings import Section

if TYPE_CHECKING:
    import pandas as pd

    from mmsn.reporting.captions import Setting
    from mmsn.reporting.predictions import Predictions
    from mmsn.reporting.runs import RunDescription
    from mmsn.reporting.schemas import Facts

Settings = TypeVar("Settings", bound=Section)

Images = Annotated[Path, typer.Option("--images", help="The cohort's images.parquet.")]
Runs = Annotated[str, typer.Option("--runs", help="JSON list of run descriptions.")]
Summary = Annotated[Path, typer.Option("--summary", help="From `report statistics`.")]
Statistics = Annotated[str, typer.Option("--statistics", help="StatisticsSettings as JSON.")]
Protocol = Annotated[str, typer.Option("--protocol", help="linear or finetune.")]
Dataset = Annotated[str, typer.Option("--dataset", help="mimic-cxr, chexpert, nih-14 or another.")]
Backbone = Annotated[str, typer.Option("--backbone", help="Name of the backbone in the title.")]
Note = Annotated[str, typer.Option("--data-note", help="What makes the data special.")]
Compared = Annotated[str | None, typer.Option("--compared", help="Method beside the reference; else its best variant.")]
Svg = Annotated[Path, typer.Option("--output-svg", help="Vector figure.")]
Png = Annotated[Path, typer.Option("--output-png", help="Figure in pixels.")]
Threads = Annotated[int, typer.Option("--threads", min=1, help="CPU threads.")]
Log = Annotated[Path | None, typer.Option("--log", help="Log file.")]


def parsed(text: str, model: type[Settings], option: str) -> Settings:
    """Read settings from JSON.

    Raises:
        UserError: a key or value that is not allowed; the message names the option.
    """
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise UserError(f"{option}: {explain(error, model)}") from None


def existing(path: Path) -> pa.Table:
    """Read a Parquet table of ours.

    Raises:
        UserError: there is none.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist; make it first or mend the path")
    return read_table(path)


def with_facts(path: Path) -> tuple[pd.DataFrame, Facts]:
    """A table of `report statistics` and what its metadata say."""
    from mmsn.reporting.schemas import Facts

    stored = existing(path)
    return stored.to_pandas().astype({"seed": "Int64"}), Facts.of(stored, str(path))


def predictions_at(path: Path) -> Predictions:
    """Predictions of one run."""
    from mmsn.reporting.predictions import from_table

    return from_table(existing(path), str(path))


def setting_of(protocol: str, dataset: str, backbone_name: str, note: str) -> Setting:
    """What a title says."""
    from mmsn.reporting.captions import Setting

    return Setting(protocol, dataset, backbone_name, note=note)


def names_of(runs: list[RunDescription], wanted: str) -> str:
    """A method's name in figures; its id where no run has it."""
    return next((run.method_name for run in runs if run.method == wanted), wanted)
