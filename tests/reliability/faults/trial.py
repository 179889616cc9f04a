"""One fault: a finished study loses results, something is spoilt, the command is run, the cause healed, run again."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from tests.reliability.faults.lines import error_lines, unclear
from tests.reliability.faults.results import contents, differing, finished, leftovers, lost
from tests.reliability.faults.study import Ended, Study
from tests.reliability.faults.table import Row

ROWS = "results/cohort/mimic-cxr/rows.parquet"


@dataclass(frozen=True)
class Spoilt:
    """What was done to a study, and how a user heals it."""

    named: str
    """What the one line has to name; empty where the run is to end in the same result by itself."""
    heal: Callable[[], None]
    aside: tuple[str, ...] = ()
    """Results that the fault itself touched."""
    before: tuple[str, ...] = ()
    """Words before the study's command, under the fault and after it."""
    snakemake_says: str = ""
    """What Snakemake itself says, where it stops before any of our code runs: in place of our line."""


@dataclass(frozen=True)
class Fault:
    """A fault by name, and the stage that meets it."""

    name: str
    stage: str
    spoil: Callable[[Study, tuple[str, ...]], AbstractContextManager[Spoilt]]
    """Given the study and what is asked of Snakemake."""
    without: tuple[str, ...] = ()
    """Results (glob patterns) that are removed first and then asked for; the whole study where there are none."""


class Skipped(Exception):  # noqa: N818  (no error: this machine cannot do it)
    """Why a fault cannot be tried here."""


def tried(fault: Fault, undisturbed: Study, wanted: dict[str, str], folder: Path) -> Row:
    """Try a fault on a copy of the finished study."""
    study = undisturbed.copied(folder)
    targets = _removed(study, fault.without)
    there = finished(study.folder)
    try:
        with fault.spoil(study, targets) as spoilt:
            ended = study.run(*targets, before=spoilt.before)
            problems = _judged(ended, spoilt, study)
            gone = [name for name in lost(there, study.folder) if name not in spoilt.aside]
            problems += [f"lost or made again: {name}" for name in gone[:3]]
            spoilt.heal()
            healed = study.run(*targets, before=spoilt.before)
            if healed.code:
                said = " | ".join(error_lines(healed.said)) or healed.said[-300:]
                problems.append(f"did not go on when healed: {said}")
    except Skipped as why:
        return Row(fault.name, fault.stage, 0, f"SKIPPED: {why}")
    problems += [f"differs from the undisturbed run: {name}" for name in differing(wanted, contents(study.results))[:3]]
    problems += [f"left behind: {name}" for name in leftovers(study.results)[:3]]
    line = next(iter(error_lines(ended.said)), spoilt.snakemake_says).replace(str(study.folder), "<project>")
    clear = "Snakemake's own words" if spoilt.snakemake_says else "one clear line"
    good = f"{clear}; healed, the same result" if spoilt.named else "same result without any help"
    if not problems:
        shutil.rmtree(folder)
    return Row(fault.name, fault.stage, 1, "; ".join(problems) or good, line, not problems)


def _removed(study: Study, patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Remove results; the names of those that Snakemake knows."""
    paths = [path for pattern in patterns for path in sorted(study.results.glob(pattern))]
    for path in paths:
        path.unlink()
    return tuple(str(path.relative_to(study.folder)) for path in paths if path.suffix != ".kept")


def _judged(ended: Ended, spoilt: Spoilt, study: Study) -> list[str]:
    if not spoilt.named:
        return [] if ended.code == 0 else [f"did not end by itself: {' | '.join(error_lines(ended.said))}"]
    if ended.code == 0:
        return ["went on as if nothing were wrong"]
    if spoilt.snakemake_says:
        clear = spoilt.snakemake_says in ended.said and "Traceback (most" not in ended.said
        return [] if clear else ["not what Snakemake is known to say"]
    wrong = unclear(ended.said, spoilt.named, private_ids(study))
    if wrong:
        study.folder.with_suffix(".said.txt").write_text(ended.said)
    return [wrong] if wrong else []


def private_ids(study: Study) -> set[str]:
    """Ids of all patients, studies and images of the study's cohort."""
    table = pq.read_table(study.folder.parent / "undisturbed" / ROWS, columns=["dicom_id", "subject_id", "study_id"])
    return {str(value) for name in table.column_names for value in table[name].to_pylist()}
