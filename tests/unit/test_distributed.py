"""Two processes with half of the images each are one process with all of them: same views, same loss, same encoder."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
import torch
import yaml
from safetensors.torch import load_file

from mmsn.errors import UserError
from mmsn.files import write_table
from mmsn.methods import parse_method
from mmsn.training.distributed import World
from tests.unit.one_of_several import pretrain
from tests.unit.training_parts import BACKBONE, make_store, settings_of

ROOT = Path(__file__).parents[2]


METHODS = ["msn", "msn+ehr(sex)", "dino", "dino, sinkhorn", "mae", "supervised"]


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


def test_the_command_starts_itself_under_torchrun(tmp_path):
    make_store(tmp_path)
    ids = [f"d{i:02d}" for i in range(40)]
    rows = {"dicom_id": ids, "subject_id": range(40), "study_id": range(40), "split": ["train"] * 40}
    write_table(tmp_path / "rows.parquet", pa.table({name: list(values) for name, values in rows.items()}))
    outputs = {"encoder": "encoder.safetensors", "history": "h.parquet", "resolved": "r.yaml", "card": "model_card.md"}
    settings = settings_of(parse_method("dino"), epochs=1)
    options = {
        "method": "dino",
        "seed": "0",
        "processes": "2",
        "threads": "2",
        "store": str(tmp_path),
        "backbone": BACKBONE.model_dump_json(),
        "settings": settings.model_dump_json(),
        "images": str(tmp_path / "rows.parquet"),
        "checkpoint": str(tmp_path / "unfinished.safetensors"),
        **{f"output-{name}": str(tmp_path / file) for name, file in outputs.items()},
        "tensorboard": str(tmp_path / "tensorboard"),
        "log": str(tmp_path / "log"),
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    command = [sys.executable, "-m", "mmsn", "pretrain", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load((tmp_path / "r.yaml").read_text())["processes"] == 2
    assert 'checkpoint_path="encoder.safetensors"' in (tmp_path / "model_card.md").read_text()
    assert (tmp_path / "log").read_text().count("epoch 1 of 1") == 1  # one of them speaks
    assert list((tmp_path / "tensorboard").glob("events.out.tfevents.*"))
    assert not (tmp_path / "unfinished.safetensors").exists()
