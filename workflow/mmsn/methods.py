"""Names of pretraining methods: as a person writes them, as a path holds them, as a table shows them."""

import re
from dataclasses import dataclass
from typing import Final

ALL_SETS: Final = "*"
CONTROLS: Final = ("shuffled", "constant")
_PLAIN: Final = ("random-init", "msn", "msn+g")
_WITH_EHR = re.compile(r"msn\+ehr\(\s*(?P<set>[\w+*-]+)\s*(?:,\s*(?P<control>\w+)\s*)?\)")
_TITLES: Final = {"random-init": "Random initialisation", "msn": "MSN", "msn+g": "MSN + g (no EHR)"}


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

    @property
    def title(self) -> str:
        """Name in tables and figures."""
        if self.feature_set is None:
            return _TITLES[self.kind]
        return f"MSN + {self.feature_set}" + (f" ({self.control})" if self.control else "")

    @property
    def published(self) -> str | None:
        """The `pretraining` value of the same row in the published tables, None where the paper has none."""
        if self.control or self.kind not in ("msn", "msn+ehr"):
            return None
        return {"msn": "MSN", "msn+ehr": "MSN+EHR"}[self.kind]


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
