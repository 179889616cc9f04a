"""`mmsn evaluate linear`, `finetune` and `score`: one encoder judged on one data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from mmsn import console
from mmsn.config_errors import explain
from mmsn.errors import UserError

if TYPE_CHECKING:
    from mmsn.evaluation.settings import Subset

app = typer.Typer(help="Judge encoders.", no_args_is_help=True)

Encoder = Annotated[Path, typer.Option(help="Encoder of `mmsn pretrain`, safetensors.")]
Images = Annotated[Path, typer.Option(help="The cohort's images.parquet.")]
Store = Annotated[Path, typer.Option(help="Folder of the pixel store.")]
Seed = Annotated[int, typer.Option(help="Seed of weights, order and augmentation.")]
Predictions = Annotated[Path, typer.Option(help="Test scores, one row an image and label, Parquet.")]
Runs = Annotated[Path, typer.Option(help="Every setting tried and the chosen one, Parquet.")]
Checkpoint = Annotated[Path, typer.Option(help="State of an unfinished evaluation; removed when it is done.")]
SubsetOption = Annotated[str, typer.Option("--subset", help='JSON: {"share": 0.01, "draw": 0, "by": "patient"}.')]
SettingOf = Annotated[Path | None, typer.Option(help="runs.parquet whose chosen run is the only one tried.")]
Title = Annotated[str, typer.Option(help="Name of the model in messages.")]
Threads = Annotated[int, typer.Option(help="CPU threads.")]
OutputHead = Annotated[Path | None, typer.Option(help="Where to keep the chosen head, safetensors.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]
Log = Annotated[Path | None, typer.Option(help="Log file.")]


@app.callback()
def evaluate() -> None:
    """Judge encoders."""


@app.command()
def linear(
    encoder: Encoder,
    images: Images,
    store: Store,
    settings: Annotated[str, typer.Option(help="LinearSettings as JSON.")],
    seed: Seed,
    output_predictions: Predictions,
    output_runs: Runs,
    checkpoint: Checkpoint,
    subset: SubsetOption = "",
    setting_of: SettingOf = None,
    output_head: OutputHead = None,
    title: Title = "encoder",
    threads: Threads = 1,
    device: Device = "auto",
    log: Log = None,
) -> None:
    """Train linear heads on a frozen encoder, choose the best on validation, score the test images.

    Stopped by a signal, the same command goes on from the last epoch.
    """

    def work() -> None:
        from mmsn.evaluation.job import EvaluationFiles, EvaluationJob
        from mmsn.evaluation.run import run_linear

        outputs = output_predictions, output_runs, checkpoint, setting_of, output_head
        files = EvaluationFiles(encoder, images, store, *outputs)
        run_linear(files, EvaluationJob(seed, title, threads, device, _subset(subset)), settings)

    raise typer.Exit(console.run(work, log))


@app.command()
def finetune(
    encoder: Encoder,
    images: Images,
    store: Store,
    settings: Annotated[str, typer.Option(help="FinetuneSettings as JSON.")],
    seed: Seed,
    output_predictions: Predictions,
    output_runs: Runs,
    checkpoint: Checkpoint,
    subset: SubsetOption = "",
    setting_of: SettingOf = None,
    output_head: OutputHead = None,
    output_encoder: Annotated[Path | None, typer.Option(help="Where to keep the fine-tuned encoder.")] = None,
    features: Annotated[Path | None, typer.Option(help="Feature table that the head reads beside the image.")] = None,
    title: Title = "encoder",
    threads: Threads = 1,
    device: Device = "auto",
    log: Log = None,
) -> None:
    """Train encoder and head together in every setting, choose the best on validation, score the test images.

    Stopped by a signal, the same command goes on from the last step.
    """

    def work() -> None:
        from mmsn.evaluation.finetune_run import run_finetune
        from mmsn.evaluation.job import EvaluationFiles, EvaluationJob

        _refuse_half(output_head, output_encoder)
        outputs = output_predictions, output_runs, checkpoint, setting_of, output_head, output_encoder, features
        files = EvaluationFiles(encoder, images, store, *outputs)
        run_finetune(files, EvaluationJob(seed, title, threads, device, _subset(subset)), settings)

    raise typer.Exit(console.run(work, log))


@app.command()
def score(
    encoder: Encoder,
    head: Annotated[Path, typer.Option(help="Head that `linear` or `finetune` kept of this encoder, safetensors.")],
    images: Images,
    store: Store,
    output_predictions: Predictions,
    title: Title = "encoder",
    threads: Threads = 1,
    device: Device = "auto",
    log: Log = None,
) -> None:
    """Score every test image of another data set with a head as it is; nothing is trained."""

    def work() -> None:
        from mmsn.evaluation.score import ScoringFiles
        from mmsn.evaluation.score import score as score_images

        score_images(ScoringFiles(encoder, head, images, store, output_predictions), title, threads, device)

    raise typer.Exit(console.run(work, log))


def _refuse_half(head: Path | None, encoder: Path | None) -> None:
    if (head is None) != (encoder is None):
        raise UserError(
            "--output-head and --output-encoder: give both or none; a fine-tuned head fits no other encoder"
        )


def _subset(text: str) -> Subset | None:
    from mmsn.evaluation.settings import Subset

    try:
        return Subset.model_validate_json(text) if text else None
    except ValidationError as error:
        raise UserError(f"--subset: {explain(error, Subset)}") from None
