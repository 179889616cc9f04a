"""Every table of the paper: numbers, and what a reader sees."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from mmsn.paper.cells import fill, parts
from mmsn.paper.claims import with_note
from mmsn.paper.counts import feature_sets, feature_table, split_sizes, split_table
from mmsn.paper.definitions import TABLES
from mmsn.paper.layout import lay_out
from mmsn.paper.sources import Measured
from mmsn.reporting.layout import Table
from mmsn.study import Study


@dataclass(frozen=True)
class Filled:
    """One table of the paper."""

    id: str
    numbers: pd.DataFrame
    """One row a cell, unrounded."""
    shown: tuple[Table, ...]
    """One, or one for each of the study's backbones where it has none of the paper's."""


def fill_tables(study: Study, measured: Measured) -> Iterator[Filled]:
    """All of them, in the paper's order; a cell that was not measured says why."""
    study = with_note(study, measured)
    sizes, sets = split_sizes(study, measured), feature_sets(study)
    yield Filled("1", sizes, (split_table(sizes, study.note),))
    yield Filled("2", sets, (feature_table(sets, study.note),))
    for table in TABLES:
        filled = [(own, fill(table, own, study, measured)) for own in parts(table, study)]
        numbers = pd.concat([cells for _, cells in filled], ignore_index=True)
        shown = [lay_out(table, cells, own, measured, study.note) for own, cells in filled]
        yield Filled(table.id, numbers, tuple(shown))
