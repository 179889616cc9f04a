"""`mmsn ehr impute` and `mmsn ehr encode`: from raw variables to one table a feature set."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from mmsn import console
from mmsn.ehr.settings import ImputationSettings, Variable

app = typer.Typer(help="EHR variables: imputed, encoded, one table a feature set.", no_args_is_help=True)

Variables = Annotated[str, typer.Option(help="Variables by name, as JSON.")]
Log = Annotated[Path | None, typer.Option(help="Log file.")]


def _variables(text: str) -> dict[str, Variable]:
    return {name: Variable.model_validate(value) for name, value in json.loads(text).items()}


@app.command()
def impute(
    records: Annotated[Path, typer.Option(help="The cohort's records.parquet (or images.parquet).")],
    variables: Variables,
    settings: Annotated[str, typer.Option(help="ImputationSettings as JSON.")],
    output_variables: Annotated[Path, typer.Option(help="Completed variables, one row an image.")],
    output_report: Annotated[Path, typer.Option(help="What was imputed and how well, JSON.")],
    threads: Annotated[int, typer.Option(help="Threads of the forest.")] = 1,
    log: Log = None,
) -> None:
    """Fill unknown values of the EHR variables and measure how well that works."""

    def work() -> None:
        from mmsn.ehr.tables import impute_table
        from mmsn.files import read_table, write_json, write_table
        from mmsn.lineage import Split

        chosen = ImputationSettings.model_validate_json(settings)
        cohort = read_table(records)
        completed, report = impute_table(cohort, _variables(variables), chosen, threads)
        split = Split.of_table(cohort)
        write_table(output_variables, completed, split.metadata)
        write_json(output_report, {"split_sha256": split.sha256, **report})
        _summarise(report)

    raise typer.Exit(console.run(work, log))


@app.command()
def encode(
    variables_table: Annotated[Path, typer.Option(help="Completed variables of `mmsn ehr impute`.")],
    variables: Annotated[str, typer.Option(help="The feature set's variables in order, as JSON.")],
    output: Annotated[Path, typer.Option(help="The feature set's table.")],
    log: Log = None,
) -> None:
    """Encode one feature set: dicom_id and float32 columns in fixed order."""

    def work() -> None:
        from mmsn.ehr.tables import encode_table
        from mmsn.files import read_table, write_table
        from mmsn.lineage import Split

        values = read_table(variables_table)
        write_table(output, encode_table(values, _variables(variables)), Split.of_table(values).metadata)

    raise typer.Exit(console.run(work, log))


def _summarise(report: dict[str, Any]) -> None:
    for name, row in report["variables"].items():
        counts = {"unknown": row["unknown"], "hidden on purpose": row["hidden_on_purpose"]}
        counts |= {"imputed": row["imputed"], "left unknown": row["left_unknown"]}
        said = [f"{count} {what}" for what, count in counts.items() if count]
        said += [f"{key.replace('_', ' ')} {value:g}" for key, value in row["hidden_cells"].items()]
        if said:
            console.logger.info("%s: %s", name, ", ".join(said))
