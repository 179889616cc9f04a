"""The other runs of a pack, from their files: which of them are still to be trained, and by whom."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch
import yaml
from filelock import FileLock, Timeout

from mmsn.console import logger
from mmsn.errors import UserError
from mmsn.methods import method_from_id
from mmsn.provenance import content_digest
from mmsn.training.loop import Pretraining
from mmsn.training.member import RUN_DIGEST, Place, PretrainFiles, PretrainRun, run_digest, taken_up
from mmsn.training.pack import Pack

_SECONDS_BETWEEN_TRIES: Final = 2.0
Run = tuple[PretrainFiles, PretrainRun]


def read_companions(text: str, files: PretrainFiles, run: PretrainRun) -> list[Run]:
    """The other runs of a pack, of the same seed, backbone, settings, images and store.

    Args:
        text: JSON, for each its `method`, the `folder` of its results, and `features`, its table or null.
        files: of this run; the others' have the same names in their own folders.
        run: this one.
    """
    return [
        (_in_folder(files, Path(other["folder"]), other["features"]), run.beside(method_from_id(other["method"])))
        for other in json.loads(text)
    ]


def _in_folder(files: PretrainFiles, folder: Path, features: str | None) -> PretrainFiles:
    return replace(
        files,
        features=Path(features) if features else None,
        encoder=folder / files.encoder.name,
        history=folder / files.history.name,
        resolved=folder / files.resolved.name,
        card=folder / files.card.name,
        checkpoint=folder / files.checkpoint.name,
        tensorboard=folder / files.tensorboard.name if files.tensorboard else None,
    )


@contextmanager
def alone_at(files: PretrainFiles) -> Iterator[None]:
    """Hold a run's lock, which ends with the process; waits while another process trains the run in its pack."""
    lock = _lock_of(files)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        logger.info("another job trains this run beside its own; waiting for it")
        lock.acquire(poll_interval=_SECONDS_BETWEEN_TRIES)
    try:
        yield
    finally:
        lock.release()


class Companions:
    """Runs that join a pack as soon as they can.

    Args:
        runs: of the pack, but for the one whose job this is.
        place: where they are trained.
        locks: holds the locks of those that have joined.
    """

    def __init__(self, runs: Sequence[Run], place: Place, locks: ExitStack) -> None:
        self._waiting, self._place, self._locks = list(runs), place, locks
        self._joined: dict[Pretraining, _Joined] = {}

    def leaving(self) -> list[Pretraining]:
        """Those whose feature table was made again, with other values, since they joined; they may join once more.

        Where nothing has to wait for the tables the first job of a pack starts before a stale one is made again. Its
        run's checkpoint, of the old values, is removed.
        """
        stale = [training for training, joined in self._joined.items() if joined.is_stale]
        for training in stale:
            joined = self._joined.pop(training)
            logger.info("%s starts again: its features were made again", joined.run.title)
            joined.files.checkpoint.unlink(missing_ok=True)
            joined.lock.release()
            self._waiting.append((joined.files, joined.run))
        return stale

    def joining(self) -> list[Pretraining]:
        """Those that can join by now: their features are there, nobody else trains them, and they are not done."""
        asked = [self._taken_up(*one) for one in list(self._waiting) if _can_start(one[0])]
        return [training for training in asked if training is not None]

    def _taken_up(self, files: PretrainFiles, run: PretrainRun) -> Pretraining | None:
        lock = _lock_of(files)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return None  # asked again before the next epoch
        self._locks.callback(lock.release)
        try:
            seen = _digest_of_features(files)
            training = self._unfinished(files, run)
        except FileNotFoundError:  # about to be made again: asked again before the next epoch
            lock.release()
            return None
        self._waiting.remove((files, run))
        if training is None:
            lock.release()
        else:
            self._joined[training] = _Joined(files, run, seen, lock)
        return training

    def _unfinished(self, files: PretrainFiles, run: PretrainRun) -> Pretraining | None:
        if is_current(files, run):
            return None
        try:
            training = taken_up(files, run, self._place).training
        except UserError as error:
            logger.info("%s is left to its own job, which will say: %s", run.title, error)
            return None
        return training if training is not None and training.open else None


@dataclass(frozen=True)
class _Joined:
    """A companion that is being trained, or has been."""

    files: PretrainFiles
    run: PretrainRun
    features: str
    """Digest of its feature table when it joined."""
    lock: FileLock

    @property
    def is_stale(self) -> bool:
        """Whether its table has other values by now; one that is just being made again has none yet."""
        try:
            return _digest_of_features(self.files) != self.features
        except FileNotFoundError:
            return False


def is_current(files: PretrainFiles, run: PretrainRun) -> bool:
    """Whether all results of a run are there, and of the settings, code and tables of today."""
    if not all(path.is_file() for path in (files.encoder, files.history, files.resolved, files.card)):
        return False
    try:
        recorded = yaml.safe_load(files.resolved.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):  # damaged
        return False
    return isinstance(recorded, dict) and recorded.get(RUN_DIGEST) == run_digest(files, run)


def train_together(own: Pretraining, others: Companions, place: Place) -> list[dict[str, float]]:
    """Train a run and its companions on shared views; the history of the run.

    What a companion has become is in its checkpoint. One that failed leaves the checkpoint before its failure, and its
    own job fails on it with its own message.

    Raises:
        StoppedBySignal: after every run has saved itself.
        UserError: the run itself failed; its companions were trained to the end before. Or they do not fit into memory.
    """
    started = time.monotonic()
    pack = Pack([own], f"pack of {own.description}", place.checkpoint_seconds, others.joining, others.leaving)
    try:
        pack.run()
    except torch.OutOfMemoryError:
        raise UserError(
            f"{own.description}: {len(pack.members)} runs do not fit into the memory of {place.device} together; lower "
            "runs.pack, and each goes on from its last checkpoint"
        ) from None
    minutes = (time.monotonic() - started) / 60
    logger.info("%s: %d runs trained in %.1f min", pack.title, len(pack.members), minutes)
    if own in pack.failed:
        raise pack.failed[own]
    return own.standing.history


def _digest_of_features(files: PretrainFiles) -> str:
    return content_digest([files.features]) if files.features else ""


def _can_start(files: PretrainFiles) -> bool:
    return files.features is None or files.features.is_file()


def _lock_of(files: PretrainFiles) -> FileLock:
    files.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(files.checkpoint.with_suffix(".lock"))
