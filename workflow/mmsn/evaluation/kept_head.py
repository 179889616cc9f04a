"""Heads as safetensors files: what an evaluation chose, to judge another data set as it is."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter
from safetensors import SafetensorError
from torch import nn

from mmsn.errors import UserError
from mmsn.evaluation.settings import EvaluationProtocol
from mmsn.images.settings import EvalViewSettings
from mmsn.lineage import UNTRAINED_LABELS, Split
from mmsn.sealed import read_sealed, write_sealed
from mmsn.training.settings import Precision

_NAMES: Final = ("weight", "bias")
_PROTOCOL: Final[TypeAdapter[EvaluationProtocol]] = TypeAdapter(EvaluationProtocol)
_PRECISION: Final[TypeAdapter[Precision]] = TypeAdapter(Precision)


@dataclass(frozen=True)
class HeadFacts:
    """What must be known of a head to use it as it was meant."""

    protocol: EvaluationProtocol
    """`linear`: on a frozen encoder. `finetune`: on one that was trained with it."""
    run: str
    """The chosen setting, for example `cosine-0.001`."""
    labels: tuple[str, ...]
    """What its outputs are, in order."""
    encoder_digest: str
    """Of the encoder file that it belongs to (`provenance.content_digest`)."""
    views: EvalViewSettings
    """Its test views."""
    precision: Precision
    """What the protocol asked for; a device may compute in another (`training.precision`)."""
    split: Split
    """Data set and split that it was trained on."""
    untrained: Mapping[str, str] = field(default_factory=dict)
    """Labels that its training images could not teach, and why."""


def save_head(path: Path, head: nn.Linear, facts: HeadFacts) -> None:
    """Write weight `[L, D]` and bias `[L]`; what they are stands in the header."""
    metadata = {
        "format": "pt",
        "protocol": facts.protocol,
        "run": facts.run,
        "labels": json.dumps(facts.labels),
        "encoder_digest": facts.encoder_digest,
        "views": facts.views.model_dump_json(),
        "precision": facts.precision,
        UNTRAINED_LABELS: json.dumps(facts.untrained),
        **facts.split.metadata,
    }
    write_sealed(path, {name: getattr(head, name) for name in _NAMES}, metadata)


def load_head(path: Path) -> tuple[nn.Linear, HeadFacts]:
    """A head and what its file says of it.

    Raises:
        UserError: when the file is damaged or none of `save_head`.
    """
    try:
        tensors, metadata = read_sealed(path)
        facts = _facts(metadata)
        outputs, width = tensors["weight"].shape
        head = nn.Linear(width, outputs)
        head.load_state_dict(tensors)
    except (SafetensorError, KeyError, ValueError, RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: not a head of this project ({reason}); delete it to evaluate again") from None
    if outputs != len(facts.labels):
        raise UserError(f"{path}: {outputs} outputs for {len(facts.labels)} labels; delete it to evaluate again")
    return head, facts


def _facts(metadata: dict[str, str]) -> HeadFacts:
    return HeadFacts(
        protocol=_PROTOCOL.validate_python(metadata["protocol"]),
        run=metadata["run"],
        labels=tuple(json.loads(metadata["labels"])),
        encoder_digest=metadata["encoder_digest"],
        views=EvalViewSettings.model_validate_json(metadata["views"]),
        precision=_PRECISION.validate_python(metadata["precision"]),
        split=Split.of(metadata),
        untrained=json.loads(metadata.get(UNTRAINED_LABELS, "{}")),
    )
