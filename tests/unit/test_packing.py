"""Runs in a pack: what each computes is what it computes alone, whoever trains beside it and whatever stops them."""

import math
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from mmsn.errors import StoppedBySignal
from mmsn.methods import parse_method
from mmsn.training.data import PretrainData
from mmsn.training.loop import Pretraining
from mmsn.training.pack import Pack
from mmsn.training.standing import CheckpointPolicy
from mmsn.training.steps.create import create_step
from tests.unit.training_parts import BACKBONE, make_store, settings_of

TIMES = ("images_per_second", "peak_memory_gb")
MSN = {"msn": 0, "msn+g": 0, "msn+ehr(sex)": 2}
EPOCHS = 2
STEPS = EPOCHS * (40 // 8)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def alone(store, tmp_path_factory):
    """MSN, its control and a variant, each trained alone."""
    return _alone(store, tmp_path_factory.mktemp("alone"))


def _run(store, folder: Path, text: str, columns: int, **changes) -> Pretraining:
    """A run that has not started, or goes on from its checkpoint in `folder`."""
    method = parse_method(text)
    settings = settings_of(method, **{"epochs": EPOCHS, **changes})
    ehr = torch.rand(len(store), columns, generator=torch.Generator().manual_seed(columns)) if columns else None
    targets = torch.rand(len(store), 14, generator=torch.Generator().manual_seed(9)).round()
    studies = np.arange(len(store)) // 2 if changes.get("positives") == "same-study" else None
    data = PretrainData(store, np.arange(len(store)), ehr, targets if method.needs_labels else None, studies)
    step = create_step(method, BACKBONE, settings, columns, seed=1)
    (folder / text).mkdir(parents=True, exist_ok=True)
    return Pretraining(step, data, settings, 1, CheckpointPolicy(folder / text / "run", "f", 1e9), text)


def _runs(store, folder, methods=MSN, **changes) -> list[Pretraining]:
    return [_run(store, folder, text, columns, **changes) for text, columns in methods.items()]


def _pack(members, **options) -> Pack:
    return Pack(members, "a pack", 1e9, **options)


def _alone(store, folder, methods=MSN, **changes) -> list[Pretraining]:
    runs = _runs(store, folder, methods, **changes)
    for run in runs:
        run.run()
    return runs


def _history(run):
    return [{name: value for name, value in row.items() if name not in TIMES} for row in run.standing.history]


def _assert_equal(run: Pretraining, expected: Pretraining) -> None:
    """The same to the bit: curves, weights, moving averages of the weights and of the gradients."""
    assert _history(run) == _history(expected)
    ours, theirs = (one.step.state_dict() for one in (run, expected))
    assert [name for name, value in theirs.items() if not torch.equal(ours[name], value)] == []
    states = [one.optimizer.state_dict()["state"] for one in (run, expected)]
    for index, state in states[1].items():
        assert all(torch.equal(states[0][index][name], value) for name, value in state.items()), index


def _stop_after(run: Pretraining, steps: int) -> None:
    """Ask the process to stop once a run has taken so many steps."""
    original, taken = run.optimise, iter(range(1, 1000))

    def optimise(*given):
        original(*given)
        if next(taken) == steps:
            os.kill(os.getpid(), signal.SIGTERM)

    run.optimise = optimise


@pytest.mark.parametrize(
    ("methods", "changes"),
    [
        (MSN, {}),
        ({"msn": 0, "msn+ehr(age)": 1}, {"accumulate": 2}),
        ({"msn": 0, "msn+ehr(age)": 1}, {"positives": "same-study", "target_queue": 16}),
        ({"dino": 0, "dino+ehr(sex)": 2}, {}),
        ({"mae": 0, "mae+ehr(age)": 1}, {}),
    ],
    ids=["MSN", "in parts", "positives of the study", "DINO", "MAE"],
)
def test_a_pack_ends_as_separate_runs_to_the_bit(store, tmp_path, methods, changes):
    expected = _alone(store, tmp_path / "alone", methods, **changes)
    together = _runs(store, tmp_path / "pack", methods, **changes)
    pack = _pack(together)
    pack.run()
    assert pack.failed == {}
    for run, alone in zip(together, expected, strict=True):
        _assert_equal(run, alone)
        assert run.standing.together == len(methods)


def test_views_are_made_once_a_step_for_all(store, tmp_path, monkeypatch):
    runs = _runs(store, tmp_path, {"msn": 0, "msn+ehr(age)": 1})
    looked = []
    for run in runs:
        original = run.step.look
        monkeypatch.setattr(run.step, "look", lambda *given, own=original: looked.append(1) or own(*given))
    _pack(runs).run()
    assert len(looked) == STEPS


@pytest.mark.parametrize("stop_after", [5, 7])
def test_a_pack_stopped_at_any_step_goes_on_together_or_apart(store, alone, tmp_path, stop_after):
    stopped = _runs(store, tmp_path / "pack")
    _stop_after(stopped[1], stop_after)
    with pytest.raises(StoppedBySignal):
        _pack(stopped).run()
    again = _runs(store, tmp_path / "pack")
    assert {run.standing.place for run in again} == {stopped[0].standing.place}
    again[-1].run()  # one of them alone
    _pack(again[:-1]).run()
    for run, expected in zip(again, alone, strict=True):
        _assert_equal(run, expected)


def test_runs_that_stand_apart_are_brought_together(store, alone, tmp_path):
    for text, columns, steps in (("msn", 0, 7), ("msn+ehr(sex)", 2, 3)):
        ahead = _run(store, tmp_path / "pack", text, columns)
        _stop_after(ahead, steps)
        with pytest.raises(StoppedBySignal):
            ahead.run()
    together = _runs(store, tmp_path / "pack")
    assert len({run.standing.place for run in together}) == 3
    _pack(together).run()
    for run, expected in zip(together, alone, strict=True):
        _assert_equal(run, expected)


def test_a_run_may_join_later(store, alone, tmp_path):
    together = _runs(store, tmp_path / "pack")
    arrivals = iter([[], together[1:2], together[2:]])
    pack = _pack(together[:1], joining=lambda: next(arrivals, []))
    pack.run()
    assert pack.members == together
    for run, expected in zip(together, alone, strict=True):
        _assert_equal(run, expected)


def test_a_run_whose_loss_is_not_finite_takes_no_other_with_it(store, alone, tmp_path):
    together = _runs(store, tmp_path / "pack")
    broken = together[1]
    original, taken = broken.optimise, iter(range(1, 1000))

    def optimise(*given):
        if next(taken) == 8:
            with torch.no_grad():
                broken.step.network.prototypes.fill_(math.nan)
        original(*given)

    broken.optimise = optimise
    pack = _pack(together)
    pack.run()
    assert [run.description for run in pack.failed] == ["msn+g"]
    assert "msn+g: the loss is nan at epoch 2, step 3" in str(pack.failed[broken])
    for run, expected in zip(together, alone, strict=True):
        if run is not broken:
            _assert_equal(run, expected)
    mended = _run(store, tmp_path / "pack", "msn+g", 0)  # what broke it was not in its checkpoint
    assert mended.standing.place == (1, 0)
    mended.run()
    _assert_equal(mended, alone[1])


def test_a_run_that_stops_early_leaves_the_pack(store, tmp_path):
    patience = {"early_stop_patience": 1, "early_stop_min_delta": 0.02, "epochs": 4}
    two = {"msn": 0, "msn+ehr(sex)": 2}
    expected = _alone(store, tmp_path / "alone", two, **patience)
    together = _runs(store, tmp_path / "pack", two, **patience)
    _pack(together).run()
    assert len({len(run.standing.history) for run in expected}) > 1, "all stop at once: nothing is tested"
    for run, alone in zip(together, expected, strict=True):
        _assert_equal(run, alone)


def test_each_runs_time_is_its_part_of_the_packs(store, tmp_path):
    runs = _runs(store, tmp_path, {"msn": 0, "msn+g": 0})
    _pack(runs).run()
    speeds = {row["images_per_second"] for run in runs for row in run.standing.history}
    assert len(speeds) == EPOCHS  # equal parts of each epoch


@pytest.mark.parametrize("change", [{"mask_ratio": 0.5}, {"batch_size": 4}], ids=["masks", "batches"])
def test_runs_that_see_something_else_are_refused(store, tmp_path, change):
    with pytest.raises(ValueError, match=r"msn and msn\+g differ in seed, settings"):
        _pack([_run(store, tmp_path, "msn", 0), _run(store, tmp_path, "msn+g", 0, **change)])
