"""`mmsn evaluate linear`: one frozen encoder judged on one data set."""

from pathlib import Path
from typing import Annotated

import typer

from mmsn import console

app = typer.Typer(help="Judge encoders.", no_args_is_help=True)


@app.callback()
def evaluate() -> None:
    """Judge encoders."""


@app.command()
def linear(
    encoder: Annotated[Path, typer.Option(help="Encoder of `mmsn pretrain`, safetensors.")],
    images: Annotated[Path, typer.Option(help="The cohort's images.parquet.")],
    store: Annotated[Path, typer.Option(help="Folder of the pixel store.")],
    settings: Annotated[str, typer.Option(help="LinearSettings as JSON.")],
    seed: Annotated[int, typer.Option(help="Seed of weights, order and augmentation.")],
    output_predictions: Annotated[Path, typer.Option(help="Test scores, one row an image and label, Parquet.")],
    output_runs: Annotated[Path, typer.Option(help="Every setting tried and the chosen one, Parquet.")],
    checkpoint: Annotated[Path, typer.Option(help="State of an unfinished evaluation; removed when it is done.")],
    title: Annotated[str, typer.Option(help="Name of the model in messages.")] = "encoder",
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    log: Annotated[Path | None, typer.Option(help="Log file.")] = None,
) -> None:
    """Train linear heads on a frozen encoder, choose the best on validation, score the test images.

    Stopped by a signal, the same command goes on from the last epoch.
    """

    def work() -> None:
        from mmsn.evaluation.run import LinearFiles, run_linear

        files = LinearFiles(encoder, images, store, output_predictions, output_runs, checkpoint)
        run_linear(files, settings, seed, title, threads, device)

    raise typer.Exit(console.run(work, log))
