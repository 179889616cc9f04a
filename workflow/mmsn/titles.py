"""How tables and figures name a method, and which published row is its own."""

from typing import Final

from mmsn.methods import Method

_TITLES: Final = {"random-init": "Random initialisation", "msn": "MSN", "msn+g": "MSN + g (no EHR)"}
_PUBLISHED: Final = {"msn": "MSN", "msn+ehr": "MSN+EHR"}


def title(method: Method) -> str:
    """Name in tables and figures."""
    if method.feature_set is None:
        return _TITLES[method.kind]
    return f"MSN + {method.feature_set}" + (f" ({method.control})" if method.control else "")


def published(method: Method) -> str | None:
    """The `pretraining` value of the same row in the published tables, None where the paper has none."""
    return None if method.control else _PUBLISHED.get(method.kind)
