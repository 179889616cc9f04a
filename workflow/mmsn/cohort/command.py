"""`mmsn cohort`: from the MIMIC tables to images.parquet."""

import json
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from mmsn import console, files
from mmsn.cohort.settings import CohortSettings
from mmsn.cohort.sources import find_tables
from mmsn.config_errors import explain
from mmsn.errors import UserError

app = typer.Typer(help="Join MIMIC-IV and MIMIC-CXR-JPG tables into one row an image.", no_args_is_help=True)


@app.callback()
def _cohort() -> None:
    """Join MIMIC-IV and MIMIC-CXR-JPG tables into one row an image."""


@app.command()
def build(
    mimic_iv: Annotated[Path, typer.Option(help="Folder with MIMIC-IV's hosp/ (or core/) and icu/.")],
    mimic_cxr: Annotated[Path, typer.Option(help="Folder with MIMIC-CXR-JPG's tables.")],
    variables: Annotated[str, typer.Option(help='EHR variables as JSON: {"name": "file.sql", ...}.')],
    settings: Annotated[str, typer.Option(help="Cohort settings as JSON.")],
    output_images: Annotated[Path, typer.Option(help="images.parquet to write.")],
    output_exclusions: Annotated[Path, typer.Option(help="exclusions.parquet to write.")],
    output_flow: Annotated[Path, typer.Option(help="flow.json to write.")],
    medfuse_validate: Annotated[Path | None, typer.Option(help="MedFuse's validation list (CSV).")] = None,
    medfuse_test: Annotated[Path | None, typer.Option(help="MedFuse's test list (CSV).")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Processor cores to use.")] = 1,
    log: Annotated[Path | None, typer.Option(help="Log file.")] = None,
) -> None:
    """Join the tables, apply the exclusions, assign the split; print the counts beside the published ones."""

    def work() -> None:
        from mmsn.cohort.build import build as build_cohort
        from mmsn.cohort.flow import lines

        chosen = _settings(settings)
        tables = find_tables(mimic_iv, mimic_cxr, chosen, medfuse_validate, medfuse_test)
        cohort = build_cohort(tables, _statements(variables), chosen, threads)
        files.write_table(output_images, cohort.images)
        files.write_table(output_exclusions, cohort.exclusions)
        files.write_json(output_flow, cohort.flow)
        for line in lines(cohort.flow):
            console.logger.info(line)

    raise typer.Exit(console.run(work, log))


def _settings(given: str) -> CohortSettings:
    try:
        return CohortSettings.model_validate_json(given)
    except ValidationError as error:
        raise UserError(f"--settings: {explain(error, CohortSettings)}") from error


def _statements(variables: str) -> dict[str, Path]:
    try:
        given = json.loads(variables)
    except json.JSONDecodeError as error:
        raise UserError(f'--variables is not JSON: {error}; give {{"name": "file.sql"}}') from error
    if not isinstance(given, dict) or not all(isinstance(path, str) for path in given.values()):
        raise UserError('--variables must be one JSON object, {"name": "file.sql"}')
    return {name: Path(path) for name, path in given.items()}
