"""`mmsn report variant...`: one encoder judged in several ways -> statistics -> tables."""

from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import ValidationError

from mmsn import console
from mmsn.config_errors import explain
from mmsn.errors import UserError
from mmsn.files import write_table, write_text
from mmsn.reporting.settings import StatisticsSettings

_LATER: Final = (
    "Death in hospital, and intensive care by the calendar day, may be known only after the radiograph: sets with them "
    "show what a record holds, not what a reader could have at that time."
)
_ABOUT: Final = {
    "readings": (
        "what the head reads of the frozen encoder",
        [
            "Linear heads by the same protocol, beside the published one on the class token, never instead.",
            "Class + mean: the class token beside the mean of the patches' tokens. Attentive: a query, trained with "
            "the head, that gathers from all tokens. Bank: the published heads, trained on cached augmentations.",
        ],
    ),
    "ehr_linear": (
        "the EHR at evaluation, linear heads",
        [
            "The encoded EHR vector stands beside the class token of the frozen encoder; EHR alone is a logistic "
            "regression without any image, the floor.",
            _LATER,
        ],
    ),
    "ehr_finetune": (
        "the EHR at evaluation, fine-tuned",
        [
            "The encoded EHR vector stands beside the class token while encoder and head are trained; EHR alone is a "
            "logistic regression without any image, the floor.",
            _LATER,
        ],
    ),
}


def variant_statistics(
    runs: Annotated[str, typer.Option(help="JSON list of run descriptions with variant, key and against.")],
    output: Annotated[Path, typer.Option(help="One row a variant, metric and reference (Parquet).")],
    settings: Annotated[str, typer.Option(help="JSON: resamples, level, seed, baseline.")] = "{}",
    threads: Annotated[int | None, typer.Option(min=1, help="All that this process may use.")] = None,
    log: Annotated[Path | None, typer.Option(help="Log file.")] = None,
) -> None:
    """Score several ways to judge the same encoders, with patient-level intervals."""

    def work() -> None:
        from mmsn.reporting.runs import parse_runs
        from mmsn.reporting.schemas import table_of
        from mmsn.reporting.variants import VARIANTS, VariantRun, judged_variants, measure_variants

        rows, facts = measure_variants(judged_variants(parse_runs(runs, VariantRun)), _settings(settings), threads)
        write_table(output, table_of(rows.to_dict("records"), VARIANTS).replace_schema_metadata(facts.metadata()))

    raise typer.Exit(console.run(work, log))


def variants(
    measured: Annotated[Path, typer.Option(help="From `report variant-statistics`.")],
    about: Annotated[str, typer.Option(help=f"What is compared: {', '.join(_ABOUT)}.")],
    dataset: Annotated[str, typer.Option(help="mimic-cxr or another.")],
    output_csv: Annotated[Path, typer.Option(help="All numbers, unrounded.")],
    output_markdown: Annotated[Path, typer.Option(help="Markdown table.")],
    output_latex: Annotated[Path, typer.Option(help="LaTeX tables (need booktabs).")],
    output_html: Annotated[Path, typer.Option(help="Page that needs no other file.")],
    data_note: Annotated[str, typer.Option(help="Why the data are not comparable with the published values.")] = "",
    log: Annotated[Path | None, typer.Option(help="Log file.")] = None,
) -> None:
    """Write the tables that set several ways to judge the same encoders side by side."""

    def work() -> None:
        from mmsn.reporting.captions import dataset_name
        from mmsn.reporting.layout import to_html, to_latex, to_markdown
        from mmsn.reporting.schemas import read_stored
        from mmsn.reporting.variants import VARIANTS
        from mmsn.reporting.variants_table import variants_tables

        if about not in _ABOUT:
            raise UserError(f"--about: {about!r} is none of {', '.join(_ABOUT)}")
        rows, facts = read_stored(measured, VARIANTS)
        what, sentences = _ABOUT[about]
        title = f"{rows['backbone_name'].iloc[0]} on {dataset_name(dataset)}: {what}"
        tables = variants_tables(rows, facts, title, sentences, data_note)
        write_text(output_csv, rows.to_csv(index=False))
        write_text(output_markdown, to_markdown(tables))
        write_text(output_latex, "\n".join(map(to_latex, tables)))
        write_text(output_html, to_html(tables))

    raise typer.Exit(console.run(work, log))


def _settings(text: str) -> StatisticsSettings:
    try:
        return StatisticsSettings.model_validate_json(text)
    except ValidationError as error:
        raise UserError(f"--settings: {explain(error, StatisticsSettings)}") from None
