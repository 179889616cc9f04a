"""Why Snakemake would run a job again, in plain words."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mmsn.planning.jobs import Job

_SENTENCES: Final = {
    "missing": r"Missing output files: (?P<missing>.*?)",
    "incomplete": r"Incomplete output files: (?P<incomplete>.*?)",
    "input": r"Updated input files: (?P<input>.*?)",
    "follows": r"Input files updated by another job: (?P<follows>.*?)",
    "set": r"(?P<set>Set of input files has changed) since last execution",
    "params": r"Params have changed since last execution: (?P<params>.*?)",
}
_REASON: Final = re.compile("(?:; )?".join(f"(?:{sentence})?" for sentence in _SENTENCES.values()) + r"\s*")
_PARAMS: Final = re.compile(r"Union of exclusive params before and now across all output: before: (.*) now: (.*)")
_DIGEST: Final = re.compile(r"'?[0-9a-f]{16}'?")
_READS_RAW_TABLES: Final = re.compile(r"cohort|cohort_rows|cohort_records|external.*cohort.*")
_SHOWN: Final = 4


@dataclass(frozen=True)
class Why:
    """What a job's reason comes to."""

    causes: tuple[str, ...]
    """In plain words; empty when it only follows from other jobs."""
    follows: bool
    """Whether a job that it reads from runs too."""


NO_REASON: Final = Why((), False)


def why(job: Job) -> Why:
    """Snakemake's reason for a job in plain words; its own text where it is of a kind not known here."""
    read = _REASON.fullmatch(job.reason)
    if read is None:
        return Why((job.reason,), False)
    parts = {name: text for name, text in read.groupdict().items() if text}
    causes: list[str] = []
    if "missing" in parts:
        causes.append(f"{_files(parts['missing'])} not there")
    if "incomplete" in parts:
        causes.append("it was cut off before")
    if "input" in parts:
        causes.append(f"{_files(parts['input'])} newer than the result, with another content")
    if "set" in parts:
        causes.append("it reads other files than before")
    if "params" in parts:
        causes += _changed(parts["params"], job.rule)
    return Why(tuple(causes), "follows" in parts)


def _files(text: str) -> str:
    names = sorted(Path(name.strip()).name for name in text.split(","))
    several = len(names) > 1
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more} {'are' if several else 'is'}"


def _changed(text: str, rule: str) -> list[str]:
    """What a change of parameters means: settings by key, the code behind the stage, other arguments."""
    sides = _PARAMS.fullmatch(text.strip())
    if sides is None:
        return ["its settings or code changed"]
    before, now = (list(_values(side)) for side in sides.groups())
    said = []
    if any(_is_digest(value) for value in before) and any(_is_digest(value) for value in now):
        tables = (
            ", or the content of the raw tables it reads, changed" if _READS_RAW_TABLES.fullmatch(rule) else " changed"
        )
        said.append(f"the code behind it{tables}")
    keys = list(_differing([v for v in before if isinstance(v, dict)], [v for v in now if isinstance(v, dict)]))
    if keys:
        more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
        said.append(f"changed settings: {', '.join(keys[:_SHOWN])}{more}")
    return said or ["its settings changed"]


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and bool(_DIGEST.fullmatch(value))


def _values(text: str) -> Iterator[Any]:
    """The values of a list that Snakemake joined with bare commas: JSON objects, else words."""
    decoder = json.JSONDecoder()
    rest = text.strip()
    while rest:
        start = rest.find("{")
        if start < 0:
            yield from (word.strip() for word in rest.split(","))
            return
        yield from (word.strip(" '") for word in rest[:start].split(",") if word.strip(" '"))
        try:
            value, end = decoder.raw_decode(rest, start)
        except json.JSONDecodeError:
            return
        yield value
        rest = rest[end:].lstrip("', ")


def _differing(before: list[Any], now: list[Any]) -> Iterator[str]:
    """Keys whose values differ between objects of the same kind: those that share most keys are compared."""
    for new in now:
        old = max(before, key=lambda other: len(other.keys() & new.keys()), default=None)
        if old is not None:
            yield from _keys(old, new)


def _keys(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key in dict.fromkeys([*new, *old]):
        was, is_now = old.get(key), new.get(key)
        if isinstance(was, dict) and isinstance(is_now, dict):
            yield from _keys(was, is_now, f"{prefix}{key}.")
        elif was != is_now:
            short = len(f"{was}{is_now}") < 40 and not isinstance(was, list | dict)
            yield f"{prefix}{key} {was} -> {is_now}" if short else f"{prefix}{key}"


def named_stages(jobs: Iterable[Job]) -> str:
    """`linear 2, statistics 1`: jobs by stage, in the order in which they come."""
    counts: dict[str, int] = {}
    for job in jobs:
        counts[job.stage] = counts.get(job.stage, 0) + 1
    return ", ".join(f"{stage} {count}" for stage, count in counts.items())
