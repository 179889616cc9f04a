"""How many images a study has: from its cohort if there is one, from its metadata table, else as published."""

import gzip
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mmsn.files import read_table
from mmsn.planning.jobs import Job

PUBLISHED: Final = 376_201
PUBLISHED_TEST: Final = 36_625
_SHARES: Final = (325_188 / 377_095, 15_282 / 377_095, PUBLISHED_TEST / 377_095)
"""Of the published split: train, validate, test."""

_ELSEWHERE: Final = {"nih-14": (32_457, 3_567, 15_735), "chexpert": (0, 0, 668)}
_GUESS: Final = (0, 0, 10_000)


@dataclass(frozen=True)
class Sizes:
    """Images of a study."""

    train: int
    validate: int
    test: int
    source: str

    @property
    def total(self) -> int:
        """All of them."""
        return self.train + self.validate + self.test


def sizes_of(results: Path, jobs: Sequence[Job] = ()) -> Sizes:
    """Images of the study whose results lie in `results`, or will.

    Args:
        results: the folder.
        jobs: of the study; they tell where the raw metadata table is.
    """
    rows = results / "cohort" / "mimic-cxr" / "rows.parquet"
    built = rows if rows.is_file() else rows.with_name("images.parquet")
    if built.is_file():
        counts = Counter(read_table(built, ["split"])["split"].to_pylist())
        return Sizes(counts["train"], counts["validate"], counts["test"], f"the cohort in {results}")
    metadata = next((path for job in jobs for path in job.inputs if "-metadata.csv" in Path(path).name), None)
    if metadata and Path(metadata).is_file():
        return split_as_published(_lines(Path(metadata)) - 1, f"rows of {Path(metadata).name}, split as published")
    return split_as_published(PUBLISHED, "the published cohort")


def sizes_elsewhere(results: Path, data_set: str) -> Sizes:
    """Images of another data set: from its cohort if it is built, else as published, else a guess."""
    built = results / "cohort" / data_set / "images.parquet"
    if built.is_file():
        counts = Counter(read_table(built, ["split"])["split"].to_pylist())
        return Sizes(counts["train"], counts["validate"], counts["test"], "its cohort")
    return Sizes(*_ELSEWHERE.get(data_set, _GUESS), "published" if data_set in _ELSEWHERE else "a guess")


def split_as_published(images: int, source: str) -> Sizes:
    """Sizes of a study of `images`, split in the published shares."""
    train, validate = (round(images * share) for share in _SHARES[:2])
    return Sizes(train, validate, images - train - validate, source)


def _lines(path: Path) -> int:
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as table:
        return sum(block.count(b"\n") for block in iter(lambda: table.read(1 << 20), b""))
