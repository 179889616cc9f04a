"""The ways of training that `gpu.py` times: ours, and the released step with and without its loader."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from mmsn.images.settings import ViewSettings
from mmsn.images.views import PretrainViews, Views
from our_step import noise_store, our_training
from peer_step import PeerTraining, Vit, lightly, recreated
from views import simulate, torchvision_views

T = TypeVar("T")
Way = Callable[[Path], Callable[[], object]]


def ways(vit: Vit, batch: int, device: torch.device, with_compile: bool) -> Iterator[tuple[str, Way]]:
    """Each is given a folder and gives a function that takes a step."""
    half = "fp16" if device.type == "cuda" else "fp32"
    for precision in dict.fromkeys((half, "bf16")):
        yield f"ours, {precision}", lambda folder, p=precision: our_way(vit, batch, device, folder, p, False)
    if with_compile:
        yield "ours, bf16, compiled", lambda folder: our_way(vit, batch, device, folder, "bf16", True)
    modules, title = (lightly(), "released step of lightly's modules") if lightly() else (recreated(), "released step")
    yield (
        f"{title}, {half}, views ready",
        lambda _: peer_way(PeerTraining(vit, modules, device, half), vit, batch, device),
    )
    yield (
        f"{title}, {half}, torchvision's loader",
        lambda _: loaded_way(PeerTraining(vit, modules, device, half), vit, batch, device),
    )


def our_way(
    vit: Vit, batch: int, device: torch.device, folder: Path, precision: str, compiled: bool
) -> Callable[[], object]:
    """A step of `mmsn pretrain`: batch from the store, views, masks, loss, gradient, AdamW, moving average."""
    store = noise_store(folder, 16 * batch)
    if device.type == "cuda" and not store.load(device):
        raise RuntimeError("the store did not fit into GPU memory")
    run = our_training(vit, store, folder, batch, device, preset="released", precision=precision, compile=compiled)
    run.step.train()
    epochs = _endless(lambda epoch: run.data.batches(run.share, 0, epoch, 0))

    def step() -> None:
        run.optimise(next(epochs).to(device))
        run.standing.step += 1

    return step


def _endless(epoch: Callable[[int], Iterator[T]]) -> Iterator[T]:
    number = 0
    while True:
        yield from epoch(number)
        number += 1


def peer_way(peer: PeerTraining, vit: Vit, batch: int, device: torch.device) -> Callable[[], object]:
    """The released step on views that wait on the device."""
    settings = ViewSettings(random_size=vit.side, focal_size=vit.focal_side)
    ready = PretrainViews(settings)(simulate(batch), torch.Generator().manual_seed(0))
    ready = Views(*(part.to(device) for part in ready))
    return lambda: peer.optimise(ready)


def loaded_way(peer: PeerTraining, vit: Vit, batch: int, device: torch.device) -> Callable[[], object]:
    """The released step behind torchvision's transforms on Pillow images, in loader processes."""
    workers = os.cpu_count() or 1
    loader = DataLoader(
        Films(simulate(64).numpy(), 1_000_000),
        batch_size=batch,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        drop_last=True,
        persistent_workers=True,
    )
    batches = _endless(lambda _epoch: iter(loader))

    def step() -> None:
        views = [view.to(device, non_blocking=True) for view in next(batches)]
        peer.optimise(Views(views[0], views[1], torch.cat(views[2:])))

    return step


class Films(Dataset[list[torch.Tensor]]):
    """The twelve views of decoded images; files are not read, which flatters the peer."""

    def __init__(self, pixels: np.ndarray, length: int) -> None:
        self.pixels, self.length, self.views = pixels, length, torchvision_views()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, place: int) -> list[torch.Tensor]:
        torch.set_num_threads(1)
        return self.views(Image.fromarray(self.pixels[place % len(self.pixels)]).convert("RGB"))
