"""A pretraining run from its files to its files."""

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
import yaml

from mmsn.console import logger
from mmsn.devices import describe, pick_device
from mmsn.encoder_file import save_encoder
from mmsn.files import write_table, write_text
from mmsn.images.store import PixelStore
from mmsn.methods import Method, method_from_id
from mmsn.provenance import code_digest, content_digest
from mmsn.training.data import PretrainData, load_data
from mmsn.training.loop import CheckpointPolicy, Pretraining
from mmsn.training.method import create_model
from mmsn.training.settings import BackboneSettings, PretrainSettings

HISTORY_SCHEMA = pa.schema(
    [
        ("epoch", pa.int32()),
        ("step", pa.int32()),
        ("loss", pa.float64()),
        ("cross_entropy", pa.float64()),
        ("mean_entropy_loss", pa.float64()),
        ("target_entropy", pa.float64()),
        ("anchor_entropy", pa.float64()),
        ("used_prototypes", pa.float64()),
        ("gradient_norm", pa.float64()),
        ("skipped_steps", pa.float64()),
        ("rankme", pa.float64()),
        ("feature_spread", pa.float64()),
        ("learning_rate", pa.float64()),
        ("images_per_second", pa.float64()),
    ]
)


@dataclass(frozen=True)
class PretrainFiles:
    """What a run reads and writes."""

    images: Path
    features: Path | None
    store: Path
    encoder: Path
    history: Path
    resolved: Path
    checkpoint: Path


def run_pretraining(
    files: PretrainFiles,
    method_id: str,
    backbone_json: str,
    settings_json: str,
    seed: int,
    checkpoint_seconds: float,
    threads: int,
    device: str,
) -> None:
    """Pretrain and write encoder, history and what the run was made of."""
    torch.set_num_threads(threads)
    where = pick_device(device)
    method = method_from_id(method_id)
    backbone = BackboneSettings.model_validate_json(backbone_json)
    settings = PretrainSettings.model_validate_json(settings_json)
    store = PixelStore(files.store)
    if where.type == "cuda":
        store.load(where)  # batches are then cut on the GPU, without a copy a step
    data = load_data(store, files.images, files.features, settings.rows, method, seed)
    columns = 0 if data.ehr is None else data.ehr.shape[1]
    model = create_model(method, backbone, settings, columns, seed).to(where)
    started = time.monotonic()
    history: list[dict[str, float]] = []
    if method.is_trained:
        policy = CheckpointPolicy(
            files.checkpoint, _fingerprint(files, method, backbone, settings, seed, where.type), checkpoint_seconds
        )
        title = f"{backbone.title} {method.id}"
        history = Pretraining(model, data, settings, seed, policy, title).run()
    save_encoder(files.encoder, model.target_encoder, backbone, method_id)
    write_table(files.history, pa.Table.from_pylist(history, schema=HISTORY_SCHEMA))
    resolved = _resolved(files, data, method, backbone, settings, seed, time.monotonic() - started, where)
    write_text(files.resolved, yaml.safe_dump(resolved, sort_keys=False))
    files.checkpoint.unlink(missing_ok=True)
    logger.info("%s %s: encoder written", backbone.title, method.id)


def _fingerprint(
    files: PretrainFiles,
    method: Method,
    backbone: BackboneSettings,
    settings: PretrainSettings,
    seed: int,
    device: str,
) -> str:
    """Identifies a run: settings, code and the tables it reads. Pixels count through the store's index."""
    tables = [files.images, files.store / "index.parquet", *([files.features] if files.features else [])]
    parts = [
        method.id,
        backbone.model_dump_json(),
        settings.model_dump_json(),
        str(seed),
        device,  # a GPU draws other random numbers than a CPU
        code_digest("training.command"),
        content_digest(tables),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _resolved(
    files: PretrainFiles,
    data: PretrainData,
    method: Method,
    backbone: BackboneSettings,
    settings: PretrainSettings,
    seed: int,
    seconds: float,
    device: torch.device,
) -> dict[str, Any]:
    return {
        "method": method.id,
        "seed": seed,
        "backbone": backbone.model_dump(mode="json"),
        "pretrain": settings.model_dump(mode="json"),
        "images": len(data),
        "ehr_columns": 0 if data.ehr is None else data.ehr.shape[1],
        "cohort_digest": content_digest([files.images]),
        "code_digest": code_digest("training.command"),
        "device": describe(device),
        "seconds_since_last_start": round(seconds, 1),
        "torch": str(torch.__version__),
    }
