"""Encoders as safetensors files that timm loads: `timm.create_model(..., checkpoint_path=encoder.safetensors)`."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn

from mmsn.errors import UserError
from mmsn.lineage import NO_SPLIT, Split
from mmsn.models.vit import create_encoder
from mmsn.sealed import SEAL, read_sealed, write_sealed
from mmsn.training.settings import BackboneSettings


def save_encoder(
    path: Path, encoder: VisionTransformer, backbone: BackboneSettings, method: str, split: Split = NO_SPLIT
) -> None:
    """Write an encoder's weights under timm's names, with what is needed to build it again in the header.

    The header also says which split it was pretrained under.
    """
    metadata = {"format": "pt", "backbone": backbone.model_dump_json(), "method": method, **split.metadata}
    write_sealed(path, encoder.state_dict(), metadata)


def save_finetuned(path: Path, encoder: VisionTransformer, pretrained: Path, data_set: str) -> None:
    """Write an encoder that was trained on from the one in `pretrained`, with that one's header.

    Args:
        path: file to write; `load_encoder` and timm read it as any other.
        encoder: with the weights as they are now.
        pretrained: where it started.
        data_set: whose labels it was trained on.
    """
    with safe_open(pretrained, framework="pt") as opened:
        metadata = {**(opened.metadata() or {}), "finetuned_on": data_set}
    metadata.pop(SEAL, None)  # that of the other weights
    write_sealed(path, encoder.state_dict(), metadata)


def load_encoder(path: Path) -> VisionTransformer:
    """Build the encoder that a file describes and load its weights.

    Raises:
        UserError: when the file is damaged or not one of `save_encoder`.
    """
    try:
        tensors, metadata = read_sealed(path)
        backbone = BackboneSettings(**json.loads(metadata["backbone"]))
        encoder = create_encoder(backbone.architecture, backbone.options)
        encoder.load_state_dict(tensors)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise _no_encoder(path, error) from None
    return encoder


def split_of_encoder(path: Path) -> Split:
    """The split that an encoder was pretrained under."""
    try:
        with safe_open(path, framework="pt") as opened:
            return Split.of(opened.metadata() or {})
    except SafetensorError as error:
        raise _no_encoder(path, error) from None


def _no_encoder(path: Path, error: Exception) -> UserError:
    reason = str(error).partition("\n")[0]
    return UserError(
        f"{path}: damaged, or not an encoder of this project ({reason}); delete it, and the same command makes it again"
    )


def load_weights(encoder: VisionTransformer, path: Path) -> None:
    """Load published weights in timm's names; a classification head is left out, positions are resized.

    Raises:
        UserError: when the file is no safetensors file, or its weights are another architecture's.
    """
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path}: cannot be read as safetensors ({error}); pickled checkpoints are not loaded, save the weights "
            "with safetensors.torch.save_file"
        ) from None
    fitted = checkpoint_filter_fn(tensors, encoder)
    body = {name: tensor for name, tensor in fitted.items() if not name.startswith("head.")}
    try:
        encoder.load_state_dict(body)
    except RuntimeError as error:
        first = str(error).partition("\n")[2].strip().partition("\n")[0]
        raise UserError(
            f"{path}: not weights of this architecture: {first[:200]}; give the file's own architecture and options "
            "under `imagenet`"
        ) from None
