"""Heads that read more than the class token, the EHR beside the image and alone, and cached augmentations."""

import json

import numpy as np
import pyarrow as pa
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from timm.layers.attention_pool import AttentionPoolLatent
from torch import nn
from typer.testing import CliRunner

from mmsn.cli import app
from mmsn.errors import StoppedBySignal, UserError
from mmsn.evaluation.data import load_split
from mmsn.evaluation.ehr_only import fit_and_score
from mmsn.evaluation.finetune import FineTuning
from mmsn.evaluation.linear import LinearEvaluation
from mmsn.evaluation.readings import CLASS, Reading, ReadingHead, Seen, make_head
from mmsn.evaluation.records import load_records
from mmsn.evaluation.settings import LinearSettings
from mmsn.files import read_table, write_table
from mmsn.images.store import PixelStore
from mmsn.labels import LABELS
from tests.unit.evaluation_parts import RUNS, evaluation_files, finetune_settings, make_cohort, small_encoder

CPU = torch.device("cpu")
NOISE = 3
"""A label that the pixels say nothing of; the feature set `oracle` tells it."""
SEX = Reading("class", "sex")
EVERY = (CLASS, Reading("class+mean"), Reading("attentive"), SEX)


@pytest.fixture
def folder(tmp_path):
    make_cohort(tmp_path)
    sex = np.arange(60) % 2  # says nothing of any label
    noise = read_table(tmp_path / "images.parquet")[LABELS[NOISE]].to_numpy()
    ids = [f"d{i:02d}" for i in reversed(range(60))]  # another order than the cohort's
    _features(tmp_path / "sex.parquet", ids, {"male": sex[::-1], "female": 1 - sex[::-1]})
    _features(tmp_path / "oracle.parquet", ids, {"told": noise[::-1]})
    return tmp_path


def _features(path, ids, columns):
    table = {"dicom_id": ids, **{name: np.asarray(values, np.float32) for name, values in columns.items()}}
    write_table(path, pa.table(table))


def _settings(**changes):
    views = {"resize": 20, "crop": 16}
    return LinearSettings.model_validate({"runs": RUNS, "views": views, "batch_size": 8, "max_epochs": 4, **changes})


def _splits(folder):
    store = PixelStore(folder)
    return {name: load_split(folder / "images.parquet", store, name) for name in ("train", "validate", "test")}


def _evaluation(folder, readings=(CLASS,), checkpoint="unfinished.safetensors", **settings):
    store, splits = PixelStore(folder), _splits(folder)
    tables = {name: folder / f"{name}.parquet" for name in {r.feature_set for r in readings} - {None}}
    records = load_records(tables, folder / "images.parquet", splits)
    where = small_encoder(), store, splits, _settings(**settings), 3, CPU, "test", folder / checkpoint, "f"
    return LinearEvaluation(*where, readings=readings, records=records)


def _same(one, other):
    np.testing.assert_allclose(one.test_scores, other.test_scores, atol=1e-6)
    assert one.chosen_record.run == other.chosen_record.run


def test_a_reading_trained_beside_others_equals_itself_trained_alone(folder):
    together = _evaluation(folder, EVERY).run_all()
    for number, reading in enumerate(EVERY):
        _same(together[reading], _evaluation(folder, (reading,), f"{number}.safetensors").run_all()[reading])


def test_heads_read_what_they_say(folder):
    tokens, record = torch.randn(5, 4, 6), torch.rand(5, 2)
    seen = Seen(tokens, {"sex": record})
    linear = nn.Linear(12, 3)
    both = torch.cat([tokens[:, 0], tokens[:, 1:].mean(1)], 1)
    torch.testing.assert_close(ReadingHead(Reading("class+mean"), linear)(seen), linear(both))
    linear = nn.Linear(8, 3)
    torch.testing.assert_close(ReadingHead(SEX, linear)(seen), linear(torch.cat([tokens[:, 0], record], 1)))
    head = make_head(Reading("attentive"), 6, 2, 0, 3)
    assert isinstance(head.pool, AttentionPoolLatent)
    torch.testing.assert_close(head(seen), head.linear(head.pool(tokens)))


