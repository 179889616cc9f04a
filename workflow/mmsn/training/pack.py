"""Several runs in one process: a batch is read once, its views and masks are drawn once, every run trains on them.

Random draws have addresses (`mmsn.randomness`), so runs of one seed see the same views anyway; a pack only makes them
once. What a run computes is what it computes alone, to the bit on a CPU: weights, optimiser, history and checkpoint are
its own, and a run may be trained in a pack today and alone tomorrow.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

import numpy as np
import torch

from mmsn.console import logger, progress
from mmsn.errors import StoppedBySignal, UserError
from mmsn.signals import StopRequest
from mmsn.training.data import PretrainData
from mmsn.training.loop import Pretraining
from mmsn.training.steps.base import Batch

LANES: Final = 4
"""CUDA streams at most: activations of so many runs are in memory at once."""
Columns = dict[Pretraining, slice]
"""Which columns of a shared table are a run's own."""


class Pack:
    """Runs that train side by side on shared views.

    A run that fails leaves the pack, the others go on. Runs that stand at different steps (one was taken up, another
    has just joined) are brought together first: the furthest behind trains until it has caught up.

    Args:
        members: runs that agree in seed, settings and images (and patch size).
        title: what messages call them together.
        seconds_between: checkpoints.
        joining: asked before each epoch for runs that can join by now.
        leaving: asked before that for members that are no longer to be trained as they are.

    Raises:
        ValueError: when two of them do not see the same.
    """

    def __init__(
        self,
        members: Sequence[Pretraining],
        title: str,
        seconds_between: float,
        joining: Callable[[], Sequence[Pretraining]] = tuple,
        leaving: Callable[[], Sequence[Pretraining]] = tuple,
    ) -> None:
        self.members: list[Pretraining] = []
        self.failed: dict[Pretraining, UserError] = {}
        self.title, self.seconds_between, self.joining, self.leaving = title, seconds_between, joining, leaving
        self.first = members[0]
        self.lanes = Lanes(self.first.device)
        self._lane: dict[Pretraining, int] = {}  # for good: memory belongs to the stream it was taken on
        self._stop = StopRequest()
        self._saved_at = time.monotonic()
        self._admit(members)

    def run(self) -> None:
        """Train every member to its end; what failed is in `failed`, by member.

        Raises:
            StoppedBySignal: after every member has saved itself, when a signal asked to stop.
        """
        with self._stop:
            while True:
                self._dismiss(self.leaving())
                self._admit(self.joining())
                waiting = [member for member in self.members if member.open]
                if not waiting:
                    break
                self._train_those_behind(waiting)
        for member in self.members:
            member.journal.close()

    def _admit(self, members: Sequence[Pretraining]) -> None:
        for member in members:
            _require_equal_sight(self.first, member)
            self._lane[member] = len(self._lane)
            self.members.append(member)

    def _dismiss(self, members: Sequence[Pretraining]) -> None:
        for member in members:
            member.journal.close()
        self.members = [member for member in self.members if member not in members]

    def _train_those_behind(self, waiting: Sequence[Pretraining]) -> None:
        """The members furthest behind, up to where the next ones stand or to the end of their epoch."""
        epoch, step = min(member.standing.place for member in waiting)
        behind = [member for member in waiting if member.standing.place == (epoch, step)]
        steps = self.first.steps_per_epoch
        ahead = [m.standing.step for m in waiting if m.standing.epoch == epoch and m.standing.step > step]
        last = min([*ahead, steps])
        self._train(behind, epoch, step, last)
        ends = self._each(behind, Pretraining.close_epoch if last == steps else Pretraining.settle_and_save)
        logger.debug("%s: %d of %d stand at epoch %d, step %d", self.title, len(ends), len(waiting), epoch, last)

    def _train(self, group: Sequence[Pretraining], epoch: int, first: int, last: int) -> None:
        """Steps `first` to `last` of an epoch."""
        data, columns = side_by_side(group)
        for member in group:
            member.begin()
            member.standing.together = max(member.standing.together, len(group))
        lead = group[0]
        batches = zip(range(first, last), data.batches(lead.share, lead.seed, epoch, first), strict=False)
        label = f"{self.title}, {len(group)} runs: epoch {epoch + 1} of {lead.settings.epochs}"
        start = time.monotonic()  # reading the batch counts too
        for _, batch in progress(batches, label, last - first):
            group = self._step(group, batch.to(lead.device), columns)
            if not group:
                return
            seconds = (time.monotonic() - start) / len(group)
            for member in group:
                member.standing.step += 1
                member.standing.seconds += seconds
            self._save_if_due(group)
            start = time.monotonic()

    def _step(self, group: Sequence[Pretraining], batch: Batch, columns: Columns) -> list[Pretraining]:
        """One step of each; the members that it did not end."""
        sights = group[0].look(batch)
        # All of it lives until the lanes have joined: what is freed earlier may be written anew while a lane reads it.
        ehr = {m: batch.ehr[:, place].contiguous() for m, place in columns.items()} if batch.ehr is not None else {}

        def optimise(member: Pretraining) -> None:
            with self.lanes.one(self._lane[member]):
                member.optimise(batch._replace(ehr=ehr.get(member)), sights)

        left = self._each(group, optimise)
        self.lanes.join()
        return left

    def _each(self, group: Sequence[Pretraining], act: Callable[[Pretraining], None]) -> list[Pretraining]:
        """Let each member act; one that fails leaves the pack with what it says. Those that are left."""
        left = []
        for member in group:
            if member in self.failed:
                continue
            try:
                act(member)
            except UserError as error:
                logger.warning("warning: %s. It leaves the pack; the others go on", error)
                self.failed[member] = error
            else:
                left.append(member)
        self.members = [member for member in self.members if member not in self.failed]
        return left

    def _save_if_due(self, group: Sequence[Pretraining]) -> None:
        stop = self._stop.made
        if stop or time.monotonic() - self._saved_at >= self.seconds_between:
            self._each(group, Pretraining.settle_and_save)  # the others stand as they were saved
            self._saved_at = time.monotonic()
        if stop:
            raise StoppedBySignal(f"{self.title}, {len(group)} runs")


