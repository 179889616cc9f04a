"""A pydantic complaint as one line: the key, the value, what is allowed."""

import difflib
from typing import Any, get_args

from pydantic import BaseModel, ValidationError


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """The first error in words, and how many more there are.

    Args:
        error: what pydantic raised.
        model: the model at the top, for the list of allowed keys.
    """
    errors = error.errors(include_url=False)
    line = _explain_one(errors[0], model)
    # One value can be wrong in several sections: `dino` and others take theirs from `pretrain`.
    distinct = {(str(item["loc"][-1:]), item["type"], repr(item["input"])) for item in errors}
    more = len(distinct) - 1
    return f"config: {line}" + (f" (and {more} more to mend)" if more else "")


def _explain_one(item: Any, model: type[BaseModel]) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        allowed = _allowed_keys(item["loc"], model)
        close = difflib.get_close_matches(str(item["loc"][-1]), allowed, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        return f"{key}: unknown key; {hint}allowed here: {', '.join(allowed)}"
    if item["type"] == "missing":
        return f"{key}: missing"
    if item["type"] == "value_error":
        message = str(item["ctx"]["error"])
        return f"{key}: {message}" if key else message
    return f"{key}: {item['input']!r} is not allowed: {item['msg'].lower()}"


def _allowed_keys(location: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    """Field names of the model in which `location` ends."""
    current: Any = model
    for part in location[:-1]:
        if isinstance(current, type) and issubclass(current, BaseModel) and part in current.model_fields:
            current = current.model_fields[str(part)].annotation
        else:  # a dictionary's key or a list's place: go on into its values
            current = get_args(current)[-1] if get_args(current) else current
        current = _unwrapped(current)
    return list(current.model_fields) if hasattr(current, "model_fields") else []


def _unwrapped(annotation: Any) -> Any:
    """Skip `...` of tuples and containers of models, down to what a key is looked up in."""
    arguments = [a for a in get_args(annotation) if isinstance(a, type) and issubclass(a, BaseModel)]
    is_container = getattr(annotation, "__origin__", None) in (tuple, list)
    return arguments[0] if is_container and arguments else annotation
