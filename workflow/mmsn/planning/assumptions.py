"""What a plan assumes where nothing was measured, each with its source."""

from typing import Final

from mmsn.planning.compute import Shape, training_step
from mmsn.planning.sizes import PUBLISHED, PUBLISHED_TEST

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
    "statistics": 0.2,
    "representation": 30.0,
    "tables": 0.2,
    "figures": 0.2,
}
"""Minutes of one job on the published cohort, on 4 to 8 cores; of statistics and figures what scoring does not take."""
READ_SECONDS: Final = 0.1
"""Reading and scoring one file of predictions of the published test set, in one thread."""
RESAMPLE_SECONDS: Final = 0.3
"""CPU seconds of 1,000 resamples of its images and 1,000 of its patients, which all threads share."""
UNKNOWN_SHARE: Final = 0.25
"""Of the time limit of a rule that nothing above speaks of."""
START_MINUTES: Final = 0.2
"""Starting Python and torch, part of every job that computes with a model."""
PREDICTION_BYTES: Final = 8
"""A row of predictions.parquet: 4 MB for 14 labels of the published 36,625 test images."""

SOURCES: Final = {
    "pretrain": "the paper: 20 h (ViT-T), 30 h (ViT-S) a model on one A100; other shapes and views by multiply-adds",
    "evaluate/linear": "the paper: 2 h (ViT-T), 5 h (ViT-S) a run on one V100; our settings share its passes; "
    "another data set's test images: one pass, a fiftieth",
    "evaluate/finetune": "not published: three times the linear hours for each setting, no early stop",
    "evaluate/low-data": "not published: by protocol as fine-tuning of one setting or as linear, by the share of the "
    "training images",
    "evaluate/finetune+ehr": "not published: as fine-tuning",
    "evaluate/readings": "not published: as linear",
    "embeddings": "not published: one pass over the images, a fiftieth of the linear hours",
    "images": f"{IMAGES_PER_SECOND:.0f} images a second and shard (31 on 734 open radiographs); the index a minute",
    "study": "6 seconds",
    "cohort": "a minute for the published images, by their number",
    "imputation": "a minute a pass and ten passes for the published images, by their number",
    "features": "6 seconds for the published images, by their number",
    "statistics": f"12 seconds; besides, a file of predictions {READ_SECONDS} s and for each 1,000 resamples "
    f"{RESAMPLE_SECONDS} CPU seconds (measured on {PUBLISHED_TEST:,} synthetic test images), by the test images",
    "representation": "30 minutes for the published images, by their number; not measured at this size",
    "tables": "12 seconds",
    "figures": f"12 seconds; besides, {READ_SECONDS} s a file of predictions, by the test images",
}
"""By stage; printed below the table."""
UNKNOWN: Final = "a quarter of the rule's time limit"
STARTING: Final = f"{60 * START_MINUTES:.0f} seconds to start a job that computes with a model are part of these hours"
DISK: Final = (
    "Disk is computed: side x side bytes a packed image, 4 bytes a weight and embedded number, "
    f"{PREDICTION_BYTES} bytes a prediction, 10 MB a table of the published cohort; reports and logs are left out."
)


def by_shape(hours: dict[Shape, float], shape: Shape, relative: float) -> float:
    """Hours of a shape that the paper has, else ViT-S's hours times `relative`."""
    return hours[shape] if shape in hours else hours[VIT_SMALL] * relative


def scaled_to(images: int, of: int = PUBLISHED) -> float:
    """A number of images as a share of the published one."""
    return images / of
