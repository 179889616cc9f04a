"""`mmsn external`: from the tables of NIH-14, CheXpert and any other data set to images.parquet."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from pydantic import ValidationError

from mmsn import console, files
from mmsn.cohort.external.settings import ChexpertSettings, NihSettings, TableSettings
from mmsn.cohort.external.sources import find_chexpert, find_nih
from mmsn.config_errors import explain
from mmsn.errors import UserError
from mmsn.settings import Section
from mmsn.synthetic.marker import marker_of

if TYPE_CHECKING:
    from mmsn.cohort.build import Cohort

S = TypeVar("S", bound=Section)
app = typer.Typer(help="Turn the tables of other data sets than MIMIC-CXR into one row an image.", no_args_is_help=True)

Settings = Annotated[str, typer.Option(help="Settings of the data set as JSON.")]
OutputImages = Annotated[Path, typer.Option(help="images.parquet to write.")]
OutputExclusions = Annotated[Path, typer.Option(help="exclusions.parquet to write.")]
OutputFlow = Annotated[Path, typer.Option(help="flow.json to write.")]
NotIn = Annotated[
    list[Path] | None,
    typer.Option(help="<data set>/images.parquet that no test image may stand in; may be repeated."),
]
Threads = Annotated[int, typer.Option(min=1, help="Processor cores to use.")]
Log = Annotated[Path | None, typer.Option(help="Log file.")]


@app.command()
def nih(
    nih_14: Annotated[Path, typer.Option(help="Folder with Data_Entry_2017*.csv, the two lists and the images.")],
    settings: Settings,
    output_images: OutputImages,
    output_exclusions: OutputExclusions,
    output_flow: OutputFlow,
    not_in: NotIn = None,
    threads: Threads = 1,
    log: Log = None,
) -> None:
    """Join NIH-14's table with the official lists; print the counts beside the published ones."""

    def build() -> "Cohort":
        from mmsn.cohort.external import nih

        return nih.build(find_nih(nih_14), _settings(settings, NihSettings), threads)

    outputs = (output_images, output_exclusions, output_flow)
    raise typer.Exit(console.run(lambda: _make("nih-14", nih_14, build, not_in or [], outputs), log))


@app.command()
def chexpert(
    chexpert: Annotated[Path, typer.Option(help="Folder with CheXpert's tables and train/, valid/, test/.")],
    settings: Settings,
    output_images: OutputImages,
    output_exclusions: OutputExclusions,
    output_flow: OutputFlow,
    not_in: NotIn = None,
    threads: Threads = 1,
    log: Log = None,
) -> None:
    """Join CheXpert's tables; print the counts beside the published ones."""

    def build() -> "Cohort":
        from mmsn.cohort.external.chexpert import build as build_chexpert

        chosen = _settings(settings, ChexpertSettings)
        return build_chexpert(find_chexpert(chexpert, chosen), chosen, threads)

    outputs = (output_images, output_exclusions, output_flow)
    raise typer.Exit(console.run(lambda: _make("chexpert", chexpert, build, not_in or [], outputs), log))


@app.command("table")
def any_table(
    name: Annotated[str, typer.Option(help="Name of the data set.")],
    table: Annotated[Path, typer.Option(help="CSV or Parquet: path, patient, split and label columns.")],
    settings: Settings,
    output_images: OutputImages,
    output_exclusions: OutputExclusions,
    output_flow: OutputFlow,
    not_in: NotIn = None,
    threads: Threads = 1,
    log: Log = None,
) -> None:
    """Read the table of any further data set by its label map; every row stays."""
    outputs = (output_images, output_exclusions, output_flow)

    def work() -> None:
        from mmsn.cohort.external.table import build, left_out

        chosen = _settings(settings, TableSettings)
        _make(name, chosen.root, lambda: build(name, table, chosen, threads), not_in or [], outputs)
        if missing := left_out(chosen):
            console.logger.info("not labelled, so left out of every mean: %s", ", ".join(missing))

    raise typer.Exit(console.run(work, log))


def _make(
    data_set: str, folder: Path, build: Callable[[], "Cohort"], not_in: list[Path], outputs: tuple[Path, Path, Path]
) -> None:
    """Build, compare with the other data sets, and only then write."""
    from mmsn.cohort.flow import lines, origin
    from mmsn.cohort.leaks import COLUMNS, check_leaks

    cohort = build()
    flow = cohort.flow | origin(marker_of(folder) is not None)
    check_leaks({data_set: cohort.images} | {path.parent.name: files.read_table(path, COLUMNS) for path in not_in})
    output_images, output_exclusions, output_flow = outputs
    files.write_table(output_images, cohort.images)
    files.write_table(output_exclusions, cohort.exclusions)
    files.write_json(output_flow, flow)
    for line in lines(flow):
        console.logger.info(line)


def _settings(given: str, model: type[S]) -> S:
    try:
        return model.model_validate_json(given)
    except ValidationError as error:
        raise UserError(f"--settings: {explain(error, model)}") from error
