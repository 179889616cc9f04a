"""`mmsn figure ...`: stored results -> figures. Nothing here trains or embeds anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmsn import console
from mmsn.figures.options import (
    Backbone,
    Compared,
    Dataset,
    Images,
    Log,
    Note,
    Png,
    Protocol,
    Runs,
    Statistics,
    Summary,
    Svg,
    existing,
    names_of,
    parsed,
    predictions_at,
    setting_of,
    with_facts,
)

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

app = typer.Typer(no_args_is_help=True, help="Figures from stored results.")


def _draw(work: Callable[[], Callable[[], Figure]], svg: Path, png: Path, log: Path | None) -> None:
    """Prepare with `work`, draw with what it returns, end with the exit code."""

    def both() -> None:
        from mmsn.reporting.figure_files import write_figure

        write_figure(work(), svg, png)

    raise typer.Exit(console.run(both, log))


@app.command()
def ehr(
    images: Images,
    variables: Annotated[str, typer.Option(help="JSON: variables of the study by name.")],
    dataset: Dataset,
    output_svg: Svg,
    output_png: Png,
    data_note: Note = "",
    log: Log = None,
) -> None:
    """Draw the distributions of the EHR variables, and how much of each is missing."""

    def work() -> Callable[[], Figure]:
        from pydantic import RootModel

        from mmsn.ehr.settings import Variable
        from mmsn.figures.distributions import distributions, draw_distributions
        from mmsn.reporting.captions import dataset_name

        rows = existing(images).to_pandas()
        found = distributions(rows, RootModel[dict[str, Variable]].model_validate_json(variables).root)
        title = f"{dataset_name(dataset)}: EHR variables as recorded"
        patients = int(rows["subject_id"].nunique())
        return lambda: draw_distributions(found, len(rows), patients, title, data_note)

    _draw(work, output_svg, output_png, log)


@app.command()
def masking(
    views: Annotated[str, typer.Option(help="ViewSettings as JSON.")],
    masks: Annotated[str, typer.Option(help="JSON: mask_ratio, mask_random, mask_focal, class_token_aware.")],
    patch: Annotated[int, typer.Option(min=1, help="Side of a patch in pixels.")],
    side: Annotated[int, typer.Option(min=8, help="Side of the radiograph in pixels.")],
    output_svg: Svg,
    output_png: Png,
    store: Annotated[Path | None, typer.Option(help="Pixel store to take a real radiograph from.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of crops, masks and of which radiograph.")] = 0,
    data_note: Note = "",
    log: Log = None,
) -> None:
    """Draw the views of one radiograph and their masks: of a synthetic phantom, or of a patient with --store."""

    def work() -> Callable[[], Figure]:
        import json

        from mmsn.figures.masking import Masking, draw_masking, masked_views
        from mmsn.images.settings import ViewSettings

        image, origin = _radiograph(store, side, seed)
        masking = Masking(**json.loads(masks))
        found = masked_views(image, parsed(views, ViewSettings, "--views"), masking, patch, seed)
        title = f"Views and masks of one radiograph: patches of {patch} pixels, mask ratio {masking.mask_ratio:g}"
        return lambda: draw_masking(image, found, masking, origin, title, data_note)

    _draw(work, output_svg, output_png, log)


def _radiograph(store: Path | None, side: int, seed: int) -> tuple[NDArray[np.uint8], str]:
    """A radiograph [S, S] and where it is from: a phantom, unless there is a store."""
    import numpy as np

    if store is None:
        from mmsn.figures.phantom_view import phantom_radiograph

        why = "the data use agreement does not allow to share a patient's (figures.patient_images)"
        return phantom_radiograph(side, seed), f"The radiograph is a synthetic phantom, because {why}."
    from mmsn.images.store import PixelStore

    pixels = PixelStore(store)
    place = int(np.random.default_rng(seed).integers(len(pixels)))
    return pixels.batch([place])[0].numpy(), "A radiograph of the study, drawn at random."


@app.command()
def tsne(
    points: Annotated[list[Path], typer.Option(help="Maps of `figure-data tsne`, in the order of columns.")],
    quality: Annotated[list[Path], typer.Option(help="Their quality, in the same order.")],
    names: Annotated[list[str], typer.Option(help="The methods' names, in the same order.")],
    dataset: Dataset,
    backbone: Backbone,
    output_svg: Svg,
    output_png: Png,
    data_note: Note = "",
    log: Log = None,
) -> None:
    """Draw t-SNE maps: three groups of labels down, methods across, quality of the embeddings below each."""

    def work() -> Callable[[], Figure]:
        from mmsn.figures.tsne_maps import TsneMap, draw_maps
        from mmsn.figures.tsne_points import TsneFacts
        from mmsn.reporting.captions import dataset_name

        maps = []
        for name, place, beside in zip(names, points, quality, strict=True):
            stored = existing(place)
            facts = TsneFacts.of(stored, str(place))
            maps.append(TsneMap(name, stored.to_pandas(), existing(beside).to_pandas(), facts))
        title = f"Embeddings of training images with a single label: {backbone} on {dataset_name(dataset)}"
        return lambda: draw_maps(maps, title, data_note)

    _draw(work, output_svg, output_png, log)


@app.command()
def attention(
    maps: Annotated[Path, typer.Option(help="From `figure-data attention`.")],
    dataset: Dataset,
    backbone: Backbone,
    output_svg: Svg,
    output_png: Png,
    per_head: Annotated[bool, typer.Option("--per-head", help="Every head on its own, without scores.")] = False,
    data_note: Note = "",
    log: Log = None,
) -> None:
    """Draw attention maps of the last layer, the reference beside one variant with EHR. Shows patients' images."""

    def work() -> Callable[[], Figure]:
        from mmsn.figures.attention import read_maps
        from mmsn.figures.attention_maps import draw_attention, draw_heads
        from mmsn.reporting.captions import dataset_name

        found = read_maps(maps)
        title = f"Attention of the last layer{' by head' if per_head else ''}: {backbone} on {dataset_name(dataset)}"
        return lambda: (draw_heads if per_head else draw_attention)(found, title, data_note)

    _draw(work, output_svg, output_png, log)


