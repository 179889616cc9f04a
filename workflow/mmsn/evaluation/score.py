"""A head as it is, judged on the whole test split of a data set: nothing is trained."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from mmsn.console import logger, progress
from mmsn.devices import pick_device
from mmsn.encoder_file import load_encoder
from mmsn.errors import UserError
from mmsn.evaluation.batches import test_views
from mmsn.evaluation.data import LabelledImages, load_split
from mmsn.evaluation.kept_head import HeadFacts, load_head
from mmsn.evaluation.tables import predictions_table
from mmsn.files import write_table
from mmsn.images.staging import open_store
from mmsn.images.store import PixelStore
from mmsn.label_names import label_names
from mmsn.lineage import ENCODER_DIGEST, HEAD_OF, UNTRAINED_LABELS, Split
from mmsn.models.vit import class_embedding
from mmsn.provenance import content_digest
from mmsn.training.precision import autocast, computed_precision, suit_attention


@dataclass(frozen=True)
class ScoringFiles:
    """What scoring reads and writes."""

    encoder: Path
    """The encoder that the head belongs to: of a fine-tuned model the fine-tuned one."""
    head: Path
    images: Path
    store: Path
    predictions: Path


def score(files: ScoringFiles, title: str, threads: int, device_name: str) -> None:
    """Write the scores of every test image.

    Raises:
        UserError: the head is of another encoder or of other labels, or the data set has no test image.
    """
    torch.set_num_threads(threads)
    device = pick_device(device_name)
    head, facts = load_head(files.head)
    digest = content_digest([files.encoder])
    _refuse_other_encoder(files, facts, digest)
    _refuse_other_labels(files, facts.labels, label_names(files.images))
    store = open_store(files.store)
    images = load_split(files.images, store, "test")
    encoder = load_encoder(files.encoder).to(device).eval().requires_grad_(False)
    if head.in_features != encoder.embed_dim:
        raise UserError(f"{files.head}: reads {head.in_features} numbers, {files.encoder} gives {encoder.embed_dim}")
    scores = _scores(encoder, head.to(device).requires_grad_(False), facts, store, images, title)
    trained_on = facts.split
    logger.info("%s: %d test images scored with the head of %s", title, len(images), trained_on.data_set or facts.run)
    head_of = {HEAD_OF: trained_on.data_set} if trained_on.data_set else {}
    untrained = {UNTRAINED_LABELS: json.dumps(facts.untrained)} if facts.untrained else {}
    metadata = {ENCODER_DIGEST: digest} | Split.of_file(files.images).metadata | head_of | untrained
    write_table(files.predictions, predictions_table(images, scores), metadata)


def _scores(
    encoder: VisionTransformer,
    head: nn.Linear,
    facts: HeadFacts,
    store: PixelStore,
    images: LabelledImages,
    title: str,
) -> NDArray[np.float32]:
    """Probabilities `[N, L]`, computed as the head's own protocol computes them."""
    device = head.weight.device
    precision = computed_precision(facts.precision, device)
    suit_attention(encoder, device, precision)

    @torch.no_grad()
    def judged(views: Tensor) -> Tensor:
        with autocast(device, precision):
            logits: Tensor = head(class_embedding(encoder, views))
        return torch.sigmoid(logits.float())

    batches = progress(test_views(store, facts.views, images, device), f"{title}: test images")
    return torch.cat([judged(views) for views in batches]).cpu().numpy()


def _refuse_other_encoder(files: ScoringFiles, facts: HeadFacts, digest: str) -> None:
    if facts.encoder_digest != digest:
        raise UserError(
            f"{files.head} was trained on the encoder {facts.encoder_digest}, {files.encoder} is {digest}; give the"
            " encoder that it belongs to, or evaluate that one again"
        )


def _refuse_other_labels(files: ScoringFiles, heads: Sequence[str], theirs: Sequence[str]) -> None:
    if tuple(heads) != tuple(theirs):
        place = next((n for n, (a, b) in enumerate(zip(heads, theirs, strict=False)) if a != b), None)
        where = f"label {place + 1} is {heads[place]!r} there, {theirs[place]!r} here" if place is not None else ""
        raise UserError(
            f"{files.head} judges {len(heads)} labels, {files.images} has {len(theirs)}: "
            f"{where or 'the one has more of them'}; train a head of its own (mmsn evaluate linear), or map its labels"
        )
