"""What a file of ours says of where it comes from: the keys of its metadata, in one place.

The split is the one thing that every stage after the cohort must share: a model pretrained under one split and tested
under another has seen its test patients. So each of them hands on the hash that the cohort stage computed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from mmsn.errors import UserError
from mmsn.files import read_schema

SPLIT_HASH: Final = "mmsn.split_sha256"
"""SHA-256 over the cohort's sorted patients and their splits."""
DATA_SET: Final = "mmsn.data_set"
"""The data set that those patients are of, for example `mimic-cxr`."""
ENCODER_DIGEST: Final = "mmsn.encoder_digest"
"""Digest of the encoder that predictions come from."""
TEST_SET: Final = "mmsn.test_set"
"""What the captions of a table of statistics say of its test set, as JSON."""
LABEL_NAMES: Final = "mmsn.labels"
"""The label columns of an images.parquet in the order of its head, as JSON; data sets of `mmsn.labels` need not say."""
HEAD_OF: Final = "mmsn.head_of"
"""Data set that a head was trained on; in predictions for another data set, which it judges as it is."""
UNTRAINED_LABELS: Final = "mmsn.untrained_labels"
"""Labels that the training images, or a subset of them, could not teach, and why, as JSON; in predictions."""
_SHOWN_DIGITS: Final = 12


@dataclass(frozen=True)
class Split:
    """Whose split a file belongs to; empty where it says nothing."""

    data_set: str = ""
    sha256: str = ""

    @property
    def short(self) -> str:
        """The first digits of the hash, enough for a caption or a message."""
        return self.sha256[:_SHOWN_DIGITS]

    @property
    def metadata(self) -> dict[str, str]:
        """As a file's metadata; nothing where the split says nothing."""
        return {DATA_SET: self.data_set, SPLIT_HASH: self.sha256} if self.sha256 else {}

    @classmethod
    def of(cls, metadata: Mapping[str, str]) -> "Split":
        """Read what `metadata` wrote."""
        return cls(metadata.get(DATA_SET, ""), metadata.get(SPLIT_HASH, ""))

    @classmethod
    def of_table(cls, table: pa.Table) -> "Split":
        """The split that an Arrow table says it belongs to."""
        return cls._of_schema(table.schema)

    @classmethod
    def of_file(cls, path: Path) -> "Split":
        """The split that a Parquet file says it belongs to; only its footer is read."""
        return cls._of_schema(read_schema(path))

    @classmethod
    def _of_schema(cls, schema: pa.Schema) -> "Split":
        return cls.of({key.decode(): value.decode() for key, value in (schema.metadata or {}).items()})


NO_SPLIT: Final = Split()
"""Of a file that says nothing."""


def check_same_split(images: Path, other: Path, split: Split, next_step: str) -> None:
    """Stop when a file is used with a cohort of the same data set under another split; one that says nothing passes.

    Args:
        images: the cohort's images.parquet or rows.parquet.
        other: the file used with it.
        split: what the other file says.
        next_step: what mends it.

    Raises:
        UserError: both are of the same data set, and their splits differ.
    """
    ours = Split.of_file(images)
    if ours.sha256 and split.sha256 and ours.data_set == split.data_set and ours.sha256 != split.sha256:
        raise UserError(
            f"{other} was made under split {split.short}, {images} has split {ours.short}: patients tested on may be"
            f" among those trained on; {next_step}"
        )
