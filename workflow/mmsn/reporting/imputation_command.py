"""`mmsn report imputation`: the report of `mmsn ehr impute` -> its tables."""

from pathlib import Path
from typing import Annotated

import typer

from mmsn import console
from mmsn.files import read_json, write_text


def imputation(
    report: Annotated[Path, typer.Option(help="imputation.json of `mmsn ehr impute`.")],
    output_markdown: Annotated[Path, typer.Option(help="Markdown table.")],
    output_html: Annotated[Path, typer.Option(help="Page that needs no other file.")],
    data_note: Annotated[str, typer.Option(help="Why the data are not the real ones.")] = "",
    log: Annotated[Path | None, typer.Option(help="Log file.")] = None,
) -> None:
    """Write how many EHR values were imputed, and how well by values hidden on purpose."""

    def work() -> None:
        from mmsn.reporting.imputation_table import imputation_tables
        from mmsn.reporting.layout import to_html, to_markdown

        tables = imputation_tables(read_json(report), str(report), data_note)
        write_text(output_markdown, to_markdown(tables))
        write_text(output_html, to_html(tables))

    raise typer.Exit(console.run(work, log))
