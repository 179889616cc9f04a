"""Which runs of a study may share a process: those that draw the same batches, views and masks.

Read at every start of the workflow, so nothing heavy is imported here.
"""

import math
from itertools import pairwise
from pathlib import Path

from mmsn.study import Run, Study

Pack = tuple[Run, ...]


def packs_of(study: Study) -> tuple[Pack, ...]:
    """Trained runs in packs of at most `runs.pack`, as even as can be, in the study's order.

    What decides views, batch order and masks is the backbone (patch size), the seed, and the settings of the method's
    section: MSN, its variants with EHR and their controls have one, DINO's and MAE's another.
    """
    groups: dict[tuple[str, int, bool, str], list[Run]] = {}
    for run in study.grid:
        if run.method.is_trained:
            settings = study.training(run.method).model_dump_json()
            key = (run.backbone, run.seed, run.method.starts_from_imagenet, settings)
            groups.setdefault(key, []).append(run)
    return tuple(pack for runs in groups.values() for pack in _evenly(runs, study.runs.pack))


def _evenly(runs: list[Run], most: int) -> list[Pack]:
    count = math.ceil(len(runs) / most)
    bounds = [len(runs) * number // count for number in range(count + 1)]
    return [tuple(runs[start:end]) for start, end in pairwise(bounds)]


def companions(packs: tuple[Pack, ...], run: Run, results: str) -> list[dict[str, str | None]]:
    """The other runs of a run's pack as `mmsn pretrain --pack` takes them; empty where it is alone."""
    pack = next((pack for pack in packs if run in pack), ())
    return [_described(other, Path(results)) for other in pack if other != run]


def _described(run: Run, results: Path) -> dict[str, str | None]:
    features = run.method.feature_set
    return {
        "method": run.method.id,
        "folder": str(results / "pretrain" / run.path),
        "features": str(results / "features" / f"{features}.parquet") if features else None,
    }
