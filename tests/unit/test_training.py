"""Training: schedules, a run that can be stopped anywhere, controls that see the same pixels."""

import math
import os
import signal

import numpy as np
import pyarrow as pa
import pytest
import torch

from mmsn.checkpoint import load_checkpoint
from mmsn.errors import StoppedBySignal, UserError
from mmsn.files import write_table
from mmsn.images.share import Share
from mmsn.images.store import PixelStore
from mmsn.methods import Method
from mmsn.presets import preset_values
from mmsn.training.data import PretrainData, load_data
from mmsn.training.loop import CheckpointPolicy, Pretraining
from mmsn.training.monitor import collapse_warning, feature_spread, rankme
from mmsn.training.optimizer import create_optimizer
from mmsn.training.schedule import learning_rate, stops_early, target_momentum
from mmsn.training.settings import BackboneSettings, PretrainSettings
from mmsn.training.steps.create import create_step

BACKBONE = BackboneSettings(
    title="tiny",
    architecture="vit_tiny_patch16_224",
    options={"img_size": 16, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2},
)


def _settings(**changes):
    small = {"views": {"random_size": 16, "focal_size": 8, "focal_views": 2}, "prototypes": 8, "batch_size": 8}
    return PretrainSettings(**{**preset_values("paper", "pretrain"), **small, "epochs": 3, **changes})


@pytest.fixture
def store(tmp_path):
    random = np.random.default_rng(0)
    np.save(tmp_path / "p10.npy", random.integers(0, 256, (40, 20, 20), dtype=np.uint8))
    ids = [f"d{i:02d}" for i in range(40)]
    index = {"dicom_id": ids, "subject_id": list(range(40)), "shard": ["p10"] * 40, "row": list(range(40))}
    write_table(tmp_path / "index.parquet", pa.table(index))
    return PixelStore(tmp_path)


def _data(store, ehr=None):
    return PretrainData(store, np.arange(len(store)), ehr)


def _pretraining(store, tmp_path, method="msn", seconds=1e9, ehr=None, **changes):
    settings = _settings(**changes)
    columns = 0 if ehr is None else ehr.shape[1]
    model = create_step(Method(method), BACKBONE, settings, columns, seed=1)
    policy = CheckpointPolicy(tmp_path / "run.safetensors", "f", seconds)
    return Pretraining(model, _data(store, ehr), settings, 1, policy, "test")


def _without_speed(history):
    return [{k: v for k, v in row.items() if k not in ("images_per_second", "peak_memory_gb")} for row in history]


def test_cosine_per_epoch_is_torchs_cosine_annealing():
    settings = _settings(epochs=10, learning_rate=1e-4)
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([parameter], lr=1e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)
    for epoch in range(10):
        assert learning_rate(settings, epoch, 3, 5) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        scheduler.step()


def test_per_step_schedule_warms_up_and_ends_near_zero():
    settings = _settings(schedule="cosine-per-step", warmup_epochs=2, epochs=10, learning_rate=1.0)
    rates = [learning_rate(settings, epoch, step, 5) for epoch in range(10) for step in range(5)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert np.argmax(rates) == 9 or np.argmax(rates) == 10
    assert rates[-1] < 0.01
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_momentum_runs_from_start_to_end():
    settings = _settings(ema_momentum=0.996, ema_momentum_end=1.0, epochs=4)
    assert target_momentum(settings, 0, 0, 5) == pytest.approx(0.996)
    assert target_momentum(settings, 3, 4, 5) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("losses", "stops"),
    [([5, 4, 3, 2, 1], False), ([5, 5, 5, 5], True), ([5, 4, 4, 4.5, 3.9], False), ([1, 2, 3, 4], True), ([], False)],
)
def test_early_stop_waits_for_patience(losses, stops):
    assert stops_early(losses, patience=3, min_delta=1e-5) == stops
    assert not stops_early(losses, patience=0, min_delta=1e-5)


def test_rankme_counts_dimensions_that_are_used():
    torch.manual_seed(0)
    assert rankme(torch.randn(2000, 16)) == pytest.approx(16, rel=0.01)
    assert rankme(torch.randn(2000, 1) @ torch.randn(1, 16)) == pytest.approx(1, abs=0.01)
    assert feature_spread(torch.randn(2000, 16)) == pytest.approx(1 / 4, rel=0.05)
    assert feature_spread(torch.ones(10, 16)) == pytest.approx(0, abs=1e-9)


def test_a_collapse_is_warned_of_with_what_to_change():
    settings = _settings(prototypes=64, batch_size=64)
    assert "lower pretrain.learning_rate" in collapse_warning(settings, 60.0, 1.2, 128)
    assert "lower pretrain.prototypes" in collapse_warning(settings, 2.0, 50.0, 128)
    assert collapse_warning(settings, 40.0, 50.0, 128) is None


