"""`mmsn report low-data`: predictions of models trained on few images -> their table."""

from pathlib import Path
from typing import Annotated, TypeVar

import typer
from pydantic import ValidationError

from mmsn import console
from mmsn.config_errors import explain
from mmsn.errors import UserError
from mmsn.evaluation.settings import LowDataSettings
from mmsn.files import write_table, write_text
from mmsn.settings import Section

Settings = TypeVar("Settings", bound=Section)


def low_data(
    runs: Annotated[
        str, typer.Option(help="JSON list of run descriptions, their predictions' paths with {percent} and {draw}.")
    ],
    settings: Annotated[str, typer.Option(help="LowDataSettings as JSON: shares, draws, by.")],
    baseline: Annotated[str, typer.Option(help="Reference method, for the order of rows.")],
    protocol: Annotated[str, typer.Option(help="linear or finetune.")],
    dataset: Annotated[str, typer.Option(help="mimic-cxr or another.")],
    output_csv: Annotated[Path, typer.Option(help="All numbers, unrounded.")],
    output_markdown: Annotated[Path, typer.Option(help="Markdown table.")],
    output_html: Annotated[Path, typer.Option(help="Page that needs no other file.")],
    output_replicates: Annotated[
        Path | None, typer.Option(help="Means over the subsets in the resamples of patients (Parquet).")
    ] = None,
    statistics: Annotated[str, typer.Option(help="StatisticsSettings as JSON: resamples, level, seed.")] = "{}",
    threads: Annotated[int | None, typer.Option(min=1, help="All that this process may use.")] = None,
    data_note: Annotated[str, typer.Option(help="Why the data are not comparable with the published values.")] = "",
    log: Annotated[Path | None, typer.Option(help="Log file.")] = None,
) -> None:
    """Write best, mean and spread over the random subsets of each method and share."""

    def work() -> None:
        from mmsn.reporting.captions import Setting
        from mmsn.reporting.layout import to_html, to_markdown
        from mmsn.reporting.low_data import measure_subsets, summarise_subsets, with_published
        from mmsn.reporting.low_data_draws import replicates_of_draws
        from mmsn.reporting.low_data_intervals import with_intervals
        from mmsn.reporting.low_data_table import low_data_tables
        from mmsn.reporting.reader import Reader
        from mmsn.reporting.runs import RunDescription, parse_runs
        from mmsn.reporting.settings import StatisticsSettings

        described, chosen = parse_runs(runs, RunDescription), _settings(settings, LowDataSettings, "--settings")
        drawn = _settings(statistics, StatisticsSettings, "--statistics").model_copy(update={"baseline": baseline})
        measured = measure_subsets(described, chosen.shares, chosen.draws, baseline, Reader().read, drawn, threads)
        summary = with_intervals(summarise_subsets(measured.labels), measured, baseline, drawn.level)
        rows = with_published(summary, protocol, dataset)
        setting = Setting(protocol, dataset, described[0].backbone_name, note=data_note)
        tables = low_data_tables(rows, measured, setting, chosen.by, drawn)
        write_text(output_csv, rows.to_csv(index=False))
        if output_replicates is not None:
            write_table(output_replicates, replicates_of_draws(measured))
        write_text(output_markdown, to_markdown(tables))
        write_text(output_html, to_html(tables))

    raise typer.Exit(console.run(work, log))


def _settings(text: str, model: type[Settings], option: str) -> Settings:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise UserError(f"{option}: {explain(error, model)}") from None
