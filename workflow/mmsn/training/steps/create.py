"""From a method's name and settings to its step."""

from importlib import import_module
from pathlib import Path

import torch
from timm.models.vision_transformer import VisionTransformer

from mmsn.encoder_file import load_weights
from mmsn.errors import UserError
from mmsn.methods import Method
from mmsn.models.heads import EhrFusion
from mmsn.models.vit import create_encoder, initialise_as_torchvision
from mmsn.randomness import derived_seed
from mmsn.training.settings import BackboneSettings, PretrainSettings, TrainingSettings
from mmsn.training.steps.base import PretrainingStep


def create_step(
    method: Method, backbone: BackboneSettings, settings: TrainingSettings, ehr_columns: int, seed: int
) -> PretrainingStep:
    """A freshly initialised method; with the same seed every method starts from the same encoder.

    Raises:
        UserError: when ImageNet weights are asked for and not to be had.
    """
    encoder = first_encoder(method, backbone, settings.initialisation, seed)
    torch.manual_seed(derived_seed(seed, "fusion"))
    fusion = _fusion(method, encoder.embed_dim, settings, ehr_columns)
    torch.manual_seed(derived_seed(seed, "heads"))
    # imported by name, so that a method's results depend on the code of its own step only
    step: PretrainingStep = import_module(f"mmsn.{method.step_module}").create(encoder, fusion, settings)
    return step


def first_encoder(method: Method, backbone: BackboneSettings, initialisation: str, seed: int) -> VisionTransformer:
    """The encoder that training starts from: drawn at random, or with ImageNet weights.

    Raises:
        UserError: when ImageNet weights are asked for and not to be had.
    """
    torch.manual_seed(derived_seed(seed, "weights"))
    if not method.starts_from_imagenet:
        encoder = create_encoder(backbone.architecture, backbone.options)
        if initialisation == "torchvision":
            initialise_as_torchvision(encoder)
        return encoder
    built = as_built(method, backbone)
    source = backbone.imagenet.weights if backbone.imagenet else "timm"
    if source != "timm":
        encoder = create_encoder(built.architecture, built.options)
        load_weights(encoder, Path(source))
        return encoder
    try:
        return create_encoder(built.architecture, built.options, pretrained=True)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"backbones: timm could not get the weights of {built.architecture} ({type(error).__name__}); download "
            "them where there is a network and give imagenet: {weights: <safetensors file>}"
        ) from None


def as_built(method: Method, backbone: BackboneSettings) -> BackboneSettings:
    """The architecture that a method really has: with ImageNet weights, the one that they were trained with.

    Raises:
        UserError: when ImageNet weights are asked for and the backbone names none.
    """
    if not method.starts_from_imagenet:
        return backbone.model_copy(update={"imagenet": None})
    chosen = backbone.imagenet
    if chosen is None:
        raise UserError(
            f"backbones: {backbone.title} has no `imagenet`, which {method.id} needs: give "
            "imagenet: {weights: <safetensors file>}, or {weights: timm} to let timm download them"
        )
    architecture = chosen.architecture or backbone.architecture
    return backbone.model_copy(update={"architecture": architecture, "options": chosen.options, "imagenet": None})


def _fusion(method: Method, width: int, settings: TrainingSettings, ehr_columns: int) -> EhrFusion | None:
    if not method.has_fusion:
        return None
    both = isinstance(settings, PretrainSettings) and settings.embedding == "class+mean"
    return EhrFusion(2 * width if both else width, ehr_columns, settings.ehr_width)
