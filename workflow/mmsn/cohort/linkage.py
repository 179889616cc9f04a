"""How much the choice of a linkage rule matters: what each rule finds, and how many images change their flags."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import numpy as np
from numpy.typing import NDArray

from mmsn.cohort.settings import CohortSettings

Flags = NDArray[np.bool_]
RULES: Final = ("day", "time")
_UNKNOWN: Final = "unknown"


@dataclass(frozen=True)
class Links:
    """What one linkage rule finds for each image of the metadata; all [N]."""

    placed: Flags
    """The rule can place the study in time."""
    admitted: Flags
    """An admission covers it."""
    died: Flags
    """The admission that the rule keeps ended in death."""
    icu: Flags
    """An ICU stay covers it."""
    several: Flags
    """More than one admission covers it."""
    order_decides: Flags
    """Its mortality would be another if the admissions stood in another order in their file."""

    @property
    def unlinked(self) -> Flags:
        """Placed in time, and no admission covers it."""
        out: Flags = self.placed & ~self.admitted
        return out


_COUNTS: Final[dict[str, Callable[[Links], Flags]]] = {
    "not placed in time": lambda links: ~links.placed,
    "covered by an admission": lambda links: links.admitted,
    "covered by an admission that ended in death": lambda links: links.died,
    "covered by an ICU stay": lambda links: links.icu,
    "unlinked: no admission": lambda links: links.unlinked,
    "unlinked: no admission and no ICU stay": lambda links: links.unlinked & ~links.icu,
    "covered by several admissions": lambda links: links.several,
    "mortality decided by the order of the file": lambda links: links.order_decides,
}
"""What is counted of each rule."""


def read_links(connection: duckdb.DuckDBPyConnection) -> dict[str, Links]:
    """What both rules of linkage.sql find, whichever of them the cohort uses."""
    moments = _columns(connection, "SELECT study_date IS NOT NULL AS day, study_time IS NOT NULL AS time FROM images")
    found = _columns(
        connection,
        "SELECT image, died_by_day IS NOT NULL AS admitted_by_day, died_by_time IS NOT NULL AS admitted_by_time,"
        " coalesce(died_by_day = 1, FALSE) AS died_by_day, coalesce(died_by_time = 1, FALSE) AS died_by_time,"
        " several_by_day, several_by_time, order_decides FROM admission_link",
    )
    stays = _columns(connection, "SELECT image, at_the_time FROM icu_link")

    def spread(flags: NDArray[Any], images: NDArray[Any]) -> Flags:
        every = np.zeros(len(moments["day"]), bool)
        every[images] = flags
        return every

    at_admission = {name: spread(column, found["image"]) for name, column in found.items() if name != "image"}
    icu = {"day": spread(np.ones(len(stays["image"]), bool), stays["image"])}
    icu["time"] = spread(stays["at_the_time"], stays["image"])
    return {
        rule: Links(
            placed=moments[rule],
            admitted=at_admission[f"admitted_by_{rule}"],
            died=at_admission[f"died_by_{rule}"],
            icu=icu[rule],
            several=at_admission[f"several_by_{rule}"],
            # The `time` rule orders admissions by what they are, not by where they stand.
            order_decides=at_admission["order_decides"] & (rule == "day"),
        )
        for rule in RULES
    }


def count_links(links: Mapping[str, Links], settings: CohortSettings) -> dict[str, Any]:
    """Count what each rule finds and how many images have another flag under `time` than under `day`.

    Args:
        links: Rule -> what it finds, from `read_links`.
        settings: What the flag of an unlinked image is.

    Returns:
        `rules`: rule -> count -> images; `moved`: in all and by direction -> images. Every image of the metadata
        counts, those that leave the cohort later too.
    """
    rules = {
        rule: {what: int(np.count_nonzero(holds(found))) for what, holds in _COUNTS.items()}
        for rule, found in links.items()
    }
    mort = {rule: _mort(found, settings) for rule, found in links.items()}
    icu = {rule: _icu(found, settings) for rule, found in links.items()}
    return {"rules": rules, "moved": _moved("mort", mort) | _moved("icu", icu)}


def lines(counted: Mapping[str, Any]) -> list[str]:
    """The counts of `count_links` as aligned text."""
    day, time = (counted["rules"][rule] for rule in RULES)
    shown = [f"{'images by linkage rule':<66}{'day':>11}{'time':>11}"]
    shown += [f"{what:<66}{day[what]:>11,}{time[what]:>11,}" for what in day]
    moved = {change: images for change, images in counted["moved"].items() if images or change.endswith("moved")}
    shown += [f"{f'from day to time: {change}':<66}{images:>11,}" for change, images in moved.items()]
    return [*shown, "under 'day', where several admissions cover the day, the last in file order wins"]


def _mort(links: Links, settings: CohortSettings) -> dict[str, Flags]:
    """Images by their flag, as ehr/variables/mort.sql gives it."""
    unknown = ~links.placed | (links.unlinked & (settings.unlinked == _UNKNOWN))
    return {"died": links.died, "alive": ~links.died & ~unknown, _UNKNOWN: ~links.died & unknown}


def _icu(links: Links, settings: CohortSettings) -> dict[str, Flags]:
    """Images by their flag, as ehr/variables/icu.sql gives it."""
    unknown = ~links.placed | (links.unlinked & (settings.unlinked == _UNKNOWN))
    return {"icu": links.icu, "not_icu": ~links.icu & ~unknown, _UNKNOWN: ~links.icu & unknown}


def _moved(name: str, by_flag: Mapping[str, Mapping[str, Flags]]) -> dict[str, int]:
    """Images whose flag changes from `day` to `time`: in all, and by direction."""
    changes = {
        f"{name}: {before} to {after}": int(np.count_nonzero(under_day & under_time))
        for before, under_day in by_flag["day"].items()
        for after, under_time in by_flag["time"].items()
        if before != after
    }
    return {f"{name}: moved": sum(changes.values())} | changes


def _columns(connection: duckdb.DuckDBPyConnection, statement: str) -> dict[str, NDArray[Any]]:
    """Columns without a NULL. Not by way of Arrow, which would import pandas to make numpy arrays of its own."""
    found: dict[str, NDArray[Any]] = connection.sql(statement).fetchnumpy()
    return found
