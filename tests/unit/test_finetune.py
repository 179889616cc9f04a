"""Fine-tuning: encoder and head trained together, run after run, taken up again where it was stopped."""

import os
import signal

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from mmsn.errors import StoppedBySignal, UserError
from mmsn.evaluation.classifier import Classifier, FineTuned, parameter_groups
from mmsn.evaluation.data import load_split
from mmsn.evaluation.finetune import FineTuning
from mmsn.evaluation.probe import new_head
from mmsn.evaluation.tables import runs_table
from mmsn.images.store import PixelStore
from mmsn.models.supervised import masked_bce
from mmsn.models.vit import class_embedding
from tests.unit.evaluation_parts import RUNS, finetune_settings, make_cohort, small_encoder

CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path):
    return make_cohort(tmp_path)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What every run that is stopped and taken up again has to end with."""
    return _tuning(make_cohort(tmp_path_factory.mktemp("undisturbed"))).run()


def _tuning(folder, checkpoint="unfinished.safetensors", seconds=120.0, encoder=None, **settings):
    store = PixelStore(folder)
    splits = {name: load_split(folder / "images.parquet", store, name) for name in ("train", "validate", "test")}
    where = CPU, "test", folder / checkpoint, "f", seconds
    return FineTuning(encoder or small_encoder(), store, splits, finetune_settings(**settings), 3, *where)


def _stop_at(tuning, run, epoch, step):
    """Send SIGTERM before the given step of a run."""
    original = tuning._save_if_due

    def save_if_due(trial):
        if (len(tuning._records), trial.epochs, tuning._step) == (run, epoch, step):
            os.kill(os.getpid(), signal.SIGTERM)
        original(trial)

    tuning._save_if_due = save_if_due


@pytest.mark.parametrize(("run", "epoch", "step"), [(0, 0, 2), (0, 1, 4), (0, 3, 0), (1, 0, 1), (1, 2, 3)])
def test_stopped_anywhere_it_ends_as_if_undisturbed(folder, undisturbed, run, epoch, step):
    stopped = _tuning(folder)
    _stop_at(stopped, run, epoch, step)
    with pytest.raises(StoppedBySignal):
        stopped.run()
    again = _tuning(folder).run()
    np.testing.assert_array_equal(again.test_scores, undisturbed.test_scores)
    assert runs_table(again).equals(runs_table(undisturbed))


def test_a_backbones_own_dropout_is_taken_up_again_too(folder):
    expected = _tuning(folder, "undisturbed", encoder=small_encoder(proj_drop_rate=0.2)).run()
    stopped = _tuning(folder, encoder=small_encoder(proj_drop_rate=0.2))
    _stop_at(stopped, 0, 1, 2)
    with pytest.raises(StoppedBySignal):
        stopped.run()
    again = _tuning(folder, encoder=small_encoder(proj_drop_rate=0.2)).run()
    np.testing.assert_array_equal(again.test_scores, expected.test_scores)


def test_a_job_killed_without_warning_goes_on_from_its_last_save(folder, undisturbed):
    killed = _tuning(folder, seconds=0.0)
    original = killed._close_epoch

    def killed_in_the_second_run(trial):
        if len(killed._records) == 1 and trial.epochs == 1:
            raise KeyboardInterrupt
        original(trial)

    killed._close_epoch = killed_in_the_second_run
    with pytest.raises(KeyboardInterrupt):
        killed.run()
    again = _tuning(folder)
    resumed = again._taken_up()
    assert resumed is not None
    assert (resumed.run.id, resumed.epochs, again._step) == ("plateau-0.0005", 1, 4)
    np.testing.assert_array_equal(_tuning(folder).run().test_scores, undisturbed.test_scores)


def test_another_jobs_checkpoint_is_refused(folder):
    stopped = _tuning(folder)
    _stop_at(stopped, 0, 0, 1)
    with pytest.raises(StoppedBySignal):
        stopped.run()
    other = _tuning(folder)
    other.fingerprint = "another"
    with pytest.raises(UserError, match="checkpoint of other settings or inputs"):
        other.run()


def test_each_run_equals_the_same_run_trained_alone(folder, undisturbed):
    together = undisturbed
    alone = [_tuning(folder, f"alone{number}", runs=[run]).run() for number, run in enumerate(RUNS)]
    assert together.records == tuple(result.records[0] for result in alone)
    best = max(alone, key=lambda result: result.records[0].best_auroc)
    np.testing.assert_array_equal(together.test_scores, best.test_scores)


def test_the_best_run_on_validation_is_the_one_tested(undisturbed):
    table = runs_table(undisturbed).to_pylist()
    assert sum(row["chosen"] for row in table) == 1
    assert max(table, key=lambda row: row["validation_auroc"])["chosen"]


def test_the_encoder_is_trained_and_what_can_be_seen_is_learned(folder):
    tuning = _tuning(folder, max_epochs=12, runs=[{"schedule": "cosine", "learning_rate": 2e-3}], patience=12)
    before = {name: value.clone() for name, value in tuning.encoder.state_dict().items()}
    result = tuning.run()
    moved = [not torch.equal(value, before[name]) for name, value in tuning.encoder.state_dict().items()]
    assert all(moved)
    assert roc_auc_score(tuning.splits["test"].targets[:, 0], result.test_scores[:, 0]) > 0.95


def test_heads_start_as_those_of_the_linear_protocol(folder):
    settings = finetune_settings()
    tuned = FineTuned(settings.runs[0], settings, small_encoder(), 14, 3, CPU)
    head = new_head(settings.runs[0], 16, 14, 3)
    assert torch.equal(tuned.model.head.weight, head.linear.weight)


def test_a_step_is_adam_without_weight_decay_on_every_parameter():
    settings, encoder = finetune_settings(), small_encoder()
    tuned = FineTuned(settings.runs[0], settings, encoder, 14, 3, CPU)
    twin = Classifier(small_encoder(), nn.Linear(16, 14))
    twin.load_state_dict(tuned.model.state_dict())
    adam = torch.optim.Adam(twin.parameters(), lr=1e-3)
    views, targets = torch.randn(4, 3, 16, 16), torch.randint(0, 2, (4, 14)).float()
    targets[0, 0] = torch.nan
    tuned.learn(views, targets)
    masked_bce(twin.head(class_embedding(twin.encoder, views)), targets).backward()
    adam.step()
    for name, value in twin.state_dict().items():
        torch.testing.assert_close(tuned.model.state_dict()[name], value, msg=name)


def test_layer_decay_lowers_the_rate_block_by_block():
    model = Classifier(small_encoder(), nn.Linear(16, 14))
    rates = {}
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for group in parameter_groups(model, 1.0, 0.5):
        rates |= {names[id(parameter)]: group["lr"] for parameter in group["params"]}
    assert set(rates) == set(names.values())
    assert rates["head.weight"] == rates["encoder.norm.weight"] == 1.0
    assert [rates[f"encoder.blocks.{block}.mlp.fc1.weight"] for block in range(3)] == [0.125, 0.25, 0.5]
    assert rates["encoder.patch_embed.proj.weight"] == rates["encoder.pos_embed"] == 0.0625


def test_without_layer_decay_there_is_one_rate_as_published():
    (group,) = parameter_groups(Classifier(small_encoder(), nn.Linear(16, 14)), 1e-3, 1.0)
    assert group["lr"] == 1e-3


def test_schedules_scale_every_layers_rate_alike():
    settings = finetune_settings(
        runs=[{"schedule": "plateau", "learning_rate": 1.0}], layer_decay=0.5, plateau_patience=0
    )
    tuned = FineTuned(settings.runs[0], settings, small_encoder(), 14, 3, CPU)
    before = [group["lr"] for group in tuned.optimizer.param_groups]
    for auroc in (0.6, 0.5):
        tuned.close_epoch(auroc)
    assert [group["lr"] for group in tuned.optimizer.param_groups] == [rate / 2 for rate in before]


def _spoil(tuning, run_ids):
    """Let some runs diverge: their scores are NaN."""
    original = tuning._scores

    def scores(trial, split):
        values = original(trial, split)
        return values * np.nan if trial.run.id in run_ids else values

    tuning._scores = scores


def test_a_run_that_diverges_ends_and_another_is_chosen(folder):
    tuning = _tuning(folder)
    _spoil(tuning, {"cosine-0.001"})
    result = tuning.run()
    diverged, other = runs_table(result).to_pylist()
    assert (diverged["epochs"], diverged["validation_auroc"], diverged["chosen"]) == (1, None, False)
    assert other["chosen"]
    assert np.isfinite(result.test_scores).all()


def test_nothing_but_diverged_runs_is_one_clear_line(folder):
    tuning = _tuning(folder)
    _spoil(tuning, {"cosine-0.001", "plateau-0.0005"})
    with pytest.raises(UserError, match="no run gave finite scores; lower the learning rates"):
        tuning.run()
