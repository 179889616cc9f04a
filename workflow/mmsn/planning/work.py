"""How much a job has to do, in images times passes: what times are scaled by."""

from collections.abc import Mapping
from typing import Any

from mmsn.methods import Method
from mmsn.planning.sizes import Sizes
from mmsn.training.settings import section_of


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
    if stage == "evaluate/finetune":
        return max(1.0, sizes.train * passes * len(settings.get("runs") or [1]))
    if stage == "evaluate/linear":
        return max(1.0, sizes.train * passes)
    if stage in ("study", "tables", "figures"):
        return 1.0  # they do not grow with the images
    return float(max(1, sizes.total))


def section_name(stage: str, method: Method | None) -> str:
    """The section of the study that a stage takes its settings from."""
    if stage == "pretrain" and method is not None:
        return section_of(method)
    return {"evaluate/linear": "linear", "evaluate/finetune": "finetune", "evaluate/low-data": "finetune"}.get(
        stage, stage
    )