class Lanes:
    """CUDA streams on which the steps of several runs overlap; on other devices nothing at all."""

    def __init__(self, device: torch.device) -> None:
        self._streams = [torch.cuda.Stream(device) for _ in range(LANES)] if device.type == "cuda" else []

    @contextmanager
    def one(self, number: int) -> Iterator[None]:
        """Work on a lane, behind everything that is under way on the main stream."""
        if not self._streams:
            yield
            return
        stream = self._streams[number % len(self._streams)]
        stream.wait_stream(torch.cuda.current_stream(stream.device))
        with torch.cuda.stream(stream):
            yield

    def join(self) -> None:
        """Let the main stream wait for all lanes, so that what they read may be written anew."""
        for stream in self._streams:
            torch.cuda.current_stream(stream.device).wait_stream(stream)


def side_by_side(group: Sequence[Pretraining]) -> tuple[PretrainData, Columns]:
    """The images of runs that see the same, with the EHR columns of all; and which of them are whose."""
    tables = {member: member.data.ehr for member in group if member.data.ehr is not None}
    columns, start = Columns(), 0
    for member, table in tables.items():
        columns[member] = slice(start, start + table.shape[1])
        start += table.shape[1]
    return replace(group[0].data, ehr=torch.cat(list(tables.values()), dim=1) if tables else None), columns


def _require_equal_sight(one: Pretraining, other: Pretraining) -> None:
    """Raise unless two runs draw the same batches, views and masks."""
    same = (
        one.settings == other.settings
        and (one.seed, one.share, one.device) == (other.seed, other.share, other.device)
        and one.step.encoder.patch_embed.patch_size == other.step.encoder.patch_embed.patch_size
        and np.array_equal(one.data.positions, other.data.positions)
    )
    if not same:
        raise ValueError(f"{one.description} and {other.description} differ in seed, settings, images or patch size")
