"""What the tables of the external data sets depend on."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from mmsn.settings import Section


class NihSettings(Section):
    """How the NIH-14 table and its official lists become images with labels and a split (SPEC 2)."""

    mode: Literal["findings-only", "full"] = "findings-only"
    """`findings-only`: images with 'No Finding' are left out, as the paper has it (36,024 to train and validate,
    15,735 to test). `full`: the official lists whole (86,524 and 25,596)."""
    validate_images: Annotated[int, Field(ge=1)] | None = None
    """Images of train_val_list.txt that validate, whole patients of them; null is the paper's share, 3,567 of
    36,024."""
    split_seed: int = 0
    """Seed of which patients those are."""


class ChexpertSettings(Section):
    """How CheXpert's tables become images with labels and a split (SPEC 2)."""

    test: Literal["test", "valid"] = "test"
    """The file that is tested on: `test` (668 images) or `valid` (234), both labelled by radiologists."""
    with_training: bool = True
    """Also read train.csv, and valid.csv to validate where it is not the test file; a head trained on MIMIC needs
    neither."""
    uncertain: Literal["zero", "one", "ignore"] = "zero"
    """What a label of -1 becomes; blank is always 0. Only train.csv has either."""


class TableSettings(Section):
    """How a table of any other data set becomes images with labels and a split (`external.<name>` of config.yaml)."""

    root: Path
    """Folder that the paths start from."""
    labels: dict[str, str | None]
    """Label column -> which of the 14 labels of MIMIC-CXR it is, null for none of them."""
    head: Literal["mimic", "own"] = "mimic"
    """`mimic`: the table gets MIMIC-CXR's 14 labels. `own`: its own columns."""
    uncertain: Literal["zero", "one", "ignore"] = "zero"
    """What a label of -1 becomes."""
    blank: Literal["zero", "ignore"] = "zero"
    """What a blank label becomes."""
