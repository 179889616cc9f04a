"""`mmsn study`: show, write and explain the configuration."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from mmsn import console
from mmsn.errors import UserError
from mmsn.files import write_text
from mmsn.presets import PRESETS, ROWS
from mmsn.study import Study, load_study
from mmsn.training.settings import SECTIONS

app = typer.Typer(help="The study: its resolved settings, its presets, its schema.", no_args_is_help=True)

Log = Annotated[Path | None, typer.Option(help="Log file.")]


@app.command()
def show(
    config: Annotated[list[Path], typer.Option(help="config.yaml, then overlays in order.")],
) -> None:
    """Print the resolved study: presets filled in, overlays applied."""
    raise typer.Exit(console.run(lambda: typer.echo(resolved_yaml(load_study(merged(config))))))


@app.command()
def write(
    config: Annotated[str, typer.Option(help="The merged configuration as JSON.")],
    output: Annotated[Path, typer.Option(help="YAML file.")],
    log: Log = None,
) -> None:
    """Write the resolved study beside the results."""
    raise typer.Exit(console.run(lambda: write_text(output, resolved_yaml(load_study(json.loads(config)))), log))


@app.command()
def presets() -> None:
    """Print the three presets side by side."""
    typer.echo(f"{'key':<36}" + "".join(f"{preset:<20}" for preset in PRESETS))
    for key, row in ROWS.items():
        typer.echo(f"{key:<36}" + "".join(f"{value!s:<20}" for value in row))


@app.command()
def schema(output: Annotated[Path, typer.Option(help="JSON file.")]) -> None:
    """Write the JSON schema that editors check config.yaml with."""
    raise typer.Exit(console.run(lambda: write_text(output, schema_text())))


def merged(paths: list[Path]) -> dict[str, Any]:
    """Overlay YAML files as Snakemake does: dictionaries key by key, everything else replaced."""
    result: dict[str, Any] = {}
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path}: no such file")
        _overlay(result, yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    return result


def resolved_yaml(study: Study) -> str:
    """The resolved study as YAML."""
    return yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def schema_text() -> str:
    """JSON schema of config.yaml; what a preset or another section fills in is not required."""
    whole = Study.model_json_schema()
    for section in ("ImputationSettings", "FinetuneSettings", *(settings.__name__ for settings in SECTIONS.values())):
        whole["$defs"][section].pop("required", None)
    whole["required"] = [key for key in whole["required"] if key not in ("imputation", "finetune", *SECTIONS)]
    return json.dumps(whole, indent=2)


def _overlay(base: dict[str, Any], other: dict[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _overlay(base[key], value)
        else:
            base[key] = value
