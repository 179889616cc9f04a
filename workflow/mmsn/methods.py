"""Names of pretraining methods: as a person writes them and as a path holds them."""

import re
from dataclasses import dataclass
from typing import Final

ALL_SETS: Final = "*"
CONTROLS: Final = ("shuffled", "constant")
FAMILIES_WITH_EHR: Final = ("msn", "dino", "mae")
_PLAIN: Final = (
    *("random-init", "imagenet", "supervised", "supervised-imagenet"),
    *FAMILIES_WITH_EHR,
    *(f"{family}+g" for family in FAMILIES_WITH_EHR),
)
_STEPS: Final = {
    "msn": "msn",
    "random-init": "msn",
    "imagenet": "msn",
    "dino": "dino",
    "mae": "mae",
    "supervised": "supervised",
    "supervised-imagenet": "supervised",
}
"""The training step of each family, beside `training.steps`."""
_WITH_EHR = re.compile(
    rf"(?P<family>{'|'.join(FAMILIES_WITH_EHR)})\+ehr\(\s*(?P<set>[\w+*-]+)\s*(?:,\s*(?P<control>\w+)\s*)?\)"
)


@dataclass(frozen=True)
class Method:
    """A pretraining method: MSN, DINO or MAE, plain or with a feature set, a control of SPEC 3, or a baseline.

    `control` is `shuffled` (rows permuted across patients) or `constant` (every row the mean): the same parameters,
    no information about the patient.
    """

    kind: str
    feature_set: str | None = None
    control: str | None = None

    @property
    def id(self) -> str:
        """A name that is safe in paths and shells: `msn+ehr.sex.shuffled`."""
        return ".".join(part for part in (self.kind, self.feature_set, self.control) if part)

    @property
    def family(self) -> str:
        """The kind without its fusion: `msn`, `dino`, `mae`, or the baseline itself."""
        return self.kind.partition("+")[0]

    @property
    def has_fusion(self) -> bool:
        """Whether g stands between encoder and head, with or without EHR."""
        return "+" in self.kind

    @property
    def is_trained(self) -> bool:
        """False for a random initialisation and for ImageNet weights, which are judged as they are."""
        return self.kind not in ("random-init", "imagenet")

    @property
    def starts_from_imagenet(self) -> bool:
        """Whether the encoder starts from ImageNet weights."""
        return self.kind in ("imagenet", "supervised-imagenet")

    @property
    def step_module(self) -> str:
        """The module of its training step: what `random-init` and `imagenet` would be trained as is never used."""
        return f"training.steps.{_STEPS[self.family]}"

    @property
    def needs_labels(self) -> bool:
        """Whether the training reads the 14 labels."""
        return self.family.startswith("supervised")


def parse_method(text: str) -> Method:
    """Read `msn`, `dino+g`, `random-init`, `msn+ehr(<set>)`, `mae+ehr(<set>, shuffled)`, `msn+ehr(*)`.

    Raises:
        ValueError: when the text is none of these.
    """
    if text in _PLAIN:
        return Method(text)
    match = _WITH_EHR.fullmatch(text)
    if match is None or (match["control"] or CONTROLS[0]) not in CONTROLS:
        raise ValueError(
            f"{text!r} is not a method; write one of {', '.join(_PLAIN)}, msn+ehr(<feature set>), "
            "msn+ehr(*) for every set, msn+ehr(<set>, shuffled) or msn+ehr(<set>, constant), likewise dino+ehr, mae+ehr"
        )
    return Method(f"{match['family']}+ehr", match["set"], match["control"])


def method_from_id(identifier: str) -> Method:
    """The inverse of `Method.id`."""
    kind, _, rest = identifier.partition(".")
    feature_set, _, control = rest.partition(".")
    return Method(kind, feature_set or None, control or None)
