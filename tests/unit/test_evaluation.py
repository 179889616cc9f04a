"""Linear evaluation: frozen encoder, independent runs over shared features, every test image scored."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from sklearn.metrics import roc_auc_score

from mmsn.errors import StoppedBySignal, UserError
from mmsn.evaluation.data import LabelledImages, load_split
from mmsn.evaluation.linear import LinearEvaluation
from mmsn.evaluation.probe import Probe, masked_bce, new_head
from mmsn.evaluation.settings import LinearSettings
from mmsn.evaluation.tables import predictions_table, runs_table
from mmsn.evaluation.validation import macro_auroc
from mmsn.images.store import PixelStore
from mmsn.images.views import TestTransform
from mmsn.labels import LABELS
from mmsn.models.vit import create_encoder
from tests.unit.evaluation_parts import make_cohort

RUNS = [{"schedule": "cosine", "learning_rate": 1e-2}, {"schedule": "plateau", "learning_rate": 1e-3}]
PROTOCOL = yaml.safe_load((Path(__file__).parents[2] / "config.yaml").read_text())["linear"]["runs"]
PROTOCOL_IDS = ["cosine-0.001", "cosine-0.0005", "cosine-0.0001", "plateau-0.0005", "plateau-0.0001"]
VIEWS = {"resize": 20, "crop": 16}


def _settings(runs=RUNS, **changes):
    return LinearSettings.model_validate({"runs": runs, "views": VIEWS, "batch_size": 8, "max_epochs": 4, **changes})


@pytest.fixture
def store(tmp_path):
    make_cohort(tmp_path, unlabelled=1)
    return PixelStore(tmp_path)


def _splits(store, tmp_path):
    return {name: load_split(tmp_path / "images.parquet", store, name) for name in ("train", "validate", "test")}


def _encoder():
    torch.manual_seed(0)
    options = {"img_size": 16, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2}
    return create_encoder("vit_tiny_patch16_224", options)


def _evaluation(store, tmp_path, **settings):
    splits = _splits(store, tmp_path)
    where = tmp_path / "unfinished.safetensors"
    where.unlink(missing_ok=True)
    return LinearEvaluation(
        _encoder(), store, splits, _settings(**settings), 3, torch.device("cpu"), "test", where, "f"
    )


@pytest.mark.parametrize("stop_in_epoch", [1, 2, 3])
def test_a_stopped_evaluation_goes_on_from_its_last_epoch(store, tmp_path, stop_in_epoch):
    expected = _evaluation(store, tmp_path).run()
    stopped = _evaluation(store, tmp_path)
    original = stopped._train_epoch

    def stop_at(probes, epoch):
        if epoch == stop_in_epoch:
            os.kill(os.getpid(), signal.SIGTERM)
        original(probes, epoch)

    stopped._train_epoch = stop_at
    with pytest.raises(StoppedBySignal):
        stopped.run()
    splits = _splits(store, tmp_path)
    again = LinearEvaluation(
        _encoder(), store, splits, _settings(), 3, torch.device("cpu"), "test", stopped.checkpoint, "f"
    ).run()
    np.testing.assert_array_equal(again.test_scores, expected.test_scores)
    assert runs_table(again).equals(runs_table(expected))


def test_each_run_equals_the_same_run_trained_alone(store, tmp_path):
    few = {"max_epochs": 8, "patience": 1, "plateau_patience": 0}
    together = _evaluation(store, tmp_path, runs=PROTOCOL, **few).run()
    assert [probe.run.id for probe in together.probes] == PROTOCOL_IDS
    epochs = {probe.run.id: probe.epochs for probe in together.probes}
    stopped = [name for name, number in epochs.items() if number < 8]
    assert stopped  # so the others went on without it
    assert all(name.startswith("cosine") for name in stopped)
    assert len({epochs[name] for name in stopped}) > 1  # and not all at once
    for probe, run in zip(together.probes, PROTOCOL, strict=True):
        alone = _evaluation(store, tmp_path, runs=[run], **few).run().probes[0]
        assert (probe.best_epoch, probe.best_auroc, probe.epochs) == (alone.best_epoch, alone.best_auroc, alone.epochs)
        assert probe.optimizer.param_groups[0]["lr"] == alone.optimizer.param_groups[0]["lr"]
        alone.restore_best()
        probe.restore_best()
        torch.testing.assert_close(probe.head.weight, alone.head.weight)


def test_the_encoder_stays_as_it_was(store, tmp_path):
    evaluation = _evaluation(store, tmp_path)
    before = {name: value.clone() for name, value in evaluation.encoder.state_dict().items()}
    evaluation.run()
    assert all(torch.equal(value, before[name]) for name, value in evaluation.encoder.state_dict().items())


def test_the_best_run_on_validation_is_the_one_tested(store, tmp_path):
    result = _evaluation(store, tmp_path).run()
    assert result.chosen.best_auroc == max(probe.best_auroc for probe in result.probes)
    table = runs_table(result).to_pylist()
    assert sum(row["chosen"] for row in table) == 1
    assert max(table, key=lambda row: row["validation_auroc"])["chosen"]


def test_what_can_be_seen_is_learned(store, tmp_path):
    evaluation = _evaluation(store, tmp_path, max_epochs=30)
    result = evaluation.run()
    assert roc_auc_score(evaluation.splits["test"].targets[:, 0], result.test_scores[:, 0]) > 0.95


def test_predictions_hold_every_labelled_test_image_and_every_label(store, tmp_path):
    images = _splits(store, tmp_path)["test"]
    assert len(images) == 14  # one has no label row
    scores = np.random.default_rng(0).random((14, 14))
    table = predictions_table(images, scores).to_pandas()
    assert len(table) == 14 * 14
    one = table[(table.dicom_id == "d50") & (table.label == "Edema")].iloc[0]
    row = list(images.dicom_ids).index("d50")
    assert one.score == pytest.approx(scores[row, LABELS.index("Edema")])
    assert one.target == images.targets[row, LABELS.index("Edema")]


def test_ignored_targets_do_not_count_in_the_loss():
    logits, targets = torch.randn(5, 3), torch.randint(0, 2, (5, 3)).float()
    targets[0, 0] = targets[4, 2] = torch.nan
    known = ~targets.isnan()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits[known], targets[known])
    torch.testing.assert_close(masked_bce(logits, targets), expected)


def test_labels_without_both_classes_are_left_out_of_the_validation_score():
    random = np.random.default_rng(0)
    targets = random.integers(0, 2, (40, 3)).astype(np.float32)
    targets[:, 1] = 0
    scores = random.random((40, 3)).astype(np.float32)
    expected = np.mean([roc_auc_score(targets[:, i], scores[:, i]) for i in (0, 2)])
    assert macro_auroc(targets, scores) == pytest.approx(expected, abs=1e-12)
    with pytest.raises(UserError, match="no label has a positive and a negative"):
        macro_auroc(np.zeros((4, 2), np.float32), np.zeros((4, 2), np.float32))


def test_a_split_without_labelled_images_is_named(store, tmp_path):
    with pytest.raises(UserError, match="split nowhere has no labelled image"):
        load_split(tmp_path / "images.parquet", store, "nowhere")


def _probe(schedule, **changes):
    run = _settings([{"schedule": schedule, "learning_rate": 1.0}]).runs[0]
    return Probe(run, _settings(patience=2, plateau_patience=1, **changes), new_head(run, 4, 2, 0), torch.device("cpu"))


def test_cosine_runs_stop_early_and_plateau_runs_never():
    cosine, plateau = _probe("cosine"), _probe("plateau")
    for auroc in (0.6, 0.6, 0.6):
        cosine.close_epoch(auroc)
        plateau.close_epoch(auroc)
    assert cosine.stopped
    assert cosine.best_epoch == 1
    assert not plateau.stopped
    assert plateau.optimizer.param_groups[0]["lr"] == 0.5


def test_a_slow_steady_rise_is_no_reason_to_stop():
    probe = _probe("cosine", min_delta=0.01)
    for auroc in (0.6, 0.606, 0.612, 0.618, 0.624):
        probe.close_epoch(auroc)
    assert not probe.stopped
    assert probe.best_auroc == 0.624


def test_embeddings_are_class_tokens_of_test_views(store, tmp_path):
    evaluation = _evaluation(store, tmp_path)
    images: LabelledImages = evaluation.splits["test"]
    embedded = evaluation.embeddings(images)
    pixels = TestTransform(evaluation.settings.views)(store.batch(images.positions))
    torch.testing.assert_close(embedded, evaluation.encoder.forward_features(pixels)[:, 0])
