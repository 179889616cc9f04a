"""The reference's answers, and its names and drawn weights for networks of ours; shared by the tests of parity."""

import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from mmsn.methods import parse_method
from mmsn.presets import preset_values
from mmsn.training.settings import SECTIONS, BackboneSettings, TrainingSettings, section_of, shared_keys
from mmsn.training.steps.base import PretrainingStep
from mmsn.training.steps.create import create_step
from tests.golden import drawn

BACKBONE = BackboneSettings(
    title="tiny",
    architecture="vit_tiny_patch16_224",
    options={
        "img_size": drawn.LARGE,
        "patch_size": drawn.PATCH,
        "embed_dim": drawn.WIDTH,
        "depth": drawn.DEPTH,
        "num_heads": drawn.HEADS,
    },
)
_SIZES = {
    "pretrain": {},
    "dino": {f"head_{name}": size for name, size in drawn.DINO_HEAD.items()},
    "mae": {"views": {"random_size": drawn.LARGE}, **{f"decoder_{name}": size for name, size in drawn.DECODER.items()}},
}
_RULES = [
    (r"\bnorm([12])\.", r"ln_\1."),
    (r"\battn\.qkv\.", "self_attention.in_proj_"),
    (r"\battn\.proj\.", "self_attention.out_proj."),
    (r"\bmlp\.fc1\.", "mlp.0."),
    (r"\bmlp\.fc2\.", "mlp.3."),
    (r"\bblocks\.(\d+)\.", r"layers.encoder_layer_\1."),
    (r"\bnorm\.", "ln."),
    (r"\bcls_token$", "class_token"),
    (r"\bpatch_embed\.proj\.", "conv_proj."),
    (r"\b(pos_embed|positions)$", "pos_embedding"),
    (r"^((target_)?encoder)\.(?=layers|ln|pos_embedding)", r"\1.encoder."),
    (r"^(target_)?projection\.", lambda found: f"{found[1] or ''}head.layers."),
    (r"\blast_layer\.weight$", "last_layer.weight_v"),
    (r"^fusion\.", ""),
    (r"^embed\.", "decoder_embed."),
    (r"^predict\.", "prediction_head."),
    (r"^(?=decoder_embed|prediction_head|pos_embedding|layers|ln)", "decoder."),
]
"""From timm's and our names to those of torchvision and lightly, one after the other."""


def answers(name: str) -> dict[str, Tensor]:
    """What lightly answered, from `tests/golden/<name>.safetensors`."""
    return load_file(Path(__file__).parents[1] / "golden" / f"{name}.safetensors")


def reference_name(name: str) -> str:
    """The reference's name of a parameter of ours."""
    for pattern, replacement in _RULES:
        name = re.sub(pattern, replacement, name)
    return name


@torch.no_grad()
def with_drawn_weights(module: nn.Module, prefix: str = "") -> nn.Module:
    """Every parameter as the reference has the one of its name."""
    for name, parameter in module.named_parameters(prefix):
        parameter.copy_(torch.from_numpy(drawn.weight(reference_name(name), tuple(parameter.shape))))
    return module


def released(method: str, **changes: Any) -> TrainingSettings:
    """The `released` preset of a method, at the sizes of the tests."""
    section = section_of(parse_method(method))
    preset = {**shared_keys(preset_values("released", "pretrain")), **preset_values("released", section)}
    small = {"batch_size": drawn.IMAGES, "epochs": drawn.EPOCHS, **_SIZES[section]}
    return SECTIONS[section](**{**preset, **small, **changes})


def released_step(method: str, **changes: Any) -> PretrainingStep:
    """A method under the `released` preset, every weight as the reference has it."""
    columns = drawn.EHR_COLUMNS if "ehr" in method else 0
    step = create_step(parse_method(method), BACKBONE, released(method, **changes), columns, seed=0)
    with_drawn_weights(step.network)
    return step


def noise(step: int, images: int, patches: int) -> Tensor:
    """The reference's noise of a step but for its class token's, `[images, patches]`."""
    return torch.from_numpy(drawn.noise(step, images, patches + 1))[:, 1:]
