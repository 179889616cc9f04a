"""Lists of methods as a configuration writes them: `*` written out, or a choice among those that are there."""

from collections.abc import Iterable

from mmsn.evaluation.settings import MethodChoice
from mmsn.methods import ALL_SETS, Method, parse_method
from mmsn.titles import finetuned_in_paper


def written_out(names: Iterable[str], feature_sets: Iterable[str]) -> tuple[Method, ...]:
    """Methods in the order of the names, `*` written out, without repetition."""
    expanded: dict[Method, None] = {}
    every = list(feature_sets)
    for method in map(parse_method, names):
        sets = every if method.feature_set == ALL_SETS else [method.feature_set]
        expanded.update({Method(method.kind, name, method.control): None for name in sets})
    return tuple(expanded)


def choose_methods(
    choice: MethodChoice, among: tuple[Method, ...], feature_sets: Iterable[str], key: str
) -> tuple[Method, ...]:
    """The methods of `among` that a choice names, in the order of `among`.

    Args:
        choice: `all`, `published` (what the paper fine-tunes), or names.
        among: what there is to choose from.
        feature_sets: that `*` stands for.
        key: of the configuration, named in errors.

    Raises:
        ValueError: when a name is none of `among`.
    """
    if choice == "all":
        return among
    if choice == "published":
        return tuple(method for method in among if finetuned_in_paper(method))
    wanted = written_out(choice, feature_sets)
    unknown = next((method.id for method in wanted if method not in among), None)
    if unknown is not None:
        known = ", ".join(method.id for method in among) or "none"
        raise ValueError(f"{key}: {unknown!r} is not among the methods to choose from: {known}")
    return tuple(method for method in among if method in wanted)
