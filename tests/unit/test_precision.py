"""What a device computes in: bf16 on a CPU only where it multiplies such matrices."""

import copy

import numpy as np
import pytest
import torch

from mmsn.methods import parse_method
from mmsn.models.vit import class_embedding, create_encoder
from mmsn.training import precision
from mmsn.training.data import PretrainData
from mmsn.training.loop import CheckpointPolicy, Pretraining
from mmsn.training.precision import computed_precision, suit_attention
from mmsn.training.steps.create import create_step
from tests.unit.training_parts import BACKBONE, make_store, settings_of

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("asked", "tiles", "computed"),
    [("fp32", True, "fp32"), ("fp16", True, "fp32"), ("bf16", True, "bf16"), ("bf16", False, "fp32")],
)
def test_a_cpu_computes_in_bf16_only_where_that_is_faster(monkeypatch, asked, tiles, computed):
    monkeypatch.setattr(precision, "multiplies_bf16", lambda: tiles)
    assert computed_precision(asked, CPU) == computed


def test_a_gpu_computes_in_what_is_asked_for():
    for asked in ("fp32", "fp16", "bf16"):
        assert computed_precision(asked, torch.device("cuda")) == asked


def test_attention_without_the_fused_kernel_is_the_same():
    encoder = create_encoder(BACKBONE.architecture, {**BACKBONE.options, "depth": 3}).eval()
    plain = copy.deepcopy(encoder)
    suit_attention(plain, CPU, "bf16")
    assert not any(block.attn.fused_attn for block in plain.blocks)
    images = torch.rand(4, 3, 16, 16)
    torch.testing.assert_close(class_embedding(plain, images), class_embedding(encoder, images), rtol=0, atol=1e-6)


def test_a_run_in_bf16_rounds_its_forward_pass_and_keeps_weights_and_loss_in_float32(monkeypatch, tmp_path):
    histories = {}
    for tiles in (False, True):
        monkeypatch.setattr(precision, "multiplies_bf16", lambda tiles=tiles: tiles)
        store = make_store(tmp_path)
        method = parse_method("msn")
        step = create_step(method, BACKBONE, settings_of(method, precision="bf16"), 0, seed=0)
        policy = CheckpointPolicy(tmp_path / f"{tiles}.safetensors", "test", 1e9)
        data = PretrainData(store, np.arange(len(store)), None, None)
        run = Pretraining(step, data, settings_of(method, precision="bf16"), 0, policy, "test")
        seen = set()
        step.register_forward_hook(lambda _module, _inputs, result, seen=seen: seen.add(result["loss"].dtype))
        histories[tiles] = [row["loss"] for row in run.run()]
        assert seen == {torch.float32}
        assert {p.dtype for p in step.parameters()} == {torch.float32}
    assert histories[True] != histories[False]
    assert histories[True] == pytest.approx(histories[False], rel=0.02)
