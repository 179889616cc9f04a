"""`mmsn evaluate readings` and `ehr-only`: heads that read more than the class token, and no image at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from mmsn import console
from mmsn.errors import UserError
from mmsn.evaluation.command import (
    Checkpoint,
    Device,
    Encoder,
    Images,
    Log,
    Predictions,
    Runs,
    Seed,
    Store,
    Threads,
    Title,
)

if TYPE_CHECKING:
    from mmsn.evaluation.readings import Reading

Features = Annotated[str, typer.Option(help="JSON: feature set -> its Parquet table.")]


def readings(
    encoder: Encoder,
    images: Images,
    store: Store,
    settings: Annotated[str, typer.Option(help="LinearSettings as JSON.")],
    readings: Annotated[
        str, typer.Option(help='JSON list: [{"tokens": "class+mean"}, {"tokens": "class", "feature_set": "sex"}].')
    ],
    seed: Seed,
    output_predictions: Predictions,
    output_runs: Runs,
    checkpoint: Checkpoint,
    features: Features = "{}",
    bank: Annotated[int, typer.Option(min=0, help="Train the published heads on so many cached augmentations.")] = 0,
    title: Title = "encoder",
    threads: Threads = 1,
    device: Device = "auto",
    log: Log = None,
) -> None:
    """Train linear heads that read more than the class token of a frozen encoder, all over the same forward passes.

    Stopped by a signal, the same command goes on from the last epoch.
    """

    def work() -> None:
        from mmsn.evaluation.job import EvaluationFiles, EvaluationJob
        from mmsn.evaluation.readings_run import ReadingsJob, run_readings

        files = EvaluationFiles(encoder, images, store, output_predictions, output_runs, checkpoint)
        wanted = ReadingsJob(_readings(readings), _tables(features), bank)
        run_readings(files, EvaluationJob(seed, title, threads, device), settings, wanted)

    raise typer.Exit(console.run(work, log))


def ehr_only(
    features: Annotated[Path, typer.Option(help="Feature table, Parquet.")],
    images: Images,
    store: Store,
    output_predictions: Predictions,
    title: Title = "ehr",
    log: Log = None,
) -> None:
    """Predict the labels of the test images from the encoded EHR alone."""

    def work() -> None:
        from mmsn.evaluation.ehr_only import run_ehr_only

        run_ehr_only(features, images, store, output_predictions, title)

    raise typer.Exit(console.run(work, log))


def _readings(text: str) -> tuple[Reading, ...]:
    from mmsn.evaluation.readings import Reading

    try:
        return TypeAdapter(tuple[Reading, ...]).validate_json(text)
    except ValidationError as error:
        raise UserError(f"--readings: {error.errors(include_url=False)[0]['msg']}; give a JSON list") from None


def _tables(text: str) -> dict[str, Path]:
    try:
        return {name: Path(path) for name, path in json.loads(text).items()}
    except (json.JSONDecodeError, AttributeError, TypeError) as error:
        raise UserError(f"--features: {error}; give a JSON object of feature sets and tables") from None
