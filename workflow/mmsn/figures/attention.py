"""Last-layer attention of two encoders on a few test images, with both models' scores. Holds patients' images."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file
from timm.layers.attention import Attention
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor

from mmsn.console import logger
from mmsn.devices import pick_device
from mmsn.encoder_file import load_encoder, split_of_encoder
from mmsn.errors import UserError
from mmsn.figures.compared import compared_runs
from mmsn.files import atomic_path, read_table
from mmsn.images.settings import EvalViewSettings
from mmsn.images.store import PixelStore
from mmsn.images.views import TestTransform, centre_crop, resize
from mmsn.lineage import check_same_split
from mmsn.models.vit import embed_tokens
from mmsn.reporting.predictions import Predictions, check_same_test_set, from_table
from mmsn.reporting.runs import RunDescription
from mmsn.representation.cohort import read_cohort, rows_of
from mmsn.statistics.ranking import Floats

_FACTS: Final = "mmsn.attention"
_FRONTAL: Final = ("AP", "PA")


class EncodedRun(RunDescription):
    """A run with its encoder, as the workflow describes it in `--runs`."""

    encoder: Path
    """Its encoder.safetensors."""


@dataclass(frozen=True)
class AttentionMaps:
    """What is drawn: M methods, K images, H heads, N patches, L labels."""

    methods: tuple[str, ...]
    """[M] names."""
    chosen_for: tuple[str, ...]
    """[K] the label that each image was drawn for."""
    labels: tuple[str, ...]
    """[L] labels that are scored."""
    images: NDArray[np.uint8]
    """[K, S, S] as the encoder sees them, before normalisation."""
    attention: NDArray[np.float32]
    """[M, K, H, 1 + N] what the class token attends to in the last layer: itself, then the patches row by row; each row
    sums to 1."""
    scores: NDArray[np.float32]
    """[M, K, L] probabilities of the linear protocol."""
    targets: NDArray[np.float32]
    """[K, L] 1, 0, or NaN where ignored."""
    how: str
    """A sentence on how the methods were chosen."""

    @property
    def patches(self) -> NDArray[np.float32]:
        """Attention to the patches as a map in units of uniform attention, [M, K, H, n, n]; 1 everywhere is uniform."""
        side = round((self.attention.shape[-1] - 1) ** 0.5)
        grid = self.attention[..., 1:] * self.attention.shape[-1]
        return np.asarray(grid.reshape(*grid.shape[:-1], side, side))


@torch.inference_mode()
def class_attention_rows(encoder: VisionTransformer, images: Tensor) -> Tensor:
    """What the class token of the last block attends to: [B, H, 1 + N], each row sums to 1.

    Args:
        encoder: a model of `create_encoder`, in evaluation mode.
        images: [B, 3, S, S], normalised.

    Raises:
        UserError: the last block has another attention than a plain ViT's.
    """
    *before, last = encoder.blocks
    tokens = embed_tokens(encoder, images)
    for block in before:
        tokens = block(tokens)
    if not isinstance(last, Block) or not isinstance(last.attn, Attention):
        raise UserError(f"attention maps need a plain vision transformer, the last block is {type(last).__name__}")
    attention = last.attn
    projected = attention.qkv(last.norm1(tokens)).unflatten(-1, (3, attention.num_heads, -1))
    query, key, _ = projected.permute(2, 0, 3, 1, 4)  # [3, B, H, 1 + N, d]
    query, key = attention.q_norm(query), attention.k_norm(key)
    logits = (query[:, :, :1] * attention.scale) @ key.transpose(-2, -1)
    return logits[:, :, 0].float().softmax(dim=-1)


def choose_images(
    predictions: Predictions, rows: pd.DataFrame, labels: Sequence[str], seed: int
) -> tuple[NDArray[np.int64], list[str]]:
    """A test image drawn at random for each label among those that have it, no image twice; frontal where there is one.

    Drawn, not picked: pictures that were picked by their maps or scores would show what one hopes for.

    Args:
        predictions: of the test images.
        rows: the cohort's rows of these images.
        labels: that images are drawn for; one without a positive image has none.
        seed: of the draw.

    Returns:
        Places among the test images, and the label of each.
    """
    draws = np.random.default_rng(seed)
    frontal = rows["view"].isin(_FRONTAL).to_numpy() if "view" in rows else np.ones(len(rows), dtype=np.bool_)
    taken: list[int] = []
    chosen_for = []
    for label in labels:
        positive = predictions.targets[:, predictions.labels.index(label)] == 1
        positive[taken] = False
        among = np.flatnonzero(positive & frontal) if (positive & frontal).any() else np.flatnonzero(positive)
        if among.size:
            taken.append(int(draws.choice(among)))
            chosen_for.append(label)
    return np.array(taken, dtype=np.int64), chosen_for


def run_attention(
    runs: Sequence[EncodedRun],
    summary: Path,
    images: Path,
    store: Path,
    output: Path,
    views: EvalViewSettings,
    labels: Sequence[str],
    baseline: str,
    chosen: str | None,
    seed: int,
    device: str = "auto",
) -> None:
    """Compute the maps of the reference and one other method and write them, private, as safetensors.

    Raises:
        UserError: a file is missing or of another split; encoders with other heads or patches.
    """
    compared, how = compared_runs(runs, read_table(summary).to_pandas(), baseline, chosen)
    encoded = [run for run in compared if isinstance(run, EncodedRun)]
    read = [_predictions(run, images) for run in encoded]
    for other, run in zip(read[1:], encoded[1:], strict=True):
        check_same_test_set(read[0], other, (encoded[0].id, run.id))
    rows = rows_of(read_cohort(images), read[0].images, str(encoded[0].predictions), images)
    places, chosen_for = choose_images(read[0], rows, labels, seed)
    pixels = PixelStore(store)
    grey = pixels.batch(pixels.rows_of(list(read[0].images[places])) if len(places) else [])
    where = pick_device(device)
    normalised = TestTransform(views)(grey).to(where)
    attention = []
    for run in encoded:
        check_same_split(images, run.encoder, split_of_encoder(run.encoder), "pretrain it again")
        attention.append(class_attention_rows(load_encoder(run.encoder).to(where).eval(), normalised).cpu().numpy())
    if len({rows.shape for rows in attention}) > 1:
        raise UserError("the encoders differ in heads or patches; compare methods of one backbone")
    column = [read[0].labels.index(label) for label in labels]
    maps = AttentionMaps(
        methods=tuple(run.method_name for run in encoded),
        chosen_for=tuple(chosen_for),
        labels=tuple(labels),
        images=centre_crop(resize(grey, views.resize), views.crop).round().clamp(0, 255).to(torch.uint8).numpy(),
        attention=np.stack(attention),
        scores=np.stack([_cells(one.scores, places, column) for one in read]),
        targets=_cells(read[0].targets, places, column),
        how=how,
    )
    logger.info("attention of %s on %d test images", " and ".join(maps.methods), len(places))
    write_maps(output, maps)


def write_maps(path: Path, maps: AttentionMaps) -> None:
    """Write maps as safetensors."""
    tensors = {name: getattr(maps, name) for name in ("images", "attention", "scores", "targets")}
    facts = {name: getattr(maps, name) for name in ("methods", "chosen_for", "labels", "how")}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, {_FACTS: json.dumps(facts)})


def read_maps(path: Path) -> AttentionMaps:
    """Read what `write_maps` wrote.

    Raises:
        UserError: `path` is no such file.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist; make it with `mmsn figure-data attention`")
    try:
        with safe_open(path, framework="np") as opened:
            facts = json.loads((opened.metadata() or {})[_FACTS])
        tensors = load_file(path)
    except (SafetensorError, KeyError, ValueError):
        raise UserError(f"{path}: damaged, or no attention maps of ours; delete it and make it again") from None
    return AttentionMaps(
        methods=tuple(facts["methods"]),
        chosen_for=tuple(facts["chosen_for"]),
        labels=tuple(facts["labels"]),
        images=tensors["images"],
        attention=tensors["attention"],
        scores=tensors["scores"],
        targets=tensors["targets"],
        how=facts["how"],
    )


def _predictions(run: RunDescription, images: Path) -> Predictions:
    if not run.predictions.exists():
        raise UserError(f"{run.predictions} does not exist; evaluate run {run.id} first")
    predictions = from_table(read_table(run.predictions), str(run.predictions))
    check_same_split(images, run.predictions, predictions.split, "evaluate it again")
    return predictions


def _cells(values: Floats, rows: NDArray[np.int64], columns: list[int]) -> NDArray[np.float32]:
    return values[rows][:, columns].astype(np.float32)
