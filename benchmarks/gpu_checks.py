"""Whether a device computes what a CPU computes in float32: each check gives a difference and the most it may be."""

import copy
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch

from mmsn.images.crops import UNCHANGED, compiled_crops
from mmsn.images.settings import EvalViewSettings
from mmsn.images.views import TestTransform, crops_by_tensors
from mmsn.models.vit import class_embedding
from mmsn.training.loop import Pretraining
from mmsn.training.steps.base import Batch
from our_step import noise_store, our_training
from packing import Setting, measured
from peer_step import Vit
from views import SETTINGS, drawn, simulate

CPU = torch.device("cpu")
METHODS = ("msn", "msn+ehr(sex)", "dino", "mae", "supervised")


class Check(NamedTuple):
    """A difference and the most it may be."""

    name: str
    difference: float
    limit: float

    @property
    def holds(self) -> bool:
        """Also false where the difference is not a number."""
        return self.difference <= self.limit

    def __str__(self) -> str:
        verdict = "ok" if self.holds else "FAILED"
        return f"{self.name:<78}{self.difference:>10.1e}{self.limit:>10.0e}  {verdict}"


def checks(device: torch.device, vit: Vit, batch: int) -> Iterator[Check]:
    """One after the other; float32 means IEEE float32 here."""
    with tempfile.TemporaryDirectory() as name, exact_float32():
        folder = Path(name)
        yield from view_checks(device, batch)
        for method in METHODS:
            yield from step_checks(device, vit, batch, method, folder)
        yield reduced_precision_check(device, vit, batch, "bf16", folder)
        if device.type == "cuda":
            yield reduced_precision_check(device, vit, batch, "fp16", folder)
        yield resume_check(device, vit, batch, folder)
        yield pack_check(device, vit, batch)
        yield learning_check(device, vit, batch, folder)


@contextmanager
def exact_float32() -> Iterator[None]:
    """Without TF32 and its like."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def view_checks(device: torch.device, batch: int) -> Iterator[Check]:
    """Views of the device's tensor path beside the compiled kernel of a CPU, which is Pillow's to the grey level."""
    images, draws = simulate(batch), torch.Generator().manual_seed(3)
    kinds = (("target and random", 2, SETTINGS.random_scale, 224), ("focal", 10, SETTINGS.focal_scale, 96))
    for kind, count, scale, size in kinds:
        boxes, flips = drawn(images, count, scale, draws)
        levels = compiled_crops(images, boxes, flips, size, UNCHANGED)
        ours = crops_by_tensors(images.to(device), boxes.to(device), flips.to(device), size)
        grey = ours[:, :, 0].cpu() * 0.229 * 255 + 0.485 * 255
        yield Check(f"{kind} views beside the CPU's, grey levels", gap(grey, levels[:, :, 0]), 1.001)
    view = TestTransform(EvalViewSettings())
    shown = gap(view(images.to(device)).cpu(), view(images)) * 0.229 * 255
    yield Check("test views of evaluation beside the CPU's, grey levels", shown, 1.001)


def step_checks(device: torch.device, vit: Vit, batch: int, method: str, folder: Path) -> Iterator[Check]:
    """The same weights, views and record: loss and gradient."""
    home = training(vit, folder, batch, CPU, method, precision="fp32")
    away = training(vit, folder, batch, device, method, precision="fp32")
    away.step.load_state_dict(home.step.state_dict())
    batch_at_home = first_batch(home)
    views = getattr(home.step, maker_of_views(home))(
        batch_at_home.pixels, torch.Generator().manual_seed(4), batch_at_home.share
    )
    losses = [loss_of(run, views) for run in (home, away)]
    yield Check(f"loss of {method}, relative", abs(losses[1] - losses[0]) / abs(losses[0]), 1e-5)
    theirs = dict(home.step.named_parameters())
    gaps = [
        (p.grad.cpu() - theirs[name].grad).norm().item() ** 2
        for name, p in away.step.named_parameters()
        if p.grad is not None
    ]
    size = sum(p.grad.norm().item() ** 2 for p in theirs.values() if p.grad is not None)
    yield Check(f"gradient of {method}, norm of the difference over its norm", (sum(gaps) / size) ** 0.5, 1e-3)
    encoders = [copy.deepcopy(run.step.kept_encoder).eval() for run in (home, away)]
    images = torch.rand(batch, 3, vit.side, vit.side, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        here, there = (class_embedding(e, images.to(next(e.parameters()).device)).cpu() for e in encoders)
    yield Check(f"embeddings of {method}'s encoder, largest difference", gap(here, there), 1e-4)


def loss_of(run: Pretraining, views: object) -> float:
    """Loss of a step on given views, with the masks that a CPU draws; gradients are left behind."""
    run.step.train()
    setattr(run.step, maker_of_views(run), lambda *_: to_device(views, run.device))
    result = run.step(first_batch(run).to(run.device), torch.Generator().manual_seed(5), 0)
    result["loss"].backward()
    return float(result["loss"].detach())


def maker_of_views(run: Pretraining) -> str:
    """The attribute of a step that makes its views."""
    return "views" if hasattr(run.step, "views") else "view"


def to_device(views: object, device: torch.device) -> object:
    """Views of any method on a device."""
    return views.to(device) if isinstance(views, torch.Tensor) else type(views)(*(part.to(device) for part in views))


def reduced_precision_check(device: torch.device, vit: Vit, batch: int, precision: str, folder: Path) -> Check:
    """The loss in half precision beside float32's."""
    exact = training(vit, folder, batch, device, "msn", precision="fp32")
    half = training(vit, folder, batch, device, "msn", precision=precision)
    losses = [first_loss(run) for run in (exact, half)]
    title = f"loss of msn in {half.precision}, relative to float32's"
    return Check(title, abs(losses[1] - losses[0]) / abs(losses[0]), 2e-2)


