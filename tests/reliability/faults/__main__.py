"""`python -m tests.reliability.faults`: kill and spoil a small study, print a table, exit 1 if any row fails.

Needs minutes to an hour, Linux, and root for the faults of disks and rights (they say loudly when they are skipped). A
campaign may be run in pieces: `--seconds` ends a piece, and the same command with the same `--folder` goes on.
"""

import argparse
import random
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from tests.reliability.faults import disks, spoilt_files
from tests.reliability.faults.kills import Campaign, Kill
from tests.reliability.faults.results import contents, leftovers
from tests.reliability.faults.study import Study
from tests.reliability.faults.table import Row, rendered, rows_of_kills, save, saved
from tests.reliability.faults.trial import tried

COMPARED = """\
Compared with an undisturbed run: every file under results but logs, benchmarks and TensorBoard's events. Parquet as
columns and metadata (without images_per_second and peak_memory_gb of a history), safetensors as tensors and metadata,
all else byte by byte, figures too (without the one line of time in resolved.yaml, the model card and the opening).
Lost: a result that Snakemake counted as finished before a kill or fault, and that is gone or made again after it."""


def main() -> int:
    """Run the campaign, or the next piece of it."""
    options = _options()
    folder = Path(options.folder or tempfile.mkdtemp(prefix="mmsn-faults-"))
    started = time.monotonic()
    until = started + options.seconds
    undisturbed = _undisturbed(folder)
    wanted = contents(undisturbed.results)
    state = folder / "state.json"
    kills, rows, completed = saved(state)
    if len(kills) < options.kills:
        more, problems, times = _kill(folder, undisturbed, wanted, options, len(kills), until)
        kills, completed = kills + more, completed + times
        rows += [Row("killed study", "", 1, problem, passed=False) for problem in problems]
        save(state, kills, rows, completed)
    for fault in [*spoilt_files.FAULTS, *disks.FAULTS] if not options.only_kills else []:
        if time.monotonic() < until and not any((row.fault, row.stage) == (fault.name, fault.stage) for row in rows):
            rows.append(tried(fault, undisturbed, wanted, folder / "spoilt"))
            print(rendered(rows[-1:]).splitlines()[2:], flush=True)
            save(state, kills, rows, completed)
    text = _report(kills, rows, completed, options)
    print(text)
    if options.output:
        Path(options.output).write_text(text + "\n", encoding="utf-8")
    return 0 if all(row.passed for row in [*rows, *rows_of_kills(kills, completed)]) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="processes to kill")
    parser.add_argument("--only-kills", action="store_true", help="no other faults")
    parser.add_argument("--seed", type=int, default=0, help="of moments and victims")
    parser.add_argument("--shortest", type=float, default=1.0, help="seconds between kills, at least")
    parser.add_argument("--longest", type=float, default=20.0, help="seconds between kills, at most")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin nothing new after this; see above")
    parser.add_argument("--folder", help="where the studies lie; a new folder among the temporary ones by default")
    parser.add_argument("--output", help="file that the table is written to")
    return parser.parse_args()


def _undisturbed(folder: Path) -> Study:
    """The study that nobody disturbed, run once."""
    study = Study.made(folder / "undisturbed")
    marker = folder / "undisturbed.done"
    if not marker.exists():
        ended = study.run()
        if ended.code or leftovers(study.results):
            sys.exit(f"the undisturbed study did not end well:\n{ended.said[-3000:]}")
        marker.write_text(f"{ended.seconds:.0f}\n")
        print(f"undisturbed study: {ended.seconds:.0f} s", flush=True)
    return study


def _kill(
    folder: Path, undisturbed: Study, wanted: dict[str, str], options: argparse.Namespace, done: int, until: float
) -> tuple[list[Kill], list[str], int]:
    """Kills from number `done` on, what was wrong beside them, and how many studies reached their end."""
    study = Study(folder / "killed")
    if not study.folder.exists():
        study = undisturbed.copied(folder / "killed")
        study.emptied()
    draws = random.Random(f"{options.seed} {done}")
    campaign = Campaign(study, lambda: wanted, draws, options.shortest, options.longest)
    kills = []
    for kill in islice(campaign.kills(options.kills), options.kills - done):
        kill.number += done
        kills.append(kill)
        wrong = f"  FAILED: {'; '.join(kill.problems)}" if kill.problems else ""
        print(f"{kill.number:4d}  {kill.after:5.1f} s  {kill.victim:<28} {kill.during}{wrong}", flush=True)
        if time.monotonic() > until:
            break
    if done + len(kills) == options.kills:
        campaign.end()
    campaign.leave()
    return kills, campaign.problems, campaign.completed


def _report(kills: list[Kill], rows: list[Row], completed: int, options: argparse.Namespace) -> str:
    every = [*rows_of_kills(kills, completed), *rows]
    failed = sum(not row.passed for row in every)
    skipped = [row for row in every if row.times == 0]
    head = f"{len(kills)} kills (seed {options.seed}), {completed} studies that reached their end; "
    head += f"{len(rows)} other faults; {failed} rows failed"
    head += f"; {len(skipped)} SKIPPED: they were not tried" if skipped else ""
    return "\n".join([head, COMPARED, "", rendered(every)])


if __name__ == "__main__":
    sys.exit(main())
