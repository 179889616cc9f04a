"""Whether what a user saw is one clear line."""

import re
from collections.abc import Iterable

NEXT_STEP = re.compile(r"delete|free some|give|put |mend|set |run again|same command|--unlock|did you mean|try ")


def error_lines(said: str) -> list[str]:
    """The different lines that start with `error:`, as they came."""
    return list(dict.fromkeys(line for line in said.splitlines() if line.startswith("error:")))


def unclear(said: str, named: str, private: Iterable[str] = ()) -> str | None:
    """Why an output is not one clear line about `named`; None when it is.

    Args:
        said: everything that a command printed.
        named: what the line has to name, such as a file.
        private: ids of patients and images, none of which may be printed anywhere.
    """
    lines = error_lines(said)
    if not lines:
        return "no line starts with error:"
    if len(lines) > 1:
        return f"{len(lines)} different error lines"
    if "Traceback (most recent call last)" in said:
        return "a traceback"
    if named not in lines[0]:
        return f"the line does not name {named}"
    if not NEXT_STEP.search(lines[0]):
        return "the line names no next step"
    words = set(re.findall(r"\w[\w-]*", said))
    if words & set(private):
        return "an id of a patient or an image is printed"
    return None
