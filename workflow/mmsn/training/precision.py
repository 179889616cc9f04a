"""In which numbers a device computes what a run asks for."""

from contextlib import AbstractContextManager

import torch
from timm.layers.attention import Attention
from torch import nn

from mmsn.training.settings import Precision

_KINDS = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


def computed_precision(asked: Precision, device: torch.device) -> Precision:
    """What a device computes in: a GPU in what is asked for; a CPU in bf16 where it has matrix tiles for it, else fp32.

    A CPU without matrix tiles (Intel's AMX) would take longer in bf16 than in fp32, and none has fp16 to gain from.
    """
    if device.type == "cuda" or (asked == "bf16" and multiplies_bf16()):
        return asked
    return "fp32"


def multiplies_bf16() -> bool:
    """Whether this CPU has matrix tiles for bf16."""
    return torch.cpu._is_amx_tile_supported()


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[None]:
    """Forward passes in a precision of `computed_precision`; weights stay in float32."""
    context: AbstractContextManager[None] = torch.autocast(device.type, _KINDS[precision], enabled=precision != "fp32")
    return context


def suit_attention(model: nn.Module, device: torch.device, precision: Precision) -> None:
    """Let attention be plain matrix products where a CPU computes in bf16.

    The backward pass of torch's fused kernel does not use the matrix tiles and takes several times as long (torch
    2.11: the whole step of a ViT-T 1.8 times).
    """
    if device.type == "cpu" and precision == "bf16":
        for module in model.modules():
            if isinstance(module, Attention):
                setattr(module, "fused_attn", False)  # noqa: B010  (timm declares it Final, for TorchScript)
