"""Small parts that tests of evaluation share: sixty images, a three-block ViT, settings that train in a second."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from mmsn.encoder_file import save_encoder
from mmsn.evaluation.job import EvaluationFiles
from mmsn.evaluation.settings import FinetuneSettings
from mmsn.files import write_table
from mmsn.labels import LABELS
from mmsn.models.vit import create_encoder
from mmsn.training.settings import BackboneSettings

OPTIONS = {"img_size": 16, "patch_size": 8, "embed_dim": 16, "depth": 3, "num_heads": 2}
RUNS = [{"schedule": "cosine", "learning_rate": 1e-3}, {"schedule": "plateau", "learning_rate": 5e-4}]


def finetune_settings(runs=RUNS, **changes):
    views = {"resize": 20, "crop": 16}
    return FinetuneSettings.model_validate({"runs": runs, "views": views, "batch_size": 8, "max_epochs": 3, **changes})


def make_cohort(folder: Path, unlabelled: int = 0) -> Path:
    """Sixty images, the last ones without labels; label 0 is brightness, the others are noise."""
    random = np.random.default_rng(0)
    bright = random.integers(0, 2, 60)
    pixels = random.integers(0, 100, (60, 20, 20)) + 100 * bright[:, None, None]
    np.save(folder / "p10.npy", pixels.astype(np.uint8))
    ids = [f"d{i:02d}" for i in range(60)]
    index = {"dicom_id": ids, "subject_id": list(range(60)), "shard": ["p10"] * 60, "row": list(range(60))}
    write_table(folder / "index.parquet", pa.table(index))
    labels = {name: random.integers(0, 2, 60).astype(np.float32) for name in LABELS}
    labels["Atelectasis"] = bright.astype(np.float32)
    split = ["train"] * 30 + ["validate"] * 15 + ["test"] * 15
    cohort = {
        "dicom_id": ids,
        "subject_id": list(range(60)),
        "split": split,
        "labelled": [i < 60 - unlabelled for i in range(60)],
    }
    write_table(folder / "images.parquet", pa.table({**cohort, **labels}))
    return folder


def small_encoder(**options):
    torch.manual_seed(0)
    return create_encoder("vit_tiny_patch16_224", {**OPTIONS, **options})


def evaluation_files(folder: Path, name: str, setting_of: Path | None = None) -> EvaluationFiles:
    """Files of an evaluation of the small encoder; what it makes is named after `name`."""
    backbone = BackboneSettings(title="tiny", architecture="vit_tiny_patch16_224", options=OPTIONS)
    save_encoder(folder / "encoder.safetensors", small_encoder(), backbone, "msn")
    made = [folder / f"{name}-{end}" for end in ("predictions.parquet", "runs.parquet", "unfinished.safetensors")]
    return EvaluationFiles(folder / "encoder.safetensors", folder / "images.parquet", folder, *made, setting_of)
