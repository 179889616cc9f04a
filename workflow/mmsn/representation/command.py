"""`mmsn represent ...`: embeddings of frozen encoders, what they hold, and predictions by group of patients."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from pydantic import ValidationError

from mmsn import console
from mmsn.config_errors import explain
from mmsn.errors import UserError
from mmsn.files import read_table, write_table, write_text
from mmsn.settings import Section

if TYPE_CHECKING:
    from mmsn.reporting.settings import StatisticsSettings

Settings = TypeVar("Settings", bound=Section)

app = typer.Typer(no_args_is_help=True, help="What embeddings hold; metrics by group of patients; calibration.")

Images = Annotated[Path, typer.Option("--images", help="The cohort's images.parquet.")]
Runs = Annotated[str, typer.Option("--runs", help="JSON list of run descriptions.")]
Statistics = Annotated[str, typer.Option("--statistics", help="StatisticsSettings as JSON.")]
Output = Annotated[Path, typer.Option("--output", help="One row a run, group and measure, Parquet.")]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="All that this process may use.")]
Log = Annotated[Path | None, typer.Option("--log", help="Log file.")]


@app.command()
def embed(
    encoder: Annotated[Path, typer.Option(help="Encoder of `mmsn pretrain`, safetensors.")],
    images: Images,
    store: Annotated[Path, typer.Option(help="Folder of the pixel store.")],
    output: Annotated[Path, typer.Option(help="One row an image with its class token, Parquet.")],
    views: Annotated[str, typer.Option(help="EvalViewSettings as JSON: resize and crop.")] = "{}",
    train_images: Annotated[int | None, typer.Option(min=1, help="Training images at most; left out: all.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of which training patients those are.")] = 0,
    title: Annotated[str, typer.Option(help="Name of the model in messages.")] = "encoder",
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    log: Log = None,
) -> None:
    """Write the class tokens of labelled images of all three splits, seen as the linear protocol's test views."""

    def work() -> None:
        import torch

        from mmsn.images.settings import EvalViewSettings
        from mmsn.representation.embed import run_embed

        torch.set_num_threads(threads)
        chosen = _settings(views, EvalViewSettings, "--views")
        for path in (encoder, images, store / "index.parquet"):
            _existing(path)
        run_embed(encoder, images, store, output, chosen, train_images, seed, title, device)

    raise typer.Exit(console.run(work, log))


@app.command()
def measure(
    runs: Runs,
    images: Images,
    output: Output,
    linear: Annotated[str, typer.Option(help="LinearSettings as JSON: the protocol that attributes are probed by.")],
    settings: Annotated[str, typer.Option(help="RepresentationSettings as JSON.")] = "{}",
    statistics: Statistics = "{}",
    threads: Threads = None,
    log: Log = None,
) -> None:
    """Measure embeddings: clusters, effective rank, k-NN beside the linear head, probes for attributes."""

    def work() -> None:
        from mmsn.evaluation.settings import LinearSettings
        from mmsn.reporting.runs import parse_runs
        from mmsn.representation.measure import EmbeddedRun, measure_embeddings
        from mmsn.representation.settings import RepresentationSettings

        chosen = _settings(settings, RepresentationSettings, "--settings")
        protocol = _settings(linear, LinearSettings, "--linear")
        described = parse_runs(runs, EmbeddedRun)
        write_table(output, measure_embeddings(described, images, chosen, _statistics(statistics), protocol, threads))

    raise typer.Exit(console.run(work, log))


@app.command()
def groups(
    runs: Runs,
    images: Images,
    output: Output,
    settings: Annotated[str, typer.Option(help="SubgroupSettings as JSON.")] = "{}",
    statistics: Statistics = "{}",
    threads: Threads = None,
    log: Log = None,
) -> None:
    """Measure predictions: macro AUROC by sex, age band, view and position, the gaps, and calibration."""

    def work() -> None:
        from mmsn.reporting.runs import RunDescription, parse_runs
        from mmsn.representation.measure_groups import measure_groups
        from mmsn.representation.settings import SubgroupSettings

        chosen = _settings(settings, SubgroupSettings, "--settings")
        described = parse_runs(runs, RunDescription)
        write_table(output, measure_groups(described, images, chosen, _statistics(statistics), threads))

    raise typer.Exit(console.run(work, log))


@app.command()
def tables(
    measures: Annotated[Path, typer.Option(help="From `represent measure` or `represent groups`.")],
    dataset: Annotated[str, typer.Option(help="mimic-cxr, chexpert, nih-14 or another.")],
    output_folder: Annotated[Path, typer.Option(help="Where <kind>_<suffix>.{csv,md,tex,html} go.")],
    suffix: Annotated[str, typer.Option(help="End of the files' names.")],
    protocol: Annotated[str, typer.Option(help="Whose predictions they are: linear or finetune.")] = "linear",
    data_note: Annotated[str, typer.Option(help="What makes the data special.")] = "",
    log: Log = None,
) -> None:
    """Write the tables that a file of measures holds: representation and attributes, or subgroups and calibration."""

    def work() -> None:
        from mmsn.reporting.captions import Setting
        from mmsn.reporting.layout import to_html, to_latex, to_markdown
        from mmsn.representation.measured import MeasuredFacts
        from mmsn.representation.tables import KINDS, measure_tables, topics_of

        stored = read_table(_existing(measures))
        facts = MeasuredFacts.of(stored, str(measures))
        rows = stored.to_pandas()
        setting = Setting(protocol, dataset, str(rows["backbone_name"].iloc[0]), note=data_note)
        for kind in KINDS:
            own = rows[rows["topic"].isin(topics_of(kind))]
            if own.empty:
                continue
            shown = measure_tables(own, facts, kind, setting)
            stem = f"{kind}_{suffix}"
            write_text(output_folder / f"{stem}.csv", own.to_csv(index=False))
            write_text(output_folder / f"{stem}.md", to_markdown(shown))
            write_text(output_folder / f"{stem}.tex", "\n".join(to_latex(table) for table in shown))
            write_text(output_folder / f"{stem}.html", to_html(shown))

    raise typer.Exit(console.run(work, log))


def _settings(text: str, model: type[Settings], option: str) -> Settings:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise UserError(f"{option}: {explain(error, model)}") from None


def _statistics(text: str) -> StatisticsSettings:
    from mmsn.reporting.settings import StatisticsSettings

    return _settings(text, StatisticsSettings, "--statistics")


def _existing(path: Path) -> Path:
    if not path.exists():
        raise UserError(f"{path} does not exist; make it first or mend the path")
    return path