def test_an_attentive_head_trains_its_query_and_sees_every_patch():
    head = make_head(Reading("attentive"), 6, 2, 0, 3)
    tokens = torch.randn(5, 4, 6, requires_grad=True)
    head(Seen(tokens, {})).sum().backward()
    assert (tokens.grad.abs().sum((0, 2)) > 0).all()
    assert head.pool.latent.grad.abs().sum() > 0


def test_the_record_of_an_image_is_found_by_its_id_not_by_its_row(folder):
    store = PixelStore(folder)
    splits = {"test": load_split(folder / "images.parquet", store, "test")}
    found = load_records({"oracle": folder / "oracle.parquet"}, folder / "images.parquet", splits)
    assert torch.equal(found["test"]["oracle"][:, 0], torch.from_numpy(splits["test"].targets[:, NOISE]))


def test_a_feature_table_without_an_image_is_one_clear_line(folder):
    _features(folder / "sex.parquet", ["d00"], {"male": [1.0]})
    with pytest.raises(UserError, match=r"sex\.parquet: 29 images have no row here"):
        _evaluation(folder, (SEX,))


def _one_label(splits):
    """Every label is the one that pixels say nothing of, so that the best epoch is chosen by it."""
    for part in splits.values():
        part.targets[:] = part.targets[:, [NOISE]]
    return splits


def test_a_record_that_tells_what_pixels_do_not_is_used_by_frozen_heads(folder):
    told = Reading("class", "oracle")
    runs = [{"schedule": "cosine", "learning_rate": 3e-2}]
    evaluation = _evaluation(folder, (CLASS, told), runs=runs, max_epochs=20, patience=20)
    truth = _one_label(evaluation.splits)["test"].targets
    results = evaluation.run_all()
    assert roc_auc_score(truth, results[told].test_scores) > 0.95
    assert roc_auc_score(truth, results[CLASS].test_scores) < 0.8


def test_a_record_that_tells_what_pixels_do_not_is_used_by_fine_tuned_heads(folder):
    runs = [{"schedule": "cosine", "learning_rate": 1e-2}]
    splits = _one_label(_splits(folder))
    records = load_records({"ehr": folder / "oracle.parquet"}, folder / "images.parquet", splits)
    auroc = {}
    for name, ehr in (("told", {split: tables["ehr"] for split, tables in records.items()}), ("alone", None)):
        tuned = FineTuning(
            *(small_encoder(), PixelStore(folder), splits, finetune_settings(runs, max_epochs=12, patience=12), 3, CPU),
            *("test", folder / f"{name}.safetensors", "f"),
            ehr=ehr,
        ).run()
        auroc[name] = roc_auc_score(splits["test"].targets, tuned.test_scores)
    assert auroc["told"] > 0.9
    assert auroc["alone"] < 0.8


def test_a_bank_of_as_many_augmentations_as_epochs_is_exact(folder):
    exact = _evaluation(folder, (CLASS,), "a.safetensors").run()
    banked = _evaluation(folder, (CLASS,), "b.safetensors", bank=4).run()
    np.testing.assert_array_equal(banked.test_scores, exact.test_scores)


def test_a_bank_embeds_each_training_image_no_more_often_than_it_is_wide(folder):
    evaluation = _evaluation(folder, (CLASS,), bank=2, max_epochs=12, patience=12)
    seen = []
    original = evaluation.batches.training
    object.__setattr__(evaluation.batches, "training", lambda *given: seen.append(given[1]) or original(*given))
    result = evaluation.run()
    assert seen == [0, 1]
    assert all(record.epochs == 12 for record in result.records)


