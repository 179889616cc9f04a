"""How tables and figures name a method, and which published row is its own."""

from typing import Final

from mmsn.methods import Method

_NAMES: Final = {
    "random-init": "Random initialisation",
    "imagenet": "ImageNet",
    "supervised": "Supervised",
    "supervised-imagenet": "Supervised from ImageNet",
    "msn": "MSN",
    "dino": "DINO",
    "mae": "MAE",
}
_FINETUNED: Final = ("MSN", "MSN+EHR", "DINO", "MAE")
"""The `pretraining` values of the published fine-tuning tables."""
_PUBLISHED: Final = {"imagenet": "ImageNet", "msn": "MSN", "msn+ehr": "MSN+EHR", "dino": "DINO", "mae": "MAE"}


def title(method: Method) -> str:
    """Name in tables and figures."""
    name = _NAMES[method.family]
    if method.feature_set is None:
        return f"{name} + g (no EHR)" if method.has_fusion else name
    return f"{name} + {method.feature_set}" + (f" ({method.control})" if method.control else "")


def finetuned_in_paper(method: Method) -> bool:
    """Whether the paper fine-tunes the method (tables C3 to C5 and C7)."""
    return published(method) in _FINETUNED


def published(method: Method) -> str | None:
    """The `pretraining` value of the same row in the published linear tables, None where the paper has none."""
    return None if method.control else _PUBLISHED.get(method.kind)
