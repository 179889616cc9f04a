"""One frozen encoder and the pixel store -> class tokens of training, validation and test images."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from timm.models.vision_transformer import VisionTransformer

from mmsn.console import logger, progress
from mmsn.devices import pick_device
from mmsn.encoder_file import load_encoder, split_of_encoder
from mmsn.evaluation.data import LabelledImages, check_disjoint, load_split
from mmsn.files import write_table
from mmsn.images.settings import EvalViewSettings
from mmsn.images.staging import open_store
from mmsn.images.store import PixelStore
from mmsn.images.views import TestTransform
from mmsn.lineage import ENCODER_DIGEST, Split, check_same_split
from mmsn.models.vit import class_embedding
from mmsn.provenance import content_digest
from mmsn.representation.embeddings import Embedded, to_table
from mmsn.representation.sampling import whole_patients

_BATCH: Final = 256


def run_embed(
    encoder: Path,
    images: Path,
    store: Path,
    output: Path,
    views: EvalViewSettings,
    most: int | None,
    seed: int,
    title: str,
    device: torch.device | str = "auto",
) -> None:
    """Embed all labelled validation and test images and at most `most` training images; write embeddings.parquet.

    Raises:
        UserError: no labelled image, an encoder of another split or that is none, a device that is not there.
    """
    where = device if isinstance(device, torch.device) else pick_device(device)
    model = load_encoder(encoder)
    check_same_split(images, encoder, split_of_encoder(encoder), "pretrain it again")
    pixels = open_store(store)
    parts = {name: _by_id(load_split(images, pixels, name)) for name in ("train", "validate", "test")}
    check_disjoint(parts, images)
    kept = whole_patients(parts["train"].subject_ids, most, seed)
    if not kept.all():
        logger.info("%s: %d of %d training images are embedded", title, kept.sum(), len(kept))
    parts["train"] = _rows(parts["train"], np.flatnonzero(kept))
    if where.type == "cuda":
        pixels.load(where)
    positions = np.concatenate([part.positions for part in parts.values()])
    embedded = Embedded(
        np.concatenate([part.dicom_ids for part in parts.values()]),
        np.concatenate([part.subject_ids for part in parts.values()]),
        np.repeat(np.array(list(parts), dtype=object), [len(part) for part in parts.values()]),
        class_tokens(model, pixels, positions, TestTransform(views), where, title),
    )
    metadata = {ENCODER_DIGEST: content_digest([encoder])} | Split.of_file(images).metadata
    write_table(output, to_table(embedded), metadata)


@torch.inference_mode()
def class_tokens(
    encoder: VisionTransformer,
    store: PixelStore,
    positions: NDArray[np.int64],
    view: TestTransform,
    device: torch.device,
    title: str,
) -> NDArray[np.float32]:
    """Class tokens after the final norm of test views [N, D], as the linear protocol sees them."""
    encoder = encoder.to(device).eval()
    chunks = []
    starts = range(0, len(positions), _BATCH)
    for start in progress(starts, f"{title}: embedding {len(positions)} images", len(starts)):
        pixels = store.batch(positions[start : start + _BATCH]).to(device)
        chunks.append(class_embedding(encoder, view(pixels)).float().cpu().numpy())
    return np.concatenate(chunks)


def _by_id(part: LabelledImages) -> LabelledImages:
    return _rows(part, np.argsort(part.dicom_ids.astype(str)))


def _rows(part: LabelledImages, rows: NDArray[np.int64]) -> LabelledImages:
    names = ("dicom_ids", "subject_ids", "targets", "positions")
    return replace(part, **{name: getattr(part, name)[rows] for name in names})