def test_epochs_beyond_the_bank_mix_its_augmentations_and_no_other_ones(folder):
    evaluation = _evaluation(folder, (CLASS,), bank=2)
    first = [torch.cat([s.tokens for s, _ in evaluation.sight.training(e)])[:, 0] for e in (0, 1)]
    orders = [np.concatenate(list(evaluation.batches.rows(evaluation.splits["train"], e))) for e in (0, 1, 2)]
    later = torch.cat([seen.tokens for seen, _ in evaluation.sight.training(2)])[:, 0]
    of_image = [{row: first[e][place] for place, row in enumerate(orders[e])} for e in (0, 1)]
    chosen = [[torch.equal(later[i], of[row]) for of in of_image] for i, row in enumerate(orders[2])]
    assert all(sum(one) == 1 for one in chosen)
    assert 0 < sum(one[0] for one in chosen) < len(chosen)


@pytest.mark.parametrize("bank", [0, 2])
def test_a_stopped_evaluation_of_several_readings_goes_on(folder, bank):
    readings = (CLASS, SEX)
    expected = _evaluation(folder, readings, "a.safetensors", bank=bank).run_all()
    stopped = _evaluation(folder, readings, "b.safetensors", bank=bank)
    original = stopped._train_epoch

    def stop_at(probes, epoch):
        if epoch == 3:
            raise StoppedBySignal("test")
        original(probes, epoch)

    stopped._train_epoch = stop_at
    with pytest.raises(StoppedBySignal):
        stopped.run_all()
    again = _evaluation(folder, readings, "b.safetensors", bank=bank).run_all()
    for reading in readings:
        np.testing.assert_array_equal(again[reading].test_scores, expected[reading].test_scores)


def test_the_floor_is_the_maximum_likelihood_of_each_label():
    random = np.random.default_rng(0)
    train = random.integers(0, 2, (400, 3)).astype(np.float32)
    chance = 1 / (1 + np.exp(-(train @ [1.0, -1.0, 0.5])))
    targets = (random.random((2, 400)) < chance).T.astype(np.float32)
    targets[:50, 0] = np.nan
    targets[:, 1] = 0  # cannot be taught
    scores = fit_and_score(train, targets, train[:20])
    known = ~np.isnan(targets[:, 0])
    plain = LogisticRegression(C=np.inf, max_iter=1000, tol=1e-8).fit(train[known], targets[known, 0])
    np.testing.assert_allclose(scores[:, 0], plain.predict_proba(train[:20])[:, 1], atol=1e-3)
    assert (scores[:, 1] == 0).all()


def test_the_verbs_write_one_row_an_image_label_and_reading(folder):
    files = evaluation_files(folder, "readings")
    wanted = [{"tokens": "class+mean"}, {"tokens": "class", "feature_set": "sex"}]
    common = ["--images", str(files.images), "--store", str(folder)]
    arguments = [
        *("evaluate", "readings", "--encoder", str(files.encoder), *common),
        *("--settings", _settings(max_epochs=2).model_dump_json(), "--readings", json.dumps(wanted), "--seed", "0"),
        *("--features", json.dumps({"sex": str(folder / "sex.parquet")}), "--bank", "1", "--device", "cpu"),
        *("--output-predictions", str(files.predictions), "--output-runs", str(files.runs)),
        *("--checkpoint", str(files.checkpoint)),
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    table = read_table(files.predictions).to_pandas()
    assert set(table["reading"]) == {"class+mean", "class+ehr.sex", "bank"}
    assert (table.groupby("reading").size() == 15 * len(LABELS)).all()
    assert not list(folder.glob("readings-unfinished*"))
    floor = folder / "floor.parquet"
    arguments = ["evaluate", "ehr-only", "--features", str(folder / "sex.parquet"), *common]
    result = CliRunner().invoke(app, [*arguments, "--output-predictions", str(floor)])
    assert result.exit_code == 0, result.output
    assert len(read_table(floor)) == 15 * len(LABELS)
    assert len(read_table(floor).to_pandas().query("label == 'Edema'")["score"].unique()) == 2
