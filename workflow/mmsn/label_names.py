"""Which labels an images.parquet has."""

import json
from pathlib import Path

from mmsn.errors import UserError
from mmsn.files import read_schema
from mmsn.labels import LABEL_SETS, LABELS
from mmsn.lineage import LABEL_NAMES, Split


def label_names(images: Path) -> tuple[str, ...]:
    """The label columns of a cohort's table, in the order of its head; only the footer is read.

    The file's own word counts, then that of its data set; a table that names neither has MIMIC-CXR's.

    Raises:
        UserError: the table lacks one of them.
    """
    schema = read_schema(images)
    metadata = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    data_set = Split.of(metadata).data_set
    known = LABEL_SETS[data_set].names if data_set in LABEL_SETS else LABELS
    names = tuple(json.loads(metadata[LABEL_NAMES])) if LABEL_NAMES in metadata else known
    missing = [name for name in names if name not in schema.names]
    if missing:
        whose = f" of {data_set}" if data_set else ""
        raise UserError(f"{images} has no column '{missing[0]}', one of the labels{whose}; build the cohort again")
    return names
