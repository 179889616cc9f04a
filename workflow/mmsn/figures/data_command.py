"""`mmsn figure-data ...`: what some figures need computed and stored before they are drawn."""

from pathlib import Path
from typing import Annotated

import typer

from mmsn import console
from mmsn.figures.options import Compared, Images, Log, Runs, Statistics, Summary, Threads, parsed

app = typer.Typer(no_args_is_help=True, help="Data behind figures: t-SNE maps, attention.")


@app.command()
def tsne(
    embeddings: Annotated[Path, typer.Option(help="Of one run, from `mmsn represent embed`.")],
    images: Images,
    output_points: Annotated[Path, typer.Option(help="One row an image: ids, label, group, x, y (Parquet).")],
    output_quality: Annotated[Path, typer.Option(help="How well each group's labels separate (Parquet).")],
    settings: Annotated[str, typer.Option(help="TsneSettings as JSON.")] = "{}",
    statistics: Statistics = "{}",
    threads: Threads = 1,
    log: Log = None,
) -> None:
    """Map the single-label training images of one encoder with t-SNE, and measure how its labels separate."""

    def work() -> None:
        from mmsn.figures.settings import TsneSettings
        from mmsn.figures.tsne_points import run_tsne
        from mmsn.reporting.settings import StatisticsSettings

        chosen = parsed(settings, TsneSettings, "--settings")
        resampled = parsed(statistics, StatisticsSettings, "--statistics")
        run_tsne(embeddings, images, output_points, output_quality, chosen, resampled, threads)

    raise typer.Exit(console.run(work, log))


@app.command()
def attention(
    runs: Runs,
    summary: Summary,
    images: Images,
    store: Annotated[Path, typer.Option(help="Folder of the pixel store.")],
    labels: Annotated[str, typer.Option(help="Labels, separated by commas.")],
    output: Annotated[Path, typer.Option(help="Radiographs, maps and scores of a few patients (safetensors).")],
    baseline: Annotated[str, typer.Option(help="Id of the reference.")] = "msn",
    compared: Compared = None,
    views: Annotated[str, typer.Option(help="EvalViewSettings as JSON: resize and crop.")] = "{}",
    seed: Annotated[int, typer.Option(help="Seed of which images are drawn.")] = 0,
    threads: Threads = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    log: Log = None,
) -> None:
    """Compute the last layer's attention of the reference and one other method on a few test images."""

    def work() -> None:
        import torch

        from mmsn.figures.attention import EncodedRun, run_attention
        from mmsn.images.settings import EvalViewSettings
        from mmsn.reporting.runs import parse_runs

        torch.set_num_threads(threads)
        described = parse_runs(runs, EncodedRun)
        seen = parsed(views, EvalViewSettings, "--views")
        names = [name.strip() for name in labels.split(",")]
        run_attention(described, summary, images, store, output, seen, names, baseline, compared, seed, device)

    raise typer.Exit(console.run(work, log))
