"""Random processes of a running study are killed; its results are compared with those of an undisturbed run."""

import random
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.reliability.faults.lines import error_lines, unclear
from tests.reliability.faults.processes import kill, living, outlived
from tests.reliability.faults.results import contents, differing, finished, leftovers, lost
from tests.reliability.faults.study import LONGEST, Study

SECONDS_TO_DIE = 20.0
"""What a job has to end in when its Snakemake or its shell was killed."""
_LOOKS_AT_LOCK = 4
"""Of so many locks left behind one is looked at and taken away by Snakemake: that costs it two starts."""
_TRIES = 3
_SHARE_AT_START = 0.1
_SECONDS_BETWEEN_LOOKS = 0.1
_LAST_JOB = re.compile(r"^Job \d+: (.*)$", flags=re.MULTILINE)


@dataclass
class Kill:
    """One kill and what came of it."""

    number: int
    victim: str
    during: str
    after: float
    """Seconds since the last kill, or since the first job of a new start."""
    finished: int
    """Results that were finished then."""
    problems: list[str] = field(default_factory=list)


@dataclass
class Campaign:
    """A study under fire. `state` says which of its kills are still to come, so that a campaign may run in pieces."""

    study: Study
    undisturbed: Callable[[], dict[str, str]]
    """Contents of the undisturbed run's results; asked for when a study has reached its end."""
    draws: random.Random
    shortest: float
    longest: float
    process: subprocess.Popen[bytes] | None = None
    completed: int = 0
    problems: list[str] = field(default_factory=list)
    _before: dict[str, tuple[int, int]] = field(default_factory=dict)
    _disturbed: bool = False
    """Whether something was killed since the study was last started."""
    _locks: int = 0
    """Times that a killed Snakemake left the folder locked."""
    _failures: int = 0
    """Runs on end that failed though nobody disturbed them."""

    @property
    def _said(self) -> Path:
        return self.study.folder / "said.txt"

    def kills(self, number: int) -> Iterator[Kill]:
        """Kill so many processes; studies that reach their end are compared, removed and started again."""
        for place in range(number):
            yield self._one(place + 1)

    def end(self) -> None:
        """Let the study run undisturbed to its end, and compare."""
        completed = self.completed
        while self.completed == completed:
            self._await_end()

    def leave(self) -> None:
        """Stop here, as a power cut would; another piece of the campaign goes on from what is there."""
        if self.process is not None:
            for one in living(self.process.pid):
                kill(one)
            self.process.wait()
            self.process = None
        self.study.run("--unlock")

    def _one(self, number: int) -> Kill:
        """Wait a random time and kill a random process; the study is started (again) where it does not run."""
        # mostly soon, now and then late enough for any job to end: a study that never gets on tells nothing
        wait = self.shortest * (self.longest / self.shortest) ** self.draws.random()
        while True:
            process = self._running()
            self._await_work(process)
            until = time.monotonic() + wait
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                there = living(process.pid)
                victim = self.draws.choice(there) if there else None
                before = finished(self.study.folder)
                if victim is not None and kill(victim):
                    break
            self._ended(process)
        record = Kill(number, victim.role, self._last_job(), wait, len(before))
        self._disturbed = True
        record.problems += self._nothing_lost()
        self._before = before
        if victim.number == process.pid:
            process.wait()
            record.problems += self._after_snakemake(process.pid)
        return record

    def _running(self) -> subprocess.Popen[bytes]:
        if self.process is None:
            self._said.unlink(missing_ok=True)
            self.process = self.study.start(said=self._said)
            self._disturbed = False
        return self.process

    def _await_work(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until the run has a job to kill; of ten times once not, so that Snakemake is killed as it starts too."""
        if self.draws.random() < _SHARE_AT_START:
            return
        while process.poll() is None and not _LAST_JOB.search(self._said.read_text(errors="replace")):
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    def _last_job(self) -> str:
        jobs = _LAST_JOB.findall(self._said.read_text(errors="replace"))
        return jobs[-1] if jobs else "starting"

    def _nothing_lost(self) -> list[str]:
        gone = lost(self._before, self.study.folder)
        return [f"lost or made again: {', '.join(gone[:3])}"] if gone else []

    def _after_snakemake(self, session: int) -> list[str]:
        """Start again at once, unlocking as a user does; what the killed one left has to end by itself."""
        self.process = None
        problems = []
        if any((self.study.folder / ".snakemake/locks").glob("*")):
            if self._locks % _LOOKS_AT_LOCK == 0:
                problems += self._refused()
            else:
                shutil.rmtree(self.study.folder / ".snakemake/locks")  # all that --unlock does, without its start
            self._locks += 1
        self._running()  # beside what the killed one may have left
        left = outlived(session, SECONDS_TO_DIE)
        for process in left:
            kill(process)
        return [*problems, *(f"outlived Snakemake: {process.role}" for process in left)]

    def _refused(self) -> list[str]:
        """The same command says in one line that the folder is locked, and what that line names unlocks it."""
        wrong = unclear(self.study.run().said, "--unlock")
        problems = [f"about the lock: {wrong}"] if wrong else []
        if self.study.run("--unlock").code:
            problems.append("--unlock failed")
        return problems

    def _await_end(self) -> None:
        process = self._running()
        try:
            process.wait(LONGEST)
        except subprocess.TimeoutExpired:
            self.problems.append("a run that nobody disturbed any more hung")
            for one in living(process.pid):
                kill(one)
        self._ended(process)

    def _ended(self, process: subprocess.Popen[bytes]) -> None:
        """A run ended by itself: its study is complete, or it is to be started again."""
        if process.poll() is None:
            return
        self.process = None
        said = self._said.read_text(errors="replace")
        if "Traceback (most recent call last)" in said:
            self.problems.append(f"a traceback after a kill: {said[-500:]}")
        for one in outlived(process.pid, SECONDS_TO_DIE):
            self.problems.append(f"outlived its run: {one.role}")
            kill(one)
        if process.returncode == 0:
            self._failures = 0
            self._compare()
        elif not self._disturbed:
            self._failures += 1
            self.problems.append(f"failed though undisturbed: {' | '.join(error_lines(said)) or said[-500:]}")
            if self._failures == _TRIES:
                raise RuntimeError(self.problems[-1])

    def _compare(self) -> None:
        self.problems += self._nothing_lost()
        self._before = {}
        different = differing(self.undisturbed(), contents(self.study.results))
        self.problems += [f"differs from the undisturbed run: {name}" for name in different[:5]]
        self.problems += [f"left behind: {name}" for name in leftovers(self.study.results)[:5]]
        self.completed += 1
        self.study.emptied()