def test_corrected_spares_norms_biases_positions_and_prototypes_from_decay():
    model = create_step(Method("msn"), BACKBONE, _settings(), 0, 0)
    released = create_optimizer(model, _settings(decay_exclusions=False))
    assert [group["weight_decay"] for group in released.param_groups] == [1e-3]
    corrected = create_optimizer(model, _settings(decay_exclusions=True))
    decayed, spared = corrected.param_groups
    assert spared["weight_decay"] == 0
    assert any(p is model.network.prototypes for p in spared["params"])
    assert any(p is model.encoder.pos_embed for p in spared["params"])
    assert all(p.ndim > 1 for p in decayed["params"])
    trained = sum(p.requires_grad for p in model.parameters())
    assert len(decayed["params"]) + len(spared["params"]) == trained


def test_training_moves_the_anchor_and_the_target_follows(store, tmp_path):
    run = _pretraining(store, tmp_path)
    start = run.step.encoder.blocks[0].mlp.fc1.weight.detach().clone()
    history = run.run()
    anchor, target = run.step.encoder, run.step.kept_encoder
    moved = (anchor.blocks[0].mlp.fc1.weight - start).norm()
    followed = (target.blocks[0].mlp.fc1.weight - start).norm()
    assert moved > 0
    assert 0 < followed < moved
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert history[-1]["step"] == 15
    assert all(math.isfinite(value) for row in history for value in row.values())


def test_equal_seeds_give_equal_runs(store, tmp_path):
    first = _pretraining(store, tmp_path / "a").run()
    second = _pretraining(store, tmp_path / "b").run()
    assert _without_speed(first) == _without_speed(second)


@pytest.mark.parametrize("stop_after", [1, 4, 5, 7, 14])
def test_a_run_stopped_at_any_step_ends_as_if_undisturbed(store, tmp_path, stop_after):
    ehr = torch.rand(40, 3)
    undisturbed = _pretraining(store, tmp_path / "a", "msn+ehr", ehr=ehr)
    expected = undisturbed.run()
    stopped = _pretraining(store, tmp_path / "b", "msn+ehr", ehr=ehr)
    steps = iter(range(1000))
    original = stopped.optimise

    def stop_at(batch):
        original(batch)
        if next(steps) + 1 == stop_after:
            os.kill(os.getpid(), signal.SIGTERM)

    stopped.optimise = stop_at
    with pytest.raises(StoppedBySignal):
        stopped.run()
    again = _pretraining(store, tmp_path / "b", "msn+ehr", ehr=ehr)
    assert _without_speed(again.run()) == _without_speed(expected)
    for name, value in undisturbed.step.state_dict().items():
        assert torch.equal(again.step.state_dict()[name], value), name


def test_a_checkpoint_of_other_settings_or_a_damaged_one_is_refused_in_a_line(store, tmp_path):
    _pretraining(store, tmp_path).run()
    path = tmp_path / "run.safetensors"
    assert load_checkpoint(path, "f") is not None
    with pytest.raises(UserError, match="other settings or inputs; delete it"):
        load_checkpoint(path, "another")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match="damaged checkpoint"):
        load_checkpoint(path, "f")


def test_a_loss_that_is_not_finite_stops_the_run(store, tmp_path):
    run = _pretraining(store, tmp_path)
    with torch.no_grad():
        run.step.network.prototypes.fill_(math.nan)
    with pytest.raises(UserError, match="the loss is nan at epoch 1, step 1"):
        run.run()


def test_more_images_a_batch_than_there_are_is_refused(store, tmp_path):
    with pytest.raises(UserError, match=r"pretrain\.batch_size: 64 is more than the 40 pretraining images"):
        _pretraining(store, tmp_path, batch_size=64)


def test_every_epoch_has_another_order_without_repetition(store):
    ehr = torch.arange(40.0)[:, None]
    share = Share(0, 8, 8)
    orders = [torch.cat([b.ehr for b in _data(store, ehr).batches(share, 0, epoch, 0)])[:, 0] for epoch in (0, 1)]
    assert not torch.equal(*orders)
    for order in orders:
        assert sorted(order.tolist()) == list(range(40))


def test_pretraining_rows_are_the_training_split_unless_released(store, tmp_path):
    ids = [f"d{i:02d}" for i in range(39, -1, -1)]  # another order than the store's
    patients = list(range(40))
    cohort = {"dicom_id": ids, "subject_id": patients, "study_id": patients, "split": ["train"] * 30 + ["test"] * 10}
    write_table(tmp_path / "images.parquet", pa.table(cohort))
    features = pa.table({"dicom_id": sorted(ids), "x": pa.array(range(40), pa.float32())})
    write_table(tmp_path / "x.parquet", features)
    method = Method("msn+ehr", "x")
    data = load_data(store, tmp_path / "images.parquet", tmp_path / "x.parquet", "train", method, 0)
    assert sorted(data.positions) == list(range(10, 40))
    assert data.ehr[:, 0].tolist() == data.positions.tolist()  # each image has its own EHR
    assert len(load_data(store, tmp_path / "images.parquet", None, "all", Method("msn"), 0)) == 40
