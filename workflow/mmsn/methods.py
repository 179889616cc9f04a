"""Names of pretraining methods: as a person writes them and as a path holds them."""

import re
from dataclasses import dataclass
from typing import Final

ALL_SETS: Final = "*"
CONTROLS: Final = ("shuffled", "constant")
_PLAIN: Final = ("random-init", "msn", "msn+g")
_WITH_EHR = re.compile(r"msn\+ehr\(\s*(?P<set>[\w+*-]+)\s*(?:,\s*(?P<control>\w+)\s*)?\)")


@dataclass(frozen=True)
class Method:
    """A pretraining method: vanilla MSN, MSN with a feature set, or one of the controls of SPEC 3.

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
    def is_trained(self) -> bool:
        """False for a random initialisation, which is judged as it was drawn."""
        return self.kind != "random-init"


def parse_method(text: str) -> Method:
    """Read `msn`, `msn+g`, `random-init`, `msn+ehr(<set>)`, `msn+ehr(<set>, shuffled)`, `msn+ehr(*)`.

    Raises:
        ValueError: when the text is none of these.
    """
    if text in _PLAIN:
        return Method(text)
    match = _WITH_EHR.fullmatch(text)
    if match is None or (match["control"] or CONTROLS[0]) not in CONTROLS:
        raise ValueError(
            f"{text!r} is not a method; write one of {', '.join(_PLAIN)}, msn+ehr(<feature set>), "
            "msn+ehr(*) for every set, msn+ehr(<set>, shuffled) or msn+ehr(<set>, constant)"
        )
    return Method("msn+ehr", match["set"], match["control"])


def method_from_id(identifier: str) -> Method:
    """The inverse of `Method.id`."""
    kind, _, rest = identifier.partition(".")
    feature_set, _, control = rest.partition(".")
    return Method(kind, feature_set or None, control or None)
