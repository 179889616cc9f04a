"""Every method in the one training loop: it trains, it stops and goes on, and its EHR enters where it should."""

import math
import os
import signal

import pytest
import torch

from mmsn.errors import StoppedBySignal, UserError
from mmsn.methods import method_from_id, parse_method
from mmsn.models.mae import others, pixels_of_patches
from mmsn.models.msn_loss import power_law
from mmsn.training.data import PretrainData, StudyMates
from mmsn.training.loop import CheckpointPolicy, Pretraining
from mmsn.training.settings import ImagenetWeights
from mmsn.training.steps.create import create_step
from tests.unit.training_parts import BACKBONE, make_store, settings_of

ALL = ["msn", "msn+g", "msn+ehr(sex)", "dino", "dino+g", "dino+ehr(sex)", "mae", "mae+g", "mae+ehr(sex)", "supervised"]


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path)


def _pretraining(store, folder, text, **changes):
    method = parse_method(text)
    settings = settings_of(method, **changes)
    ehr = torch.rand(40, 3, generator=torch.Generator().manual_seed(1)) if method.feature_set else None
    targets = torch.eye(14).repeat(3, 1)[:40] if method.needs_labels else None
    studies = torch.arange(40).numpy() // 2 if changes.get("positives") == "same-study" else None
    data = PretrainData(store, torch.arange(40).numpy(), ehr, targets, studies)
    step = create_step(method, BACKBONE, settings, 0 if ehr is None else 3, seed=1)
    return Pretraining(step, data, settings, 1, CheckpointPolicy(folder / "run", "f", 1e9), "test")


@pytest.mark.parametrize("text", ALL)
def test_a_name_survives_its_way_through_paths(text):
    assert method_from_id(parse_method(text).id) == parse_method(text)


@pytest.mark.parametrize("text", ["mae+ehr", "dino+ehr(sex, random)", "supervised+ehr(sex)", "moco"])
def test_what_is_no_method_is_refused_with_what_is_one(text):
    with pytest.raises(ValueError, match=r"is not a method; write one of .*msn.*dino.*mae"):
        parse_method(text)


@pytest.mark.parametrize("text", ALL)
def test_every_method_trains_its_encoder_and_watches_it(store, tmp_path, text):
    run = _pretraining(store, tmp_path, text)
    before = {name: value.clone() for name, value in run.step.kept_encoder.state_dict().items()}
    history = run.run()
    moved = [name for name, value in run.step.kept_encoder.state_dict().items() if not torch.equal(value, before[name])]
    assert len(moved) > len(before) / 2
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert all(math.isfinite(value) for row in history for value in row.values())
    assert {"loss", "gradient_norm", "rankme", "peak_memory_gb"} <= history[0].keys()
    assert ("target_entropy" in history[0]) == text.startswith(("msn", "dino"))


@pytest.mark.parametrize("text", ["dino+ehr(sex)", "mae+ehr(sex)", "supervised"])
def test_every_method_goes_on_where_it_was_stopped(store, tmp_path, text):
    expected = _pretraining(store, tmp_path / "a", text)
    expected.run()
    stopped = _pretraining(store, tmp_path / "b", text)
    original = stopped.optimise

    def stop_at(batch):
        original(batch)
        if (stopped.standing.epoch, stopped.standing.step) == (1, 2):
            os.kill(os.getpid(), signal.SIGTERM)

    stopped.optimise = stop_at
    with pytest.raises(StoppedBySignal):
        stopped.run()
    again = _pretraining(store, tmp_path / "b", text)
    again.run()
    for name, value in expected.step.state_dict().items():
        assert torch.equal(again.step.state_dict()[name], value), name


