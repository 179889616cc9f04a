"""`mmsn images shard` and `mmsn images index`: from image files to the pixel store."""

from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
import typer

from mmsn import console
from mmsn.errors import UserError
from mmsn.files import naming, read_schema, read_table
from mmsn.images.held_out import held_out_images, refuse_same_pixels, refuse_unreadable
from mmsn.images.index import merge_index
from mmsn.images.settings import ImageSettings
from mmsn.images.shards import ImageRow, build_shard, shard_rows

app = typer.Typer(help="Decode radiographs once into a packed pixel store.", no_args_is_help=True)

_COLUMNS = ["dicom_id", "subject_id", "path"]

OnlySplit = Annotated[
    str | None, typer.Option("--only-split", help="Take the images of one split alone, for example test.")
]
Settings = Annotated[str, typer.Option(help="ImageSettings as JSON.")]
Log = Annotated[Path | None, typer.Option(help="File for the log.")]


@app.command()
def shard(
    images: Annotated[Path, typer.Option(help="The cohort's images.parquet.", exists=True, dir_okay=False)],
    root: Annotated[Path, typer.Option(help="Folder that the table's paths start from.")],
    shard: Annotated[str, typer.Option(help="Patients to pack: p10..p19 as MIMIC-CXR's folders, part1of4, or `all`.")],
    output_array: Annotated[Path, typer.Option(help="Array to write: uint8 [N, side, side], .npy.")],
    output_index: Annotated[Path, typer.Option(help="Index to write: which image is which row.")],
    only_split: OnlySplit = None,
    settings: Settings = "{}",
    threads: Annotated[int, typer.Option(help="Images decoded at once.", min=1)] = 1,
    log: Log = None,
) -> None:
    """Decode one shard's images into one array; an interrupted shard goes on where it stopped."""

    def work() -> None:
        chosen = ImageSettings.model_validate_json(settings)
        rows = _rows(images, shard, only_split)
        with naming(output_array):
            build_shard(rows, root, chosen, output_array, output_index, threads)

    raise typer.Exit(console.run(work, log))


@app.command()
def index(
    shards: Annotated[list[Path], typer.Option(help="A shard's index, or their folder; may be repeated.", exists=True)],
    output_index: Annotated[Path, typer.Option(help="Index over all shards to write, beside their arrays.")],
    output_quarantine: Annotated[Path, typer.Option(help="Table of unreadable images to write.")],
    images: Annotated[
        Path | None,
        typer.Option(help="The cohort's images.parquet: check that no image is forgotten.", exists=True),
    ] = None,
    only_split: OnlySplit = None,
    whole_split: Annotated[
        str | None, typer.Option(help="Split of which not one image may be unreadable, for example test.")
    ] = None,
    not_in: Annotated[
        Path | None,
        typer.Option(help="Index of another store: stop where it holds the pixels of a test image.", exists=True),
    ] = None,
    settings: Settings = "{}",
    log: Log = None,
) -> None:
    """Join the shards' indexes and stop when too many images are unreadable."""

    def work() -> None:
        chosen = ImageSettings.model_validate_json(settings)
        cohort = None if images is None else _image_table(images, only_split)
        paths = _shard_indexes(shards)
        if images is not None:
            tested = held_out_images(images, whole_split or "test")
            if whole_split:
                refuse_unreadable(paths, tested, images)
            if not_in:
                refuse_same_pixels(paths, tested, not_in, chosen.side)
        merge_index(paths, chosen, output_index, output_quarantine, cohort)

    raise typer.Exit(console.run(work, log))


def _shard_indexes(paths: list[Path]) -> list[Path]:
    """Take a folder for the tables in it that have an array beside them."""
    indexes: list[Path] = []
    for path in paths:
        inside = (table for table in path.glob("*.parquet") if table.with_suffix(".npy").is_file())
        indexes += inside if path.is_dir() else [path]
    return indexes


def _rows(images: Path, shard: str, only_split: str | None) -> list[ImageRow]:
    table = _image_table(images, only_split)
    table = table.filter(pa.array(shard_rows(table["subject_id"].to_pylist(), shard), pa.bool_()))
    return [ImageRow(**row) for row in table.to_pylist()]


def _image_table(images: Path, only_split: str | None = None) -> pa.Table:
    """What is packed of each image; of one split alone where `only_split` names it."""
    for column in (*_COLUMNS, *(["split"] if only_split else [])):
        if column not in read_schema(images).names:
            raise UserError(f"{images} has no column {column}: it is to be the cohort stage's images.parquet")
    table = read_table(images, _COLUMNS, None if only_split is None else {"split": only_split})
    for column in _COLUMNS:
        if nulls := pc.sum(pc.is_null(table[column])).as_py():
            raise UserError(f"{images}, column {column}: {nulls} rows are empty; build the cohort again")
    return table
