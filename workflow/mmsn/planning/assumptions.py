"""What a plan assumes where nothing was measured, each with its source."""

from typing import Final

from mmsn.planning.compute import Shape, training_step
from mmsn.planning.sizes import PUBLISHED

VIT_SMALL: Final = Shape(384, 12, 16)
VIT_TINY: Final = Shape(192, 12, 16)
PRETRAIN_HOURS: Final = {VIT_TINY: 20.0, VIT_SMALL: 30.0}
"""One model of 100 epochs on one A100."""
PRETRAIN_EPOCHS: Final = 100
LINEAR_HOURS: Final = {VIT_TINY: 2.0, VIT_SMALL: 5.0}
"""One evaluation run on one V100."""
LINEAR_EPOCHS: Final = 50
TRAIN_IMAGES: Final = 325_188
PAPER_VIEWS: Final = {"random_size": 224, "random_views": 1, "focal_size": 96, "focal_views": 10}
PAPER_STEP: Final = training_step(VIT_SMALL, "msn", {"views": PAPER_VIEWS, "mask_ratio": 0.15})
IMAGES_PER_SECOND: Final = 30.0
"""Radiographs that one shard's job packs."""
STAGE_MINUTES: Final = {
    "study": 0.1,
    "cohort": 1.0,
    "imputation": 10.0,
    "features": 0.1,
    "statistics": 5.0,
    "representation": 30.0,
    "tables": 0.2,
    "figures": 0.2,
}
"""Minutes of one job on the published cohort, on 4 to 8 cores."""
UNKNOWN_SHARE: Final = 0.25
"""Of the time limit of a rule that nothing above speaks of."""
START_MINUTES: Final = 0.2
"""Starting Python and torch, part of every job that computes with a model."""
PREDICTION_BYTES: Final = 60
"""A row of predictions.parquet: 30 MB for 14 labels of the published 36,625 test images."""

SOURCES: Final = {
    "pretrain": "the paper: 20 h (ViT-T), 30 h (ViT-S) a model on one A100; other shapes and views by multiply-adds",
    "evaluate/linear": "the paper: 2 h (ViT-T), 5 h (ViT-S) a run on one V100; our settings share its passes",
    "evaluate/finetune": "not published: three times the linear hours for each setting, no early stop",
    "evaluate/low-data": "not published: as fine-tuning or linear, by the share of the training images",
    "evaluate/finetune+ehr": "not published: as fine-tuning",
    "evaluate/readings": "not published: as linear",
    "embeddings": "not published: one pass over the images, a fiftieth of the linear hours",
    "images": f"{IMAGES_PER_SECOND:.0f} images a second and shard (31 on 734 open radiographs)",
    "cohort": "a minute",
    "imputation": "a minute a pass, ten passes",
    "statistics": "5 minutes, not measured at this size",
    "representation": "30 minutes, not measured at this size",
}
"""By stage; printed below the table. Disk is computed from the sizes of arrays and tables."""


def by_shape(hours: dict[Shape, float], shape: Shape, relative: float) -> float:
    """Hours of a shape that the paper has, else ViT-S's hours times `relative`."""
    return hours[shape] if shape in hours else hours[VIT_SMALL] * relative


def scaled_to(images: int, of: int = PUBLISHED) -> float:
    """A number of images as a share of the published one."""
    return images / of
