"""Encoders as safetensors files that timm loads: `timm.create_model(..., checkpoint_path=encoder.safetensors)`."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from timm.models.vision_transformer import VisionTransformer

from mmsn.errors import UserError
from mmsn.files import atomic_path
from mmsn.models.vit import create_encoder
from mmsn.training.settings import BackboneSettings


def save_encoder(path: Path, encoder: VisionTransformer, backbone: BackboneSettings, method: str) -> None:
    """Write an encoder's weights under timm's names, with what is needed to build it again in the header."""
    metadata = {"format": "pt", "backbone": backbone.model_dump_json(), "method": method}
    tensors = {name: value.detach().cpu().contiguous() for name, value in encoder.state_dict().items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata)


def load_encoder(path: Path) -> VisionTransformer:
    """Build the encoder that a file describes and load its weights.

    Raises:
        UserError: when the file is damaged or not one of `save_encoder`.
    """
    try:
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
        backbone = BackboneSettings(**json.loads(metadata["backbone"]))
        encoder = create_encoder(backbone.architecture, backbone.options)
        encoder.load_state_dict(load_file(path))
    except (SafetensorError, KeyError, RuntimeError) as error:
        raise UserError(f"{path}: not an encoder of this project ({error}); delete it to pretrain again") from None
    return encoder
