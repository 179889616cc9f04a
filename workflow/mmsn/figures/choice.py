"""What the study decides about figures before any of them is drawn."""

import re
from collections.abc import Iterable
from typing import Final

from mmsn.figures.settings import FourOrNamed
from mmsn.method_choice import choose_methods
from mmsn.methods import Method, method_from_id
from mmsn.training.settings import BackboneSettings

_MOST: Final = 4
"""Columns of the paper's figure."""


def pictured_methods(
    choice: FourOrNamed, among: tuple[Method, ...], baseline: str, feature_sets: Iterable[str]
) -> tuple[Method, ...]:
    """Methods whose embeddings are drawn, in the order of the figure's columns.

    Args:
        choice: `figures.tsne_methods`.
        among: methods that have embeddings.
        baseline: id of the reference.
        feature_sets: that `*` stands for.

    Raises:
        ValueError: a name is none of `among`.
    """
    if choice != "auto":
        return choose_methods(choice, among, feature_sets, "figures.tsne_methods")
    with_ehr = [method for method in among if method.feature_set and not method.control]
    reference = [method for method in among if method.id == baseline]
    first = list(variants_with_ehr(among, baseline)[:1])
    plain = [method for method in among if method.feature_set is None and not method.has_fusion]
    in_turn = dict.fromkeys([*reference, *first, *plain, *with_ehr, *among])
    return tuple(in_turn)[:_MOST]


def variants_with_ehr(among: Iterable[Method], baseline: str) -> tuple[Method, ...]:
    """The reference's own variants with EHR: of MSN every `msn+ehr(<set>)`, not DINO's or MAE's, and no control."""
    kind = f"{method_from_id(baseline).family}+ehr"
    return tuple(method for method in among if method.kind == kind and not method.control and method.id != baseline)


def patch_side(backbone: BackboneSettings) -> int | None:
    """Side of a patch in pixels, as far as the backbone's options or its name tell it."""
    named = re.search(r"_patch(\d+)", backbone.architecture)
    side = backbone.options.get("patch_size", named[1] if named else None)
    return None if side is None else int(side)
