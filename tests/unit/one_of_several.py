"""Run under torchrun by test_distributed.py: pretrains a tiny model and writes its history and encoder."""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from mmsn.images.store import PixelStore
from mmsn.methods import Method, parse_method
from mmsn.training.data import PretrainData
from mmsn.training.distributed import World, joined
from mmsn.training.loop import CheckpointPolicy, Pretraining
from mmsn.training.steps.create import create_step
from tests.unit.training_parts import BACKBONE, settings_of

CHANGED = {"dino, sinkhorn": ("dino", {"centering": "sinkhorn"})}
"""A method with settings that are not the preset's, by the name that stands for both."""


def pretrain(folder: Path, texts: list[str], out: Path) -> None:
    """Train each method, or name of `CHANGED`, on the store in `folder`; as many processes as torchrun started."""
    torch.set_num_threads(1)
    out.mkdir(exist_ok=True)
    with joined(torch.device("cpu")) as world:
        for text in texts:
            name, changes = CHANGED.get(text, (text, {}))
            _pretrain(PixelStore(folder), parse_method(name), changes, out / text, world)


def _pretrain(store: PixelStore, method: Method, changes: dict[str, str], out: Path, world: World) -> None:
    settings = settings_of(method, **changes)
    ehr = torch.rand(40, 3, generator=torch.Generator().manual_seed(1)) if method.feature_set else None
    positive = torch.eye(14).repeat(3, 1)[:40]
    targets = positive.masked_fill(positive.roll(1, 0) > 0, torch.nan) if method.needs_labels else None
    data = PretrainData(store, torch.arange(40).numpy(), ehr, targets)
    step = create_step(method, BACKBONE, settings, 0 if ehr is None else 3, seed=1)
    policy = CheckpointPolicy(out / "checkpoint", "f", 1e9)
    history = Pretraining(step, data, settings, 1, policy, method.id, world).run()
    if world.leads:
        (out / "history.json").write_text(json.dumps(history))
        save_file(step.kept_encoder.state_dict(), out / "encoder.safetensors")


if __name__ == "__main__":
    pretrain(Path(sys.argv[1]), sys.argv[3:], Path(sys.argv[2]))
