"""What a linear head reads of an image: the class token, more tokens than that, or a token beside the encoded EHR."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from timm.layers.attention_pool import AttentionPoolLatent
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from mmsn.evaluation.settings import Tokens
from mmsn.models.vit import class_embedding, encode_tokens

_EHR: Final = "+ehr."


@dataclass(frozen=True)
class Reading:
    """What a head reads."""

    tokens: Tokens = "class"
    """`class`: the class token, as published. `class+mean`: beside it the mean of the patches' tokens. `attentive`:
    what a query that is trained with the head gathers from all tokens."""
    feature_set: str | None = None
    """Feature set whose encoded EHR stands beside the tokens; None for the image alone."""

    @property
    def id(self) -> str:
        """For example `class+mean` or `class+ehr.sex`; safe in paths."""
        return self.tokens if self.feature_set is None else f"{self.tokens}{_EHR}{self.feature_set}"


CLASS: Final = Reading()
"""The published reading."""


@dataclass(frozen=True)
class Seen:
    """What the frozen encoder and the record say of a batch."""

    tokens: Tensor
    """`[B, T, D]` after the final norm, the class token first; T is 1 where no head reads more."""
    ehr: Mapping[str, Tensor]
    """Feature set -> its encoded columns `[B, F]`."""


class ReadingHead(nn.Module):
    """A linear layer on a reading, with the trained query where the reading has one.

    The query is timm's latent attention pooling (one query, a perceptron behind it), the usual attentive probe.

    Args:
        reading: what is read.
        linear: `[width] -> [L]`.
        pool: of an attentive reading.
    """

    def __init__(self, reading: Reading, linear: nn.Linear, pool: nn.Module | None = None) -> None:
        super().__init__()
        self.reading, self.linear, self.pool = reading, linear, pool

    def forward(self, seen: Seen) -> Tensor:
        """Logits `[B, L]`."""
        features = self._of_tokens(seen.tokens)
        if self.reading.feature_set is not None:
            features = torch.cat([features, seen.ehr[self.reading.feature_set]], dim=1)
        logits: Tensor = self.linear(features)
        return logits

    def _of_tokens(self, tokens: Tensor) -> Tensor:
        if self.pool is not None:
            pooled: Tensor = self.pool(tokens)
            return pooled
        if self.reading.tokens == "class+mean":
            return torch.cat([tokens[:, 0], tokens[:, 1:].mean(dim=1)], dim=1)
        return tokens[:, 0]


def make_head(reading: Reading, width: int, heads: int, columns: int, labels: int) -> ReadingHead:
    """A head with weights from torch's global generator.

    Args:
        reading: what it reads.
        width: D of the encoder.
        heads: of the encoder's attention, and so of an attentive reading's.
        columns: F of the feature set, 0 without one.
        labels: L.
    """
    wide = 2 * width if reading.tokens == "class+mean" else width
    linear = nn.Linear(wide + columns, labels)
    pool = AttentionPoolLatent(width, num_heads=heads) if reading.tokens == "attentive" else None
    return ReadingHead(reading, linear, pool)


@torch.no_grad()
def read_tokens(encoder: VisionTransformer, views: Tensor, class_only: bool) -> Tensor:
    """What `Seen.tokens` holds of views `[B, 3, S, S]`; for the class token alone the last block computes only that."""
    return class_embedding(encoder, views)[:, None] if class_only else encode_tokens(encoder, views)


def attention_heads(encoder: VisionTransformer) -> int:
    """Heads of the encoder's attention; 1 where its blocks are of another kind."""
    attention = getattr(encoder.blocks[-1], "attn", None)
    return int(getattr(attention, "num_heads", 1))
