"""`mmsn report ...`: stored predictions, histories and counts -> tables and figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from mmsn import console
from mmsn.config_errors import explain
from mmsn.errors import UserError
from mmsn.files import read_json, read_table, write_table, write_text

if TYPE_CHECKING:
    import pandas as pd

    from mmsn.reporting.captions import Setting
    from mmsn.reporting.schemas import Facts
    from mmsn.reporting.settings import StatisticsSettings

app = typer.Typer(no_args_is_help=True, help="Statistics, tables and figures from stored results.")

Runs = Annotated[str, typer.Option("--runs", help="JSON list of run descriptions.")]
Log = Annotated[Path | None, typer.Option("--log", help="Log file.")]
Summary = Annotated[Path, typer.Option("--summary", help="From `report statistics`.")]
Protocol = Annotated[str, typer.Option("--protocol", help="linear, finetune or supervised.")]
Dataset = Annotated[str, typer.Option("--dataset", help="mimic-cxr, chexpert, nih-14 or another.")]
Fraction = Annotated[float, typer.Option("--train-fraction", help="Share of the training images used.")]
Note = Annotated[
    str,
    typer.Option(
        "--data-note",
        help="Why the data are not comparable with the published values; given, figures leave those out.",
    ),
]
Html = Annotated[Path, typer.Option("--output-html", help="Page that needs no other file.")]
Markdown = Annotated[Path, typer.Option("--output-markdown", help="Markdown table.")]
Csv = Annotated[Path, typer.Option("--output-csv", help="All numbers, unrounded.")]
Svg = Annotated[Path, typer.Option("--output-svg", help="Vector figure.")]
Png = Annotated[Path, typer.Option("--output-png", help="Figure in pixels.")]


@app.command()
def statistics(
    runs: Runs,
    output_summary: Annotated[Path, typer.Option(help="One row a run and metric (Parquet).")],
    output_labels: Annotated[Path, typer.Option(help="One row a run and label (Parquet).")],
    output_replicates: Annotated[
        Path | None, typer.Option(help="Macro means in the resamples of patients, one row a run and metric (Parquet).")
    ] = None,
    baseline: Annotated[str | None, typer.Option(help="Method compared with, else the settings'.")] = None,
    settings: Annotated[str, typer.Option(help="JSON: resamples, level, seed, baseline.")] = "{}",
    threads: Annotated[int | None, typer.Option(min=1, help="All that this process may use.")] = None,
    log: Log = None,
) -> None:
    """Metrics of every run of one protocol, data set and backbone, with intervals and comparisons."""

    def work() -> None:
        from mmsn.reporting.runs import RunDescription, parse_runs
        from mmsn.reporting.summary import judged, summarise

        chosen = _settings(settings, baseline)
        described = parse_runs(runs, RunDescription)
        results = summarise(described, judged(described), chosen, threads)
        write_table(output_summary, results.summary)
        write_table(output_labels, results.labels)
        if output_replicates is not None:
            write_table(output_replicates, results.replicates)

    raise typer.Exit(console.run(work, log))


@app.command()
def table(
    summary: Summary,
    protocol: Protocol,
    dataset: Dataset,
    output_csv: Csv,
    output_markdown: Markdown,
    output_latex: Annotated[Path, typer.Option(help="LaTeX `table` (needs booktabs).")],
    output_html: Html,
    train_fraction: Fraction = 1.0,
    data_note: Note = "",
    log: Log = None,
) -> None:
    """Write the table of results: every method beside the published values and the difference to MSN."""

    def work() -> None:
        from mmsn.reporting.beside_published import beside_published
        from mmsn.reporting.layout import to_html, to_latex, to_markdown
        from mmsn.reporting.published import published_table
        from mmsn.reporting.results_table import results_table

        rows, facts = _read(summary)
        setting = _setting(rows, protocol, dataset, train_fraction, data_note)
        paper = published_table(protocol, dataset, setting.backbone_name, train_fraction)
        joined = beside_published(rows, paper, complete=not data_note)
        shown = results_table(joined, facts, setting)
        write_text(output_csv, joined.to_csv(index=False))
        write_text(output_markdown, to_markdown([shown]))
        write_text(output_latex, to_latex(shown))
        write_text(output_html, to_html([shown]))

    raise typer.Exit(console.run(work, log))


@app.command()
def labels(
    labels: Annotated[Path, typer.Option(help="From `report statistics`.")],
    protocol: Protocol,
    dataset: Dataset,
    output_csv: Csv,
    output_markdown: Markdown,
    output_html: Html,
    train_fraction: Fraction = 1.0,
    data_note: Note = "",
    log: Log = None,
) -> None:
    """Write the tables by label: AUROC, AUPRC, and the AUROC difference to MSN."""

    def work() -> None:
        from mmsn.reporting.label_table import label_tables
        from mmsn.reporting.layout import to_html, to_markdown

        rows, facts = _read(labels)
        setting = _setting(rows, protocol, dataset, train_fraction, data_note)
        tables = label_tables(rows, facts, setting)
        write_text(output_csv, rows.to_csv(index=False))
        write_text(output_markdown, to_markdown(tables))
        write_text(output_html, to_html(tables))

    raise typer.Exit(console.run(work, log))


@app.command()
def forest(
    summary: Summary,
    protocol: Protocol,
    dataset: Dataset,
    output_svg: Svg,
    output_png: Png,
    metric: Annotated[str, typer.Option(help="auroc or auprc.")] = "auroc",
    train_fraction: Fraction = 1.0,
    data_note: Note = "",
    log: Log = None,
) -> None:
    """Draw every method's value and intervals against MSN, with the published values as open markers."""

    def work() -> None:
        from mmsn.reporting.beside_published import beside_published
        from mmsn.reporting.figure_files import write_figure
        from mmsn.reporting.forest import draw_forest, parse_metric
        from mmsn.reporting.published import published_table

        rows, facts = _read(summary)
        setting = _setting(rows, protocol, dataset, train_fraction, data_note)
        paper = published_table(protocol, dataset, setting.backbone_name, train_fraction)
        joined = beside_published(rows, paper.iloc[:0] if data_note else paper, complete=False)
        write_figure(lambda: draw_forest(joined, facts, setting, parse_metric(metric)), output_svg, output_png)

    raise typer.Exit(console.run(work, log))


