"""A linear evaluation from its files to its files."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch

from mmsn.devices import pick_device
from mmsn.encoder_file import load_encoder, split_of_encoder
from mmsn.evaluation.data import check_disjoint, load_split
from mmsn.evaluation.linear import LinearEvaluation
from mmsn.evaluation.settings import LinearSettings
from mmsn.evaluation.tables import predictions_table, runs_table
from mmsn.files import write_table
from mmsn.images.store import PixelStore
from mmsn.lineage import ENCODER_DIGEST, Split, check_same_split
from mmsn.provenance import code_digest, content_digest


@dataclass(frozen=True)
class LinearFiles:
    """What an evaluation reads and writes."""

    encoder: Path
    images: Path
    store: Path
    predictions: Path
    runs: Path
    checkpoint: Path


def run_linear(files: LinearFiles, settings_json: str, seed: int, title: str, threads: int, device: str) -> None:
    """Train the probes of one encoder; write test predictions and the record of every run."""
    torch.set_num_threads(threads)
    settings = LinearSettings.model_validate_json(settings_json)
    where = pick_device(device)
    encoder = load_encoder(files.encoder)
    check_same_split(files.images, files.encoder, split_of_encoder(files.encoder), "pretrain it again")
    store = PixelStore(files.store)
    if where.type == "cuda":
        store.load(where)
    splits = {name: load_split(files.images, store, name) for name in ("train", "validate", "test")}
    check_disjoint(splits, files.images)
    evaluation = LinearEvaluation(
        encoder,
        store,
        splits,
        settings,
        seed,
        where,
        title,
        files.checkpoint,
        _fingerprint(files, settings, seed),
    )
    result = evaluation.run()
    metadata = {ENCODER_DIGEST: content_digest([files.encoder])} | Split.of_file(files.images).metadata
    write_table(files.predictions, predictions_table(splits["test"], result.test_scores), metadata)
    write_table(files.runs, runs_table(result), metadata)
    files.checkpoint.unlink(missing_ok=True)


def _fingerprint(files: LinearFiles, settings: LinearSettings, seed: int) -> str:
    """Identifies an evaluation: encoder, tables, settings and code."""
    inputs = content_digest([files.encoder, files.images, files.store / "index.parquet"])
    parts = [inputs, settings.model_dump_json(), str(seed), code_digest("evaluation.command")]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
