"""`mmsn pretrain`: one backbone, one method, one seed."""

from pathlib import Path
from typing import Annotated

import typer

from mmsn import console


def pretrain(
    method: Annotated[str, typer.Option(help="Method id, for example msn or msn+ehr.sex.shuffled.")],
    backbone: Annotated[str, typer.Option(help="BackboneSettings as JSON.")],
    settings: Annotated[str, typer.Option(help="PretrainSettings as JSON.")],
    seed: Annotated[int, typer.Option(help="Seed of weights, order, views and masks.")],
    images: Annotated[Path, typer.Option(help="The cohort's images.parquet.")],
    store: Annotated[Path, typer.Option(help="Folder of the pixel store.")],
    output_encoder: Annotated[Path, typer.Option(help="Target encoder, safetensors.")],
    output_history: Annotated[Path, typer.Option(help="One row an epoch, Parquet.")],
    output_resolved: Annotated[Path, typer.Option(help="Everything this run was made of, YAML.")],
    checkpoint: Annotated[Path, typer.Option(help="State of an unfinished run; removed when it is done.")],
    features: Annotated[Path | None, typer.Option(help="The feature set's table, for methods with EHR.")] = None,
    checkpoint_minutes: Annotated[float, typer.Option(help="Minutes between checkpoints within an epoch.")] = 10.0,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    log: Annotated[Path | None, typer.Option(help="Log file.")] = None,
) -> None:
    """Pretrain an encoder; stopped by a signal it saves its state, and the same command goes on from there."""

    def work() -> None:
        from mmsn.training.run import PretrainFiles, run_pretraining

        files = PretrainFiles(images, features, store, output_encoder, output_history, output_resolved, checkpoint)
        run_pretraining(
            files, method, backbone, settings, seed, 60 * checkpoint_minutes, threads=threads, device=device
        )

    raise typer.Exit(console.run(work, log))