@pytest.mark.parametrize(
    "changes",
    [
        {"prior": "power-law"},
        {"target_queue": 16},
        {"positives": "same-study"},
        {"embedding": "class+mean"},
        {"accumulate": 2},
        {"ema_momentum_end": 1.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("text", ["msn", "msn+ehr(sex)"])
def test_what_corrected_offers_trains_and_changes_the_result(store, tmp_path, text, changes):
    plain = _pretraining(store, tmp_path / "a", text).run()
    other = _pretraining(store, tmp_path / "b", text, **changes).run()
    assert math.isfinite(other[-1]["loss"])
    assert other[-1]["loss"] != plain[-1]["loss"]


def test_sinkhorn_sees_the_queue_once_it_is_full(store, tmp_path):
    run = _pretraining(store, tmp_path, "msn", target_queue=16)
    network = run.step.network
    assert network._past_targets() is None
    run.run()
    assert len(network._past_targets()) == 16
    assert not torch.equal(network.queue[0], network.queue[8])


def test_the_power_law_prior_falls_and_sums_to_one():
    prior = power_law(64, 0.25)
    assert prior.sum() == pytest.approx(1, abs=1e-6)
    assert (prior[1:] < prior[:-1]).all()
    assert prior[0] / prior[15] == pytest.approx(2, rel=1e-5)  # 16 ** .25


def test_a_positive_of_the_study_is_another_image_of_it_where_there_is_one():
    studies = torch.tensor([5, 5, 5, 7, 9, 9]).numpy()
    mates = StudyMates.of(studies)
    drawn = torch.stack([torch.from_numpy(mates.drawn(torch.Generator().manual_seed(seed))) for seed in range(200)])
    assert (studies[drawn.numpy()] == studies).all()
    assert (drawn[:, 3] == 3).all()  # alone in its study
    for row in (0, 1, 2, 4, 5):
        assert (drawn[:, row] != row).all()
    assert set(drawn[:, 0].tolist()) == {1, 2}


def test_an_ehr_enters_behind_the_encoder_and_in_the_learning_branch_only():
    for text in ("msn+ehr(sex)", "dino+ehr(sex)", "mae+ehr(sex)"):
        method = parse_method(text)
        fused = create_step(method, BACKBONE, settings_of(method), 3, seed=0)
        plain = create_step(parse_method(method.family), BACKBONE, settings_of(method), 0, seed=0)
        for name, value in plain.encoder.state_dict().items():
            torch.testing.assert_close(fused.encoder.state_dict()[name], value)
        assert {name.split(".")[0] for name, _ in fused.network.named_parameters() if "f_ehr" in name} == {"fusion"}


def test_a_fusion_without_a_record_has_the_parameters_of_g_only():
    for family in ("msn", "dino", "mae"):
        method = parse_method(f"{family}+g")
        fusion = create_step(method, BACKBONE, settings_of(method), 0, seed=0).network.fusion
        assert fusion.f_ehr is None
        assert fusion.g.in_features == BACKBONE.options["embed_dim"]


def test_released_dino_starts_its_teacher_apart_and_keeps_the_student():
    method = parse_method("dino")
    released = create_step(method, BACKBONE, settings_of(method, "released"), 0, seed=0)
    paper = create_step(method, BACKBONE, settings_of(method, "paper"), 0, seed=0)
    assert released.kept_encoder is released.encoder
    assert paper.kept_encoder is paper.network.target_encoder
    weights = [step.network.target_head.last_layer.weight for step in (released, paper)]
    own = [step.network.head.last_layer.weight for step in (released, paper)]
    assert not torch.equal(weights[0], own[0])
    assert torch.equal(weights[1], own[1])


def test_dinos_last_layer_rests_in_the_first_epoch(store, tmp_path):
    run = _pretraining(store, tmp_path, "dino", epochs=1, weight_decay=0.0)
    before = run.step.network.head.last_layer.weight.clone()
    run.run()
    assert torch.equal(run.step.network.head.last_layer.weight, before)


def test_mae_masks_what_it_does_not_keep():
    keep = torch.tensor([[0, 3, 1], [0, 2, 5]])
    assert others(keep, 6).tolist() == [[2, 4, 5], [1, 3, 4]]


@pytest.mark.parametrize(("preset", "kept"), [("released", 77), ("paper", 78), ("corrected", 78)])
def test_mae_keeps_the_published_number_of_patches(preset, kept):
    method = parse_method("mae")
    backbone = BACKBONE.model_copy(
        update={"options": {**BACKBONE.options, "img_size": 224, "patch_size": 16, "embed_dim": 8}}
    )
    settings = settings_of(method, preset, views={"random_size": 224})
    assert create_step(method, backbone, settings, 0, 0).kept_patches == kept


def test_mae_refuses_views_of_another_grid_than_the_backbones():
    method = parse_method("mae")
    with pytest.raises(UserError, match=r"mae\.views\.random_size: 32 has 64 patches of 4 pixels, the backbone 16"):
        create_step(method, BACKBONE, settings_of(method, views={"random_size": 32}), 0, 0)


def test_dropout_of_a_backbone_is_drawn_again_after_a_stop(store, tmp_path):
    backbone = BACKBONE.model_copy(update={"options": {**BACKBONE.options, "drop_path_rate": 0.5, "depth": 3}})
    settings = settings_of(parse_method("msn"), epochs=1)
    losses = []
    for seed_of_the_process in (1, 2):
        data = PretrainData(store, torch.arange(40).numpy())
        step = create_step(parse_method("msn"), backbone, settings, 0, seed=1)
        policy = CheckpointPolicy(tmp_path / f"run{seed_of_the_process}", "f", 1e9)
        torch.manual_seed(seed_of_the_process)  # what a job that goes on elsewhere would start from
        losses.append(Pretraining(step, data, settings, 1, policy, "test").run()[0]["loss"])
    assert losses[0] == losses[1]


def test_maes_targets_are_the_pixels_of_a_patch_row_by_row():
    images = torch.arange(2 * 3 * 4 * 4).view(2, 3, 4, 4).float()
    patches = pixels_of_patches(images, 2)
    assert patches.shape == (2, 4, 12)
    assert patches[0, 1, :3].tolist() == images[0, :, 0, 2].tolist()
    assert patches[1, 2, 3:6].tolist() == images[1, :, 2, 1].tolist()


def test_a_loss_that_is_not_finite_names_its_batch_in_a_private_file(store, tmp_path):
    run = _pretraining(store, tmp_path, "msn")
    rows = run.data.order(1, 0)[:8]
    with torch.no_grad():
        run.step.network.prototypes.fill_(math.nan)
    with pytest.raises(UserError, match=r"the loss is nan at epoch 1, step 1; .*not_finite\.json") as error:
        run.run()
    assert "d0" not in str(error.value)
    listed = (tmp_path / "batch_of_the_loss_that_is_not_finite.json").read_text()
    assert all(f'"d{int(row):02d}"' in listed for row in rows)
    assert not (tmp_path / "run").exists()  # no checkpoint holds the broken model


def test_imagenet_weights_come_from_a_local_file_in_timms_names(tmp_path):
    import timm
    from safetensors.torch import save_file

    options = {**BACKBONE.options, "num_heads": 1}
    published = timm.create_model(BACKBONE.architecture, num_classes=10, **options)
    save_file(published.state_dict(), tmp_path / "weights.safetensors")
    source = ImagenetWeights(weights=str(tmp_path / "weights.safetensors"), options=options)
    backbone = BACKBONE.model_copy(update={"imagenet": source})
    for text in ("imagenet", "supervised-imagenet"):
        method = parse_method(text)
        encoder = create_step(method, backbone, settings_of(method), 0, 0).kept_encoder
        assert encoder.blocks[0].attn.num_heads == 1
        torch.testing.assert_close(encoder.blocks[0].attn.qkv.weight, published.blocks[0].attn.qkv.weight)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\x80\x02pickle", "pickled checkpoints are not loaded"), (None, "not weights of this architecture")],
)
def test_weights_that_do_not_fit_are_refused_in_a_line(tmp_path, content, message):
    from safetensors.torch import save_file

    path = tmp_path / "weights.safetensors"
    if content is None:
        save_file({"blocks.0.norm1.weight": torch.ones(3)}, path)
    else:
        path.write_bytes(content)
    backbone = BACKBONE.model_copy(update={"imagenet": ImagenetWeights(weights=str(path), options=BACKBONE.options)})
    with pytest.raises(UserError, match=message):
        create_step(parse_method("imagenet"), backbone, settings_of(parse_method("imagenet")), 0, 0)


def test_compiled_blocks_keep_their_names():
    method = parse_method("msn")
    step = create_step(method, BACKBONE, settings_of(method), 0, 0)
    names = list(step.state_dict())
    step.compile_blocks()
    assert list(step.state_dict()) == names
