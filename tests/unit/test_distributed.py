"""Two processes with half of the images each are one process with all of them: same views, same loss, same encoder."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mmsn.errors import UserError
from mmsn.training.distributed import World
from tests.unit.one_of_several import pretrain
from tests.unit.training_parts import make_store

ROOT = Path(__file__).parents[2]


METHODS = ["msn", "msn+ehr(sex)", "dino", "mae", "supervised"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Every method, trained by one process and by two."""
    folder = tmp_path_factory.mktemp("distributed")
    make_store(folder)
    pretrain(folder, METHODS, folder / "one")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*torchrun, "--module", "tests.unit.one_of_several", str(folder), str(folder / "two"), *METHODS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("text", METHODS)
def test_two_processes_have_the_loss_curve_of_one_with_the_whole_batch(folder, text):
    one, two = (json.loads((folder / name / text / "history.json").read_text()) for name in ("one", "two"))
    for alone, together in zip(one, two, strict=True):
        for name in {"loss", "gradient_norm", "target_entropy", "rankme"} & alone.keys():
            assert together[name] == pytest.approx(alone[name], rel=1e-3), name


@pytest.mark.parametrize("text", METHODS)
def test_two_processes_end_with_the_encoder_of_one(folder, text):
    one, two = (load_file(folder / name / text / "encoder.safetensors") for name in ("one", "two"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-3)


def test_images_that_cannot_be_shared_out_evenly_are_refused():
    with pytest.raises(UserError, match="64 images cannot be split over 3 processes"):
        World(0, 3).share(64)