@app.command()
def label_differences(
    labels: Annotated[Path, typer.Option(help="Labels table of `report statistics`.")],
    protocol: Protocol,
    dataset: Dataset,
    output_svg: Svg,
    output_png: Png,
    data_note: Note = "",
    log: Log = None,
) -> None:
    """Draw the heat map of differences to the reference, by method and label."""

    def work() -> Callable[[], Figure]:
        from mmsn.figures.label_differences import draw_differences

        rows, facts = with_facts(labels)
        of_reference = rows["method_name"][rows["method"] == facts.baseline]
        reference = str(of_reference.iloc[0]) if len(of_reference) else facts.baseline
        setting = setting_of(protocol, dataset, str(rows["backbone_name"].iloc[0]), data_note)
        return lambda: draw_differences(rows, facts, setting, reference)

    _draw(work, output_svg, output_png, log)


@app.command()
def learning_curves(
    labels: Annotated[Path, typer.Option(help="From `report low-data-statistics`.")],
    settings: Annotated[str, typer.Option(help="LowDataSettings as JSON: by.")],
    protocol: Protocol,
    dataset: Dataset,
    output_svg: Svg,
    output_png: Png,
    data_note: Note = "",
    log: Log = None,
) -> None:
    """Draw the AUROC over the share of the training images, a panel a method."""

    def work() -> Callable[[], Figure]:
        from mmsn.evaluation.settings import LowDataSettings
        from mmsn.figures.learning_curves import draw_curves
        from mmsn.reporting.low_data_stored import LABELS
        from mmsn.reporting.schemas import read_stored

        chosen = parsed(settings, LowDataSettings, "--settings")
        rows, facts = read_stored(labels, LABELS)
        setting = setting_of(protocol, dataset, str(rows["backbone_name"].iloc[0]), data_note)
        return lambda: draw_curves(rows, setting, chosen.by, facts.images)

    _draw(work, output_svg, output_png, log)


@app.command()
def calibration(
    runs: Runs,
    summary: Summary,
    dataset: Dataset,
    output_svg: Svg,
    output_png: Png,
    compared: Compared = None,
    settings: Annotated[str, typer.Option(help="SubgroupSettings as JSON: bins, min_class.")] = "{}",
    statistics: Statistics = "{}",
    data_note: Note = "",
    log: Log = None,
) -> None:
    """Draw reliability curves by label: the reference and one other method, linear protocol."""

    def work() -> Callable[[], Figure]:
        from mmsn.figures.compared import compared_runs
        from mmsn.figures.reliability import curves_of, draw_reliability
        from mmsn.reporting.predictions import check_same_test_set
        from mmsn.reporting.runs import RunDescription, parse_runs
        from mmsn.reporting.settings import StatisticsSettings
        from mmsn.representation.settings import SubgroupSettings

        described = parse_runs(runs, RunDescription)
        judged, drawn = (
            parsed(settings, SubgroupSettings, "--settings"),
            parsed(statistics, StatisticsSettings, "--statistics"),
        )
        two, how = compared_runs(described, with_facts(summary)[0], drawn.baseline, compared)
        read = [predictions_at(run.predictions) for run in two]
        for other, run in zip(read[1:], two[1:], strict=True):
            check_same_test_set(read[0], other, (two[0].id, run.id))
        scores = {names_of(two, run.method): one.scores for run, one in zip(two, read, strict=True)}
        found = curves_of(read[0], scores, drawn, judged.bins, judged.min_class)
        setting = setting_of("linear", dataset, two[0].backbone_name, data_note)
        return lambda: draw_reliability(found, setting, read[0], drawn.level, how)

    _draw(work, output_svg, output_png, log)


@app.command()
def subgroups(
    measures: Annotated[Path, typer.Option(help="From `represent groups`.")],
    dataset: Dataset,
    output_svg: Svg,
    output_png: Png,
    data_note: Note = "",
    log: Log = None,
) -> None:
    """Draw the AUROC by group of patients and the gaps between groups."""

    def work() -> Callable[[], Figure]:
        from mmsn.figures.subgroup_gaps import draw_gaps
        from mmsn.representation.measured import MeasuredFacts

        stored = existing(measures)
        rows, facts = stored.to_pandas(), MeasuredFacts.of(stored, str(measures))
        setting = setting_of("linear", dataset, str(rows["backbone_name"].iloc[0]), data_note)
        return lambda: draw_gaps(rows, facts, setting)

    _draw(work, output_svg, output_png, log)
