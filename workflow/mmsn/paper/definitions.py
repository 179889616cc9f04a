"""What each table of the paper shows: its backbones, its columns, its rows; and the sizes that tables 1 and 2 print.

Ids are those of the preprint (1 to 4, C1 to C7); the journal's supplement prints the appendix tables again.
"""

from dataclasses import dataclass
from typing import Final

from mmsn.methods import Method
from mmsn.reporting.published import published

MIMIC: Final = "mimic-cxr"
DATASETS: Final = (MIMIC, "chexpert", "nih-14")
BACKBONES: Final = ("ViT-S", "ViT-T")
"""The paper's, by the title that the study gives its own."""


@dataclass(frozen=True)
class Block:
    """Columns that show one evaluation: AUROC and AUPRC."""

    protocol: str
    """`linear`, `finetune`, or `supervised`."""
    dataset: str
    share: float = 1.0
    """Of the training images."""

    @property
    def judged_by(self) -> str:
        """The protocol of this study that fills it: fine-tuning of untrained weights is supervised training."""
        return "finetune" if self.protocol == "supervised" else self.protocol


@dataclass(frozen=True)
class PaperTable:
    """One table of results."""

    id: str
    title: str
    backbones: tuple[str, ...]
    blocks: tuple[Block, ...]
    remark: str = ""
    """What a reader must know of how this study fills it."""

    @property
    def rows(self) -> tuple["PaperRow", ...]:
        """The paper's rows in its order."""
        names = ["backbone", "pretraining", "feature_set", "label_certain"]
        own = published().query("table == @self.id")[names].drop_duplicates()
        return tuple(PaperRow(*values) for values in own.itertuples(index=False, name=None))


@dataclass(frozen=True)
class PaperRow:
    """One row: which pretraining, of which backbone."""

    backbone: str
    pretraining: str
    feature_set: str
    label_certain: bool

    @property
    def method(self) -> Method:
        """The study's method that fills the row."""
        return Method(_METHODS[self.pretraining], self.feature_set or None)


_METHODS: Final = {
    "ImageNet": "imagenet",
    "DINO": "dino",
    "MAE": "mae",
    "MSN": "msn",
    "MSN+EHR": "msn+ehr",
    "Supervised-Random": "random-init",
    "Supervised-ImageNet": "imagenet",
}
_SHARES: Final = (0.01, 0.05, 0.1)
_BEST_DRAW: Final = (
    "This study's value is, as published, the random subset with the highest test AUROC, which flatters every method; "
    "mean and spread over the subsets are in the tables of few training images."
)


def _external(protocol: str) -> tuple[Block, ...]:
    return Block(protocol, "chexpert"), Block(protocol, "nih-14")


def _low_data() -> tuple[Block, ...]:
    return tuple(Block("finetune", MIMIC, share) for share in _SHARES)


TABLES: Final = (
    PaperTable("3", "Linear evaluation on MIMIC-CXR", ("ViT-S",), (Block("linear", MIMIC),)),
    PaperTable("4", "External evaluation of the linear protocol", ("ViT-S",), _external("linear")),
    PaperTable("C1", "Linear evaluation on MIMIC-CXR", ("ViT-T",), (Block("linear", MIMIC),)),
    PaperTable(
        "C2",
        "Supervised training on MIMIC-CXR",
        ("ViT-T", "ViT-S"),
        (Block("supervised", MIMIC),),
        "Rows say where training starts. This study's values are the fine-tuning protocol's of random-init and "
        "imagenet: encoder and head trained together on labels, by the same code, runs and choice on validation as "
        "every fine-tuned encoder (name both in runs.methods and finetune.methods).",
    ),
    PaperTable("C3", "Fine-tuning with few training images", ("ViT-S",), _low_data(), _BEST_DRAW),
    PaperTable("C4", "Fine-tuning with few training images", ("ViT-T",), _low_data(), _BEST_DRAW),
    PaperTable("C5", "External evaluation after fine-tuning", ("ViT-S",), _external("finetune")),
    PaperTable("C6", "External evaluation of the linear protocol", ("ViT-T",), _external("linear")),
    PaperTable("C7", "External evaluation after fine-tuning", ("ViT-T",), _external("finetune")),
)
"""Tables of results; 1 and 2 are counts."""

SPLIT_SIZES: Final = {
    MIMIC: {"train": 325_188, "validate": 15_282, "test": 36_625},
    "chexpert": {"test": 688},
    "nih-14": {"train": 32_457, "validate": 3_567, "test": 15_735},
}
"""Images in table 1 (SPEC 2). CheXpert's test set has 668; the paper says 688."""
_SINGLE_COLUMNS: Final = {"sex": 2, "age": 1, "view": 4, "pos": 2, "mort": 2, "icu": 2}
_COMBINED_COLUMNS: Final = {"D": 3, "SM": 6, "SI": 4, "D+SM": 9, "D+SI": 7, "SM+SI": 10, "D+SM+SI": 13}
DIMENSIONS: Final = _SINGLE_COLUMNS | _COMBINED_COLUMNS
"""Columns of each feature set in table 2 (SPEC 1)."""
SINGLE: Final = tuple(_SINGLE_COLUMNS)
"""Feature sets of one variable; the others combine them."""
