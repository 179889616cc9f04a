"""The network: views of any size, dropped patches, a target that only follows, an EHR that enters once."""

import pytest
import torch
from timm import create_model as timm_model

from mmsn.methods import parse_method
from mmsn.models.heads import EhrFusion, projection_head
from mmsn.models.vit import class_embedding, create_encoder, encode_tokens, patchify, position_embedding
from mmsn.presets import preset_values
from mmsn.training.settings import BackboneSettings, PretrainSettings
from mmsn.training.steps.create import create_step

SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
BACKBONE = BackboneSettings(title="small", architecture="vit_tiny_patch16_224", options=SMALL)


def _settings(**changes):
    return PretrainSettings(**{**preset_values("paper", "pretrain"), "prototypes": 16, **changes})


def create_model(method, settings, ehr_columns=0):
    return create_step(parse_method(method), BACKBONE, settings, ehr_columns, seed=0).network


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return create_encoder("vit_tiny_patch16_224", SMALL).eval()


def test_all_patches_at_the_trained_size_equal_timms_own_forward(encoder):
    images = torch.randn(3, 3, 32, 32)
    torch.testing.assert_close(encode_tokens(encoder, images), encoder.forward_features(images))


def test_keeping_every_patch_in_order_changes_nothing(encoder):
    images = torch.randn(2, 3, 32, 32)
    keep = torch.arange(17).expand(2, -1)
    torch.testing.assert_close(encode_tokens(encoder, images, keep), encode_tokens(encoder, images))


def test_dropped_patches_have_no_influence(encoder):
    images = torch.randn(1, 3, 32, 32)
    keep = torch.tensor([[0, 1, 2, 3]])  # the first row of patches but its last
    changed = images.clone()
    changed[..., 8:, :] += 5.0
    changed[..., :8, 24:] += 5.0
    torch.testing.assert_close(class_embedding(encoder, changed, keep), class_embedding(encoder, images, keep))


def test_positions_of_kept_patches_are_their_own(encoder):
    images = torch.randn(1, 3, 32, 32)
    rolled = class_embedding(encoder, images, torch.tensor([[0, 5, 6]]))
    other = class_embedding(encoder, images.roll(8, dims=-1), torch.tensor([[0, 6, 7]]))
    assert not torch.allclose(rolled, other)  # the same pixels at other places


def test_gradients_are_the_same_to_the_bit_each_time_on_several_threads():
    torch.manual_seed(0)
    encoder = create_encoder("vit_tiny_patch16_224", {**SMALL, "img_size": 112, "depth": 1})
    images, threads = torch.randn(16, 3, 112, 112), torch.get_num_threads()
    keep = torch.stack([torch.cat([torch.zeros(1), torch.randperm(196)[:165] + 1]) for _ in images]).long()
    gradients = []
    torch.set_num_threads(2)
    try:
        for _ in range(20):
            encoder.zero_grad()
            class_embedding(encoder, images, keep).square().sum().backward()
            gradients.append(encoder.pos_embed.grad.clone())
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(gradient, gradients[0]) for gradient in gradients)


def test_focal_views_interpolate_positions_as_msn_does(encoder):
    resized = position_embedding(encoder.pos_embed, (2, 2))
    assert resized.shape == (1, 5, 32)
    plane = encoder.pos_embed[:, 1:].reshape(1, 4, 4, 32).permute(0, 3, 1, 2)
    reference = torch.nn.functional.interpolate(plane, scale_factor=0.5, mode="bicubic")
    torch.testing.assert_close(resized[:, 1:], reference.flatten(2).transpose(1, 2))


def test_patches_lie_as_the_convolution_reads_them(encoder):
    images = torch.randn(2, 3, 32, 32)
    convolved = encoder.patch_embed.proj(images).flatten(2).transpose(1, 2)
    weight = encoder.patch_embed.proj.weight.flatten(1)
    product = patchify(images, 8) @ weight.T + encoder.patch_embed.proj.bias
    torch.testing.assert_close(product, convolved, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("name", "width"), [("vit_small_patch16_224", 384), ("vit_tiny_patch16_224", 192)])
def test_the_papers_backbones_have_six_heads_and_twelve_layers(name, width):
    encoder = create_encoder(name, {"num_heads": 6})
    assert encoder.embed_dim == width
    assert len(encoder.blocks) == 12
    assert encoder.blocks[0].attn.num_heads == 6
    assert encoder.norm.eps == 1e-6
    assert encoder.patch_embed.patch_size == (16, 16)


@pytest.mark.parametrize("name", ["no_such_model", "resnet18", "vit_small_patch14_reg4_dinov2"])
def test_what_is_not_a_plain_vision_transformer_is_refused(name):
    with pytest.raises(ValueError, match=name):
        create_encoder(name, {})


