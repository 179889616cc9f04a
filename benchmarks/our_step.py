"""Our training step, as `mmsn pretrain` takes it: the real loop on a store of noise."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from mmsn.files import write_table
from mmsn.images.store import PixelStore
from mmsn.methods import Method, parse_method
from mmsn.presets import preset_values
from mmsn.training.data import PretrainData
from mmsn.training.loop import CheckpointPolicy, Pretraining
from mmsn.training.settings import SECTIONS, BackboneSettings, TrainingSettings, section_of, shared_keys
from mmsn.training.steps.create import create_step
from peer_step import Vit

VIEWS = ("random_size", "focal_size")


def noise_store(folder: Path, images: int, side: int = 256) -> PixelStore:
    """A pixel store of smooth noise."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (images, side // 8, side // 8), dtype=np.uint8)
    np.save(folder / "p10.npy", coarse.repeat(8, axis=1).repeat(8, axis=2))
    rows = list(range(images))
    index = {"dicom_id": [f"{row:08d}" for row in rows], "subject_id": rows, "shard": ["p10"] * images, "row": rows}
    write_table(folder / "index.parquet", pa.table(index))
    return PixelStore(folder)


def settings_of(vit: Vit, method: Method, preset: str, batch: int, **changes: object) -> TrainingSettings:
    """A method's settings under a preset, with the views that fit the encoder."""
    section = section_of(method)
    views = {"views": {"random_size": vit.side, "focal_size": vit.focal_side}}
    if section == "supervised":
        views = {"views": {"resize": vit.side * 8 // 7, "crop": vit.side}}
    shared = shared_keys(preset_values(preset, "pretrain"))
    values = {**shared, **preset_values(preset, section), **views, "batch_size": batch, **changes}
    return SECTIONS[section](**values)


def our_training(
    vit: Vit,
    store: PixelStore,
    folder: Path,
    batch: int,
    device: torch.device,
    method: str = "msn",
    preset: str = "released",
    columns: int = 2,
    **changes: object,
) -> Pretraining:
    """A run of the loop that has not started; `changes` are settings over the preset's.

    A method with EHR gets columns of noise, one with labels gets coins.
    """
    chosen = parse_method(method)
    settings = settings_of(vit, chosen, preset, batch, **changes)
    sizes = {"img_size": vit.side, "patch_size": vit.patch, "embed_dim": vit.width}
    options = {**sizes, "depth": vit.depth, "num_heads": vit.heads}
    backbone = BackboneSettings(title=vit.title, architecture="vit_tiny_patch16_224", options=options)
    draws = torch.Generator().manual_seed(0)
    ehr = torch.rand(len(store), columns, generator=draws) if chosen.feature_set else None
    labels = torch.rand(len(store), 14, generator=draws).round() if chosen.needs_labels else None
    step = create_step(chosen, backbone, settings, 0 if ehr is None else columns, seed=0).to(device)
    if settings.compile:
        step.compile_blocks()
    policy = CheckpointPolicy(folder / "checkpoint.safetensors", "benchmark", 1e9)
    return Pretraining(step, PretrainData(store, np.arange(len(store)), ehr, labels), settings, 0, policy, vit.title)
