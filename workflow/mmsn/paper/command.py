"""`mmsn paper ...`: what was measured -> the paper's tables, its claims, the report's opening."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import yaml

from mmsn import console
from mmsn.errors import UserError
from mmsn.files import write_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from mmsn.reporting.layout import Table
    from mmsn.study import Study

app = typer.Typer(no_args_is_help=True, help="The paper's tables and claims, filled from stored statistics.")

StudyFile = Annotated[Path, typer.Option("--study", help="study.yaml, the resolved study.")]
Inputs = Annotated[str, typer.Option("--inputs", help="PaperInputs as JSON: statistics, low_data, flows.")]
Folder = Annotated[Path, typer.Option("--output-folder", help="Where the tables are written.")]
Log = Annotated[Path | None, typer.Option("--log", help="Log file.")]


@app.command()
def tables(study: StudyFile, inputs: Inputs, output_folder: Folder, log: Log = None) -> None:
    """Write every table of the paper, and what this study says of its claims, as csv, Markdown, LaTeX and HTML."""

    def work() -> None:
        from mmsn.paper.claims import claims_frame, judge_claims, with_note
        from mmsn.paper.claims_table import claims_tables
        from mmsn.paper.sources import parse_inputs, read_measured
        from mmsn.paper.tables import fill_tables

        chosen, measured = _study(study), read_measured(parse_inputs(inputs))
        for filled in fill_tables(chosen, measured):
            _write(output_folder / f"paper_table_{filled.id}", filled.numbers, filled.shown)
        judgements = judge_claims(chosen, measured)
        shown = claims_tables(judgements, chosen.statistics.level, with_note(chosen, measured).note)
        _write(output_folder / "claims", claims_frame(judgements), shown)

    raise typer.Exit(console.run(work, log))


@app.command()
def opening(
    study: StudyFile,
    inputs: Inputs,
    benchmarks: Annotated[Path, typer.Option(help="Folder of the benchmark files.")],
    pretrained: Annotated[Path, typer.Option(help="Folder of the pretrained models, for their resolved.yaml.")],
    output: Annotated[Path, typer.Option(help="reStructuredText.")],
    log: Log = None,
) -> None:
    """Write the report's first page: the result in a paragraph, what was run, conformance, controls, limits."""

    def work() -> None:
        from mmsn.paper.claims import judge_claims
        from mmsn.paper.opening import opening as opening_page
        from mmsn.paper.record import read_record
        from mmsn.paper.sources import parse_inputs, read_measured

        chosen, measured = _study(study), read_measured(parse_inputs(inputs))
        record = read_record(pretrained, (run.path for run in chosen.grid), benchmarks)
        write_text(output, opening_page(chosen, measured, judge_claims(chosen, measured), record))

    raise typer.Exit(console.run(work, log))


def _write(stem: Path, numbers: pd.DataFrame, shown: Sequence[Table]) -> None:
    from mmsn.reporting.layout import to_html, to_latex, to_markdown

    write_text(f"{stem}.csv", numbers.to_csv(index=False))
    write_text(f"{stem}.md", to_markdown(shown))
    write_text(f"{stem}.tex", "\n".join(map(to_latex, shown)))
    write_text(f"{stem}.html", to_html(shown))


def _study(path: Path) -> Study:
    from mmsn.study import load_study

    if not path.exists():
        raise UserError(f"{path} does not exist; `snakemake {path}` writes it")
    return load_study(yaml.safe_load(path.read_text(encoding="utf-8")))