def test_the_projection_head_is_three_layers_with_two_batch_norms():
    head = projection_head(8, 32, 8)
    assert [type(layer).__name__ for layer in head] == ["Linear", "BatchNorm1d", "GELU"] * 2 + ["Linear"]
    assert [(layer.in_features, layer.out_features) for layer in head if hasattr(layer, "in_features")] == [
        (8, 32),
        (32, 32),
        (32, 8),
    ]
    assert head[0].bias is None
    assert head[6].bias is not None


def test_fusion_is_linear_in_image_and_ehr():
    fusion = EhrFusion(8, 3, 5)
    embedding, ehr = torch.randn(4, 8), torch.randn(4, 3)
    origin = fusion(torch.zeros(4, 8), torch.zeros(4, 3))
    parts = fusion(embedding, torch.zeros(4, 3)) + fusion(torch.zeros(4, 8), ehr) - origin
    torch.testing.assert_close(fusion(embedding, ehr), parts)


def test_each_view_of_an_image_gets_that_images_ehr():
    fusion = EhrFusion(4, 2, 3)
    ehr = torch.randn(2, 2)
    views = fusion(torch.zeros(6, 4), ehr)  # three views of two images, view-major
    torch.testing.assert_close(views[0], views[2])
    torch.testing.assert_close(views[1], views[5])
    assert not torch.allclose(views[0], views[1])


def test_a_missing_or_superfluous_ehr_is_refused():
    with pytest.raises(ValueError, match="EHR"):
        EhrFusion(4, 2, 3)(torch.zeros(1, 4), None)
    with pytest.raises(ValueError, match="EHR"):
        EhrFusion(4, 0, 3)(torch.zeros(1, 4), torch.zeros(1, 2))


@pytest.mark.parametrize(
    ("method", "inputs"), [("msn", None), ("msn+g", 32), ("msn+ehr(sex)", 160), ("msn+ehr(sex, constant)", 160)]
)
def test_methods_differ_only_in_the_fusion(method, inputs):
    model = create_model(method, _settings(), 2 if "ehr" in method else 0)
    assert (model.fusion.g.in_features if model.fusion else None) == inputs
    vanilla = create_model("msn", _settings())
    for name, value in vanilla.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value)


def test_released_passes_vanilla_views_through_the_head_apart_but_never_msn_ehr():
    released = _settings(separate_projection=True)
    assert create_model("msn", released).options.separate_projection
    assert not create_model("msn+ehr(sex)", released, 2).options.separate_projection
    assert not create_model("msn+g", released).options.separate_projection


def test_prototypes_learn_unless_released():
    assert create_model("msn", _settings()).prototypes.requires_grad
    frozen = _settings(trainable_prototypes=False)
    assert not create_model("msn", frozen).prototypes.requires_grad


def test_the_target_starts_equal_moves_by_the_momentum_and_never_by_gradients():
    model = create_model("msn", _settings())
    target, anchor = model.target_encoder.pos_embed, model.encoder.pos_embed
    torch.testing.assert_close(target, anchor)
    assert not any(p.requires_grad for p in model.target_encoder.parameters())
    with torch.no_grad():
        anchor += 1.0
    before = target.clone()
    model.update_target(0.996)
    torch.testing.assert_close(target, 0.996 * before + 0.004 * anchor)


def test_encoders_load_into_timm_itself(tmp_path, encoder):
    from mmsn.encoder_file import load_encoder, save_encoder

    path = tmp_path / "encoder.safetensors"
    save_encoder(path, encoder, BACKBONE, "msn")
    images = torch.randn(2, 3, 32, 32)
    ours = class_embedding(load_encoder(path).eval(), images)
    timms = timm_model(BACKBONE.architecture, num_classes=0, checkpoint_path=str(path), **SMALL).eval()
    torch.testing.assert_close(ours, timms(images))


@pytest.mark.parametrize("width", [48, 96])
def test_the_released_initialisation_has_torchvisions_scales(width):
    from torchvision.models.vision_transformer import VisionTransformer

    from mmsn.models.vit import initialise_as_torchvision

    torch.manual_seed(0)
    theirs = VisionTransformer(32, 8, 2, 2, width, 4 * width)
    ours = create_encoder("vit_tiny_patch16_224", {**SMALL, "embed_dim": width})
    initialise_as_torchvision(ours)
    block, other = ours.blocks[1], theirs.encoder.layers[1]
    pairs = {
        "qkv": (block.attn.qkv.weight, other.self_attention.in_proj_weight),
        "attention out": (block.attn.proj.weight, other.self_attention.out_proj.weight),
        "fc1": (block.mlp.fc1.weight, other.mlp[0].weight),
        "fc2": (block.mlp.fc2.weight, other.mlp[3].weight),
        "patches": (ours.patch_embed.proj.weight, theirs.conv_proj.weight),
        "positions": (ours.pos_embed, theirs.encoder.pos_embedding),
    }
    for name, (mine, reference) in pairs.items():
        assert mine.std().item() == pytest.approx(reference.std().item(), rel=0.06), name
        assert mine.abs().max().item() == pytest.approx(reference.abs().max().item(), rel=0.3), name
    assert (ours.cls_token == 0).all()
    assert (block.attn.qkv.bias == 0).all()