def resume_check(device: torch.device, vit: Vit, batch: int, folder: Path) -> Check:
    """Six steps at once beside three, a checkpoint, and three of a new run that takes it up.

    The same to the bit on a CPU; on a GPU some sums have no fixed order.
    """
    whole = training(vit, folder / "whole", batch, device, "msn")
    steps(whole, 6)
    first = training(vit, folder / "halves", batch, device, "msn")
    steps(first, 3)
    first.settle_and_save()
    second = training(vit, folder / "halves", batch, device, "msn")
    assert second.standing.step == 3, "the checkpoint was not taken up"
    steps(second, 3)
    gaps = [
        gap(ours, theirs)
        for ours, theirs in zip(second.step.state_dict().values(), whole.step.state_dict().values(), strict=True)
    ]
    return Check(
        "weights after six steps, stopped after three beside never stopped",
        max(gaps),
        0.0 if device.type == "cpu" else 1e-3,
    )


def pack_check(device: torch.device, vit: Vit, batch: int) -> Check:
    """Three runs in one process on shared views beside the same runs one after the other, three steps each.

    The same to the bit on a CPU; on a GPU some sums have no fixed order.
    """
    result = measured(Setting(vit, batch, 3, device, "fp32", 3))
    title = "weights of runs in a pack beside separate runs"
    return Check(title, result.difference, 0.0 if device.type == "cpu" else 1e-3)


def learning_check(device: torch.device, vit: Vit, batch: int, folder: Path) -> Check:
    """Twenty steps on few images lower the loss: the last over the first."""
    run = training(vit, folder / "learning", batch, device, "msn", learning_rate=5e-4)
    losses = steps(run, 20)
    return Check("loss of msn after twenty steps over the first", losses[-1] / losses[0], 0.999)


def training(vit: Vit, folder: Path, batch: int, device: torch.device, method: str, **changes: object) -> Pretraining:
    """A run on noise, the same each time."""
    folder.mkdir(parents=True, exist_ok=True)
    store = noise_store(folder, 2 * batch)
    return our_training(vit, store, folder, batch, device, method, "corrected", **changes)


def first_batch(run: Pretraining) -> Batch:
    return next(iter(run.data.batches(run.share, 0, 0, 0)))


def first_loss(run: Pretraining) -> float:
    return steps(run, 1)[0]


def steps(run: Pretraining, count: int) -> list[float]:
    """Take steps on the first batch; their losses."""
    losses: list[float] = []
    handle = run.step.register_forward_hook(
        lambda _module, _given, result: losses.append(float(result["loss"].detach()))
    )
    batch = first_batch(run).to(run.device)
    run.step.train()
    for _ in range(count):
        run.optimise(batch)
        run.standing.step += 1
    handle.remove()
    return losses


def gap(one: torch.Tensor, other: torch.Tensor) -> float:
    """Largest absolute difference."""
    return float((one.double() - other.double()).abs().max()) if one.numel() else 0.0