@app.command()
def history(
    runs: Runs,
    output_svg: Svg,
    output_png: Png,
    log: Log = None,
) -> None:
    """Draw loss, entropies, used prototypes and RankMe of pretraining runs, epoch by epoch."""

    def work() -> None:
        from mmsn.reporting.figure_files import write_figure
        from mmsn.reporting.history import draw_history, history_frame, legend_names
        from mmsn.reporting.runs import HistoryDescription, parse_runs

        named = legend_names(parse_runs(runs, HistoryDescription))
        curves = {
            name: history_frame(read_table(_existing(run.history)), str(run.history)) for name, run in named.items()
        }
        write_figure(lambda: draw_history(curves), output_svg, output_png)

    raise typer.Exit(console.run(work, log))


@app.command()
def cohort(
    flow: Annotated[Path, typer.Option(help="flow.json of the cohort stage.")],
    output_csv: Csv,
    output_markdown: Markdown,
    output_html: Html,
    data_note: Note = "",
    log: Log = None,
) -> None:
    """Write the cohort's counts beside the published ones."""

    def work() -> None:
        from mmsn.reporting.flow_table import flow_frame, flow_tables
        from mmsn.reporting.layout import to_html, to_markdown

        counted = read_json(_existing(flow))
        frame = flow_frame(counted, str(flow))
        tables = flow_tables(counted, frame, data_note)
        write_text(output_csv, frame.to_csv(index=False))
        write_text(output_markdown, to_markdown(tables))
        write_text(output_html, to_html(tables))

    raise typer.Exit(console.run(work, log))


@app.command()
def flow_diagram(
    flow: Annotated[Path, typer.Option(help="flow.json of the cohort stage.")],
    dataset: Dataset,
    output_svg: Svg,
    output_png: Png,
    data_note: Note = "",
    log: Log = None,
) -> None:
    """Draw what each step of the cohort keeps and why images leave, beside the published counts."""

    def work() -> None:
        from mmsn.reporting.captions import dataset_name
        from mmsn.reporting.figure_files import write_figure
        from mmsn.reporting.flow_diagram import draw_flow

        counted = read_json(_existing(flow))
        title = f"{dataset_name(dataset)}: the cohort, step by step"
        write_figure(lambda: draw_flow(counted, title, data_note, str(flow)), output_svg, output_png)

    raise typer.Exit(console.run(work, log))


def _settings(text: str, baseline: str | None) -> StatisticsSettings:
    from mmsn.reporting.settings import StatisticsSettings

    try:
        chosen = StatisticsSettings.model_validate_json(text)
    except ValidationError as error:
        raise UserError(f"--settings: {explain(error, StatisticsSettings)}") from None
    return chosen if baseline is None else chosen.model_copy(update={"baseline": baseline})


def _existing(path: Path) -> Path:
    if not path.exists():
        raise UserError(f"{path} does not exist; make it first or mend the path")
    return path


def _read(path: Path) -> tuple[pd.DataFrame, Facts]:
    from mmsn.reporting.schemas import Facts

    stored = read_table(_existing(path))
    facts = Facts.of(stored, str(path))
    return stored.to_pandas().astype({"seed": "Int64"}), facts


def _setting(rows: pd.DataFrame, protocol: str, dataset: str, train_fraction: float, note: str) -> Setting:
    from mmsn.reporting.captions import Setting

    return Setting(protocol, dataset, str(rows["backbone_name"].iloc[0]), train_fraction, note)


if __name__ == "__main__":
    app()
