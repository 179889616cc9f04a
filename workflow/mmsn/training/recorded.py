"""How long a pretraining run took, from the files that it leaves."""

from pathlib import Path
from typing import Final

import yaml

from mmsn.files import read_table

_SPEED: Final = "images_per_second"


def recorded_seconds(run: Path) -> float:
    """Seconds of all epochs of a run, whatever stopped it in between; 0 where it left no `resolved.yaml` or history.

    The benchmark file of the job counts the time since its last start alone. Validation and starting are not in it.

    Args:
        run: its folder, with `resolved.yaml` (images an epoch) and `history.parquet` (images a second, by epoch).
    """
    resolved, history = run / "resolved.yaml", run / "history.parquet"
    if not resolved.is_file() or not history.is_file():
        return 0.0
    images = float(yaml.safe_load(resolved.read_text(encoding="utf-8")).get("images", 0))
    return sum(images / speed for speed in read_table(history, [_SPEED])[_SPEED].to_pylist())
