"""Ten optimiser steps of the `released` preset follow the released code's, built from lightly 1.4.21.

The whole training loop runs: two epochs of five steps on the reference's views, noise, EHR rows and weights.
"""

import numpy as np
import pytest
import torch

from mmsn.images.views import Views
from mmsn.training import loop
from mmsn.training.data import PretrainData
from tests.golden import drawn
from tests.unit.reference import answers, noise, reference_name, released, released_step

GOLDEN = answers("steps")
METHODS = {"msn": "msn", "msn+ehr(sex)": "msn+ehr", "dino": "dino", "mae": "mae"}
"""Our name and the reference's."""
WITHIN = {"msn": 3e-7, "msn+ehr(sex)": 3e-7, "dino": 2e-9, "mae": 2e-9}
"""Of weights that moved by 7e-4 and 7e-5; weight decay alone moved them by up to 9e-7 and 9e-9."""
IMAGES = drawn.STEPS_PER_EPOCH * drawn.IMAGES


class InOrder(PretrainData):
    """Images as they lie, in every epoch."""

    def order(self, seed, epoch):
        return torch.arange(len(self))


class Blank:
    """A store whose pixels nobody looks at, because the views are given."""

    def batch(self, positions):
        return torch.zeros(len(positions), 8, 8, dtype=torch.uint8)


class Replay:
    """Stands in for what is random: views and noise of the reference, step after step."""

    def __init__(self, dtype):
        self.step, self.dtype = -1, dtype

    def views(self, images, draws, share=None, partners=None):
        self.step += 1
        return Views(**{name: torch.from_numpy(view).to(self.dtype) for name, view in drawn.views(self.step).items()})

    def rand(self, images, patches, generator, device):
        return noise(self.step, images, patches)


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Ten steps of a method: its network afterwards, and its losses."""

    def _train(method, dtype):
        step, replay, losses = released_step(method).to(dtype), Replay(dtype), []
        if method == "dino":
            step.network.centre = step.network.centre.float()  # a part of the loss, which is float32
        step.views = replay.views
        step.register_forward_hook(lambda module, given, result: losses.append(result["loss"].item()))
        monkeypatch.setattr(torch, "rand", replay.rand)
        monkeypatch.setattr(loop, "monitored", lambda *_: {"rankme": 16.0})
        ehr = torch.from_numpy(drawn.ehr()).to(dtype) if "ehr" in method else None
        data = InOrder(Blank(), np.arange(IMAGES), ehr)
        policy = loop.CheckpointPolicy(tmp_path / "run.safetensors", "f", 1e9)
        loop.Pretraining(step, data, released(method), 1, policy, method).run()
        return step.network, losses

    return _train


@pytest.mark.parametrize("method", METHODS)
def test_ten_losses_follow_the_references(train, method):
    _, losses = train(method, torch.float32)
    assert losses == pytest.approx(GOLDEN[f"{METHODS[method]}.losses.float32"].tolist(), rel=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_ten_steps_end_at_the_references_weights(train, method):
    network, losses = train(method, torch.float64)
    assert losses == pytest.approx(GOLDEN[f"{METHODS[method]}.losses.float64"].tolist(), rel=0, abs=1e-5)
    prefix = f"{METHODS[method]}.moved."
    reference = {name: moved.double() for name, moved in GOLDEN.items() if name.startswith(prefix)}
    ours = {f"{prefix}{reference_name(name)}": _moved(name, weight) for name, weight in network.named_parameters()}
    torch.testing.assert_close(
        {name: moved for name, moved in ours.items() if moved.any()}, reference, rtol=1e-7, atol=WITHIN[method]
    )


def _moved(name, weight):
    """How far a parameter is from where it was drawn."""
    return weight.detach() - torch.from_numpy(drawn.weight(reference_name(name), tuple(weight.shape)))


def test_the_released_prototypes_never_move(train):
    network, _ = train("msn", torch.float32)
    assert not _moved("prototypes", network.prototypes).any()
    assert "msn.moved.prototypes" not in GOLDEN
