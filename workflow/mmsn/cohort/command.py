"""`mmsn cohort`: from the MIMIC tables to images.parquet."""

import json
from pathlib import Path
from typing import Annotated, Any

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
    output_images: Annotated[Path | None, typer.Option(help="images.parquet to write.")] = None,
    output_rows: Annotated[Path | None, typer.Option(help="rows.parquet to write: ids, path and split alone.")] = None,
    output_records: Annotated[
        Path | None, typer.Option(help="records.parquet to write: ids, split and EHR variables, no labels.")
    ] = None,
    output_exclusions: Annotated[Path | None, typer.Option(help="exclusions.parquet to write.")] = None,
    output_flow: Annotated[Path | None, typer.Option(help="flow.json to write; the counts are printed too.")] = None,
    medfuse_validate: Annotated[Path | None, typer.Option(help="MedFuse's validation list (CSV).")] = None,
    medfuse_test: Annotated[Path | None, typer.Option(help="MedFuse's test list (CSV).")] = None,
    split_file: Annotated[Path | None, typer.Option(help="Your own split: subject_id or dicom_id, split.")] = None,
    variable_tables: Annotated[
        str, typer.Option(help='Further MIMIC-IV tables of variables as JSON: {"name": ["hosp/labevents"], ...}.')
    ] = "{}",
    threads: Annotated[int, typer.Option(min=1, help="Processor cores to use.")] = 1,
    log: Annotated[Path | None, typer.Option(help="Log file.")] = None,
) -> None:
    """Join the tables, apply the exclusions, assign the split; print the counts beside the published ones."""

    def work() -> None:
        from mmsn.cohort import flow, linkage
        from mmsn.cohort.build import build as build_cohort
        from mmsn.cohort.schema import DISTINCT, ENCODINGS

        chosen = _settings(settings)
        streamed = _named(variable_tables, "--variable-tables")
        tables = find_tables(mimic_iv, mimic_cxr, chosen, medfuse_validate, medfuse_test, split_file, streamed)
        cohort = build_cohort(tables, _statements(variables), chosen, threads)
        written = {
            output_images: cohort.images,
            output_rows: cohort.rows,
            output_records: cohort.records,
            output_exclusions: cohort.exclusions,
        }
        for path, table in written.items():
            if path is not None:
                files.write_table(path, table, distinct=DISTINCT, encodings=ENCODINGS)
        if output_flow is None:
            return
        files.write_json(output_flow, cohort.flow)
        for line in (*linkage.lines(cohort.flow["linkage"]), *flow.lines(cohort.flow)):
            console.logger.info(line)

    raise typer.Exit(console.run(work, log))


def _settings(given: str) -> CohortSettings:
    try:
        return CohortSettings.model_validate_json(given)
    except ValidationError as error:
        raise UserError(f"--settings: {explain(error, CohortSettings)}") from error


def _statements(variables: str) -> dict[str, Path]:
    given = _named(variables, "--variables")
    if not all(isinstance(path, str) for path in given.values()):
        raise UserError('--variables must be one JSON object, {"name": "file.sql"}')
    return {name: Path(path) for name, path in given.items()}


def _named(text: str, option: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{option} is not JSON: {error}; give one object") from error
    if not isinstance(given, dict):
        raise UserError(f"{option} must be one JSON object by name of the variable")
    return given
