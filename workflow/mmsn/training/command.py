"""`mmsn pretrain`: one backbone, one method, one seed."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from mmsn import console


def pretrain(
    method: Annotated[str, typer.Option(help="Method id, for example msn, dino+g or msn+ehr.sex.shuffled.")],
    backbone: Annotated[str, typer.Option(help="BackboneSettings as JSON.")],
    settings: Annotated[str, typer.Option(help="The settings of the method's section as JSON.")],
    seed: Annotated[int, typer.Option(help="Seed of weights, order, views and masks.")],
    images: Annotated[Path, typer.Option(help="The cohort's rows.parquet; images.parquet for supervised methods.")],
    store: Annotated[Path, typer.Option(help="Folder of the pixel store.")],
    output_encoder: Annotated[Path, typer.Option(help="The encoder that is evaluated, safetensors.")],
    output_history: Annotated[Path, typer.Option(help="One row an epoch, Parquet.")],
    output_resolved: Annotated[Path, typer.Option(help="Everything this run was made of, YAML.")],
    output_card: Annotated[Path, typer.Option(help="Model card, Markdown.")],
    checkpoint: Annotated[Path, typer.Option(help="State of an unfinished run; removed when it is done.")],
    features: Annotated[Path | None, typer.Option(help="The feature set's table, for methods with EHR.")] = None,
    tensorboard: Annotated[Path | None, typer.Option(help="Folder for TensorBoard's event files.")] = None,
    pack: Annotated[
        str, typer.Option(help="Runs to train beside this one, as JSON: method, features and folder of each.")
    ] = "[]",
    checkpoint_minutes: Annotated[float, typer.Option(help="Minutes between checkpoints within an epoch.")] = 10.0,
    threads: Annotated[int, typer.Option(help="CPU threads, of all processes together.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    processes: Annotated[int, typer.Option(min=0, help="Processes that train together, one a GPU; 0 counts as 1.")] = 1,
    log: Annotated[Path | None, typer.Option(help="Log file.")] = None,
) -> None:
    """Pretrain an encoder; stopped by a signal it saves its state, and the same command goes on from there."""
    if processes > 1 and "LOCAL_RANK" not in os.environ:
        _start_under_torchrun(processes)

    def work() -> None:
        from mmsn.training.companions import read_companions
        from mmsn.training.member import PretrainFiles, PretrainRun
        from mmsn.training.run import run_pretraining

        files = PretrainFiles(
            images,
            features,
            store,
            output_encoder,
            output_history,
            output_resolved,
            output_card,
            checkpoint,
            tensorboard,
        )
        run = PretrainRun.read(method, backbone, settings, seed)
        threads_each = max(1, threads // max(1, processes))
        run_pretraining(files, run, 60 * checkpoint_minutes, threads_each, device, read_companions(pack, files, run))

    leads = os.environ.get("RANK", "0") == "0"
    raise typer.Exit(console.run(work, log if leads else None))


def _start_under_torchrun(processes: int) -> None:
    """Become torchrun, which starts this command once a process; signals reach it, and it passes them on."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    # after `--`, or torchrun takes our options for its own
    os.execv(sys.executable, [*torchrun, "--module", "--", "mmsn", *sys.argv[1:]])
