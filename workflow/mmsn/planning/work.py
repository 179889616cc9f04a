"""How much a job has to do, in images times passes: what times are scaled by."""

from collections.abc import Mapping
from typing import Any, Final

from mmsn.methods import Method
from mmsn.planning.sizes import PUBLISHED_TEST, Sizes
from mmsn.training.settings import section_of

_SECTIONS: Final = {
    "evaluate/linear": "linear",
    "evaluate/readings": "linear",
    "evaluate/finetune": "finetune",
    "evaluate/finetune+ehr": "finetune",
}


def amount(stage: str, settings: Mapping[str, Any], sizes: Sizes, passes: float, share: float | None = None) -> float:
    """Images times passes of one job.

    Args:
        stage: of the job.
        settings: of the job's section.
        sizes: of the study.
        passes: over the images: epochs of a training.
        share: of the training images, for low-data jobs.
    """
    if stage == "pretrain":
        images = sizes.total if settings.get("rows") == "all" else sizes.train
        return max(1.0, images * passes)
    if stage == "evaluate/low-data":
        return max(1.0, (share or 1.0) * sizes.train * passes + sizes.test)
    if stage in ("evaluate/finetune", "evaluate/finetune+ehr"):
        return max(1.0, sizes.train * passes * len(settings.get("runs") or [1]))
    if stage in ("evaluate/linear", "evaluate/readings"):
        return max(1.0, sizes.train * passes)
    if stage in ("study", "tables", "figures"):
        return 1.0  # they do not grow with the images
    return float(max(1, sizes.total))


def section_name(kind: str, method: Method | None) -> str:
    """The section of the study that jobs of a kind (`jobs.kind_of`) take their settings from."""
    stage, _, within = kind.partition(" ")
    if stage == "pretrain" and method is not None:
        return section_of(method)
    return within if stage == "evaluate/low-data" else _SECTIONS.get(stage, stage)


def files_of_full_size(files: int, images: int) -> float:
    """Files of predictions, each counted by its test images as a share of the published test set."""
    return files * images / PUBLISHED_TEST
