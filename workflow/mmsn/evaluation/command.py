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
    title: Annotated[str, typer.Option(help="Name of the model in messages.")] = "encoder",
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    log: Annotated[Path | None, typer.Option(help="Log file.")] = None,
) -> None:
    """Train linear heads on a frozen encoder, choose the best on validation, score the test images."""

    def work() -> None:
        import torch

        from mmsn.devices import pick_device
        from mmsn.encoder_file import load_encoder
        from mmsn.evaluation.data import load_split
        from mmsn.evaluation.linear import LinearEvaluation
        from mmsn.evaluation.settings import LinearSettings
        from mmsn.evaluation.tables import predictions_table, runs_table
        from mmsn.files import read_table, write_table
        from mmsn.images.store import PixelStore
        from mmsn.provenance import content_digest

        torch.set_num_threads(threads)
        chosen = LinearSettings.model_validate_json(settings)
        pixels = PixelStore(store)
        splits = {name: load_split(images, pixels, name) for name in ("train", "validate", "test")}
        evaluation = LinearEvaluation(load_encoder(encoder), pixels, splits, chosen, seed, pick_device(device), title)
        result = evaluation.run()
        cohort_metadata = read_table(images, ["split"]).schema.metadata or {}
        metadata = {
            "mmsn.encoder_digest": content_digest([encoder]),
            "mmsn.split_sha256": cohort_metadata.get(b"mmsn.split_sha256", b"").decode(),
        }
        write_table(output_predictions, predictions_table(splits["test"], result.test_scores), metadata)
        write_table(output_runs, runs_table(result))

    raise typer.Exit(console.run(work, log))
