"""Pretraining that is killed without warning, twenty times, ends with the encoder and history of an undisturbed run."""

import json
import multiprocessing
import random

import torch
from safetensors.torch import load_file

from mmsn.methods import parse_method
from mmsn.sealed import write_sealed
from mmsn.training.data import PretrainData
from mmsn.training.loop import CheckpointPolicy, Pretraining
from mmsn.training.steps.create import create_step
from tests.unit.training_parts import BACKBONE, make_store, settings_of

KILLS = 20
CHANGING = ("images_per_second", "peak_memory_gb")  # not what was learnt, but how


def _pretrain(store, out):
    """A run of 300 steps that saves itself after each, as a job does that has little time."""
    torch.set_num_threads(1)
    method = parse_method("msn+ehr(sex)")
    settings = settings_of(method, epochs=60, target_queue=16, early_stop_patience=0)
    data = PretrainData(store, torch.arange(40).numpy(), torch.rand(40, 3, generator=torch.Generator().manual_seed(1)))
    step = create_step(method, BACKBONE, settings, 3, seed=1)
    history = Pretraining(step, data, settings, 1, CheckpointPolicy(out / "checkpoint", "f", 0.0), "run").run()
    write_sealed(out / "encoder.safetensors", step.kept_encoder.state_dict(), {})
    (out / "history.json").write_text(json.dumps(history))


def _killed_at_random(store, out, kills):
    """Start the run, kill it at a random moment, start it again, until it has died `kills` times; then let it end."""
    moments = random.Random(0)
    processes = multiprocessing.get_context("fork")
    died = 0
    while not (out / "history.json").exists():
        child = processes.Process(target=_pretrain, args=(store, out))
        child.start()
        child.join(moments.uniform(0.02, 0.4) if died < kills else None)
        if child.is_alive():
            child.kill()
            child.join()
            died += 1
    return died


def test_a_run_killed_twenty_times_ends_bit_identical(tmp_path):
    torch.set_num_threads(1)  # before the fork: a pool of threads does not survive it
    store = make_store(tmp_path)
    for name in ("undisturbed", "killed"):
        (tmp_path / name).mkdir()
    _pretrain(store, tmp_path / "undisturbed")
    assert _killed_at_random(store, tmp_path / "killed", KILLS) == KILLS
    histories = [json.loads((tmp_path / name / "history.json").read_text()) for name in ("undisturbed", "killed")]
    for one, other in zip(*histories, strict=True):
        assert {k: v for k, v in one.items() if k not in CHANGING} == {
            k: v for k, v in other.items() if k not in CHANGING
        }
    encoders = [load_file(tmp_path / name / "encoder.safetensors") for name in ("undisturbed", "killed")]
    for name, value in encoders[0].items():
        assert torch.equal(encoders[1][name], value), name
    left = {path.name for path in (tmp_path / "killed").iterdir()}
    assert left == {"checkpoint", "encoder.safetensors", "history.json"}  # half-written checkpoints do not pile up
