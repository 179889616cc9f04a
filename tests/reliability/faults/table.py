"""The table that the campaign prints and keeps."""

import json
import textwrap
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.reliability.faults.kills import Kill

WIDTH = 150


@dataclass(frozen=True)
class Row:
    """One kind of fault: where, how often, how it ended, and the line that a user saw."""

    fault: str
    stage: str
    times: int
    outcome: str
    line: str = ""
    passed: bool = True


def rows_of_kills(kills: list[Kill], completed: int) -> list[Row]:
    """Kills counted by victim; what went wrong in the outcome.

    Unless at least one killed study has reached its end, nothing can be said of its results, and no row passes.
    """
    rows = []
    good = "nothing finished lost, " + ("same result" if completed else "NOT COMPARED: no study has reached its end")
    for victim, times in sorted(Counter(kill.victim for kill in kills).items()):
        those = [kill for kill in kills if kill.victim == victim]
        wrong = [problem for kill in those for problem in kill.problems]
        stages = len({kill.during for kill in those})
        rows.append(
            Row(
                f"SIGKILL: {victim}",
                f"{stages} different moments",
                times,
                "; ".join(wrong) if wrong else good,
                passed=not wrong and completed > 0,
            )
        )
    return rows


def rendered(rows: list[Row]) -> str:
    """A plain text table; the user's line stands below its row."""
    columns = [("fault", "stage", "times", "outcome")]
    for row in rows:
        columns.append((row.fault, row.stage, str(row.times), ("" if row.passed else "FAILED: ") + row.outcome))
    widths = [max(len(cells[place]) for cells in columns) for place in range(3)]
    lines = []
    for number, cells in enumerate(columns):
        start = "  ".join(cell.ljust(width) for cell, width in zip(cells[:3], widths, strict=True))
        lines.append(f"{start}  {cells[3]}")
        if number == 0:
            lines.append("-" * len(lines[0]))
        elif rows[number - 1].line:
            indent = "    "
            lines += textwrap.wrap(rows[number - 1].line, WIDTH, initial_indent=indent, subsequent_indent=indent)
    return "\n".join(lines)


def save(path: Path, kills: list[Kill], rows: list[Row], completed: int) -> None:
    """Keep the pieces of a campaign that was run in several."""
    path.write_text(
        json.dumps(
            {
                "completed": completed,
                "kills": [asdict(one) for one in kills],
                "rows": [asdict(one) for one in rows],
            },
            indent=1,
        )
    )


def saved(path: Path) -> tuple[list[Kill], list[Row], int]:
    """What `save` kept; nothing where there is no such file."""
    if not path.is_file():
        return [], [], 0
    kept = json.loads(path.read_text())
    return [Kill(**one) for one in kept["kills"]], [Row(**one) for one in kept["rows"]], kept["completed"]
