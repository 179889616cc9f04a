"""`mmsn report low-data...`: predictions of models trained on few images -> their statistics -> their table."""

from pathlib import Path
from typing import Annotated, TypeVar

import typer
from pydantic import ValidationError

from mmsn import console
from mmsn.config_errors import explain
from mmsn.errors import UserError
from mmsn.evaluation.settings import LowDataSettings
from mmsn.files import write_text
from mmsn.settings import Section

Chosen = TypeVar("Chosen", bound=Section)
Settings = Annotated[str, typer.Option(help="LowDataSettings as JSON: shares, draws, by.")]
Log = Annotated[Path | None, typer.Option(help="Log file.")]


def low_data_statistics(
    runs: Annotated[str, typer.Option(help="JSON list of run descriptions, with all training images.")],
    subset_predictions: Annotated[
        str, typer.Option(help="Path of their subsets' predictions: {run} {percent} {draw}.")
    ],
    settings: Settings,
    baseline: Annotated[str, typer.Option(help="Reference method.")],
    output_summary: Annotated[Path, typer.Option(help="One row a method, share and metric (Parquet).")],
    output_labels: Annotated[Path, typer.Option(help="One row a model and label (Parquet).")],
    output_replicates: Annotated[
        Path, typer.Option(help="Means over the subsets in the resamples of patients (Parquet).")
    ],
    statistics: Annotated[str, typer.Option(help="StatisticsSettings as JSON: resamples, level, seed.")] = "{}",
    threads: Annotated[int | None, typer.Option(min=1, help="All that this process may use.")] = None,
    log: Log = None,
) -> None:
    """Score every subset of each method and share, with intervals and comparisons."""

    def work() -> None:
        from mmsn.reporting.low_data_stored import measure_and_store
        from mmsn.reporting.runs import RunDescription, parse_runs
        from mmsn.reporting.settings import StatisticsSettings

        described, chosen = parse_runs(runs, RunDescription), _settings(settings, LowDataSettings, "--settings")
        drawn = _settings(statistics, StatisticsSettings, "--statistics").model_copy(update={"baseline": baseline})
        outputs = output_summary, output_labels, output_replicates
        measure_and_store(described, subset_predictions, chosen, drawn, outputs, threads)

    raise typer.Exit(console.run(work, log))


def low_data(
    summary: Annotated[Path, typer.Option(help="From `report low-data-statistics`.")],
    labels: Annotated[Path, typer.Option(help="From there too: why labels do not count.")],
    settings: Settings,
    protocol: Annotated[str, typer.Option(help="linear or finetune.")],
    dataset: Annotated[str, typer.Option(help="mimic-cxr or another.")],
    output_csv: Annotated[Path, typer.Option(help="All numbers, unrounded.")],
    output_markdown: Annotated[Path, typer.Option(help="Markdown table.")],
    output_html: Annotated[Path, typer.Option(help="Page that needs no other file.")],
    data_note: Annotated[str, typer.Option(help="Why the data are not comparable with the published values.")] = "",
    log: Log = None,
) -> None:
    """Write best, mean and spread over the random subsets of each method and share."""

    def work() -> None:
        from mmsn.reporting.captions import Setting
        from mmsn.reporting.layout import to_html, to_markdown
        from mmsn.reporting.low_data import with_published
        from mmsn.reporting.low_data_stored import LABELS, SUMMARY
        from mmsn.reporting.low_data_table import low_data_tables
        from mmsn.reporting.schemas import read_stored

        chosen = _settings(settings, LowDataSettings, "--settings")
        measured, facts = read_stored(summary, SUMMARY)
        rows = with_published(measured, protocol, dataset)
        setting = Setting(protocol, dataset, str(rows["backbone_name"].iloc[0]), note=data_note)
        tables = low_data_tables(rows, read_stored(labels, LABELS)[0], facts, setting, chosen.by)
        write_text(output_csv, rows.to_csv(index=False))
        write_text(output_markdown, to_markdown(tables))
        write_text(output_html, to_html(tables))

    raise typer.Exit(console.run(work, log))


def _settings(text: str, model: type[Chosen], option: str) -> Chosen:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise UserError(f"{option}: {explain(error, model)}") from None
