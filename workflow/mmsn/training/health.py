"""A loss that is not finite: seen one step later, so that no step waits for the GPU, and named with its batch."""

from pathlib import Path

import torch
from torch import Tensor

from mmsn.errors import UserError
from mmsn.files import write_json
from mmsn.training.data import PretrainData
from mmsn.training.settings import TrainingSettings


class FiniteCheck:
    """Watches the losses of a run.

    Args:
        data: to name the batch's images.
        settings: of the run.
        seed: of the run.
        checkpoint: beside it the ids of the batch are written, privately; messages carry no ids of images.
        description: of the run.
    """

    def __init__(
        self, data: PretrainData, settings: TrainingSettings, seed: int, checkpoint: Path, description: str
    ) -> None:
        self.data, self.settings, self.seed = data, settings, seed
        self.file = checkpoint.with_name("batch_of_the_loss_that_is_not_finite.json")
        self.description = description
        self._waiting: tuple[Tensor, int, int] | None = None

    def watch(self, loss: Tensor, epoch: int, step: int) -> None:
        """Check the loss watched before, and remember this one.

        Raises:
            UserError: the loss before was not finite.
        """
        self.settle()
        self._waiting = (loss.detach(), epoch, step)

    def settle(self) -> None:
        """Check the loss that is remembered: always before a checkpoint, which must not hold a broken model.

        Raises:
            UserError: it is not finite; the ids of its batch are in a file beside the checkpoint.
        """
        if self._waiting is None:
            return
        loss, epoch, step = self._waiting
        self._waiting = None
        value = float(loss)
        if torch.isfinite(torch.tensor(value)):
            return
        size = self.settings.batch_size
        rows = self.data.order(self.seed, epoch)[step * size : (step + 1) * size]
        ids = [self.data.store.dicom_ids[int(place)].as_py() for place in self.data.positions[rows.numpy()]]
        write_json(self.file, {"epoch": epoch + 1, "step": step + 1, "loss": str(value), "dicom_ids": ids})
        raise UserError(
            f"{self.description}: the loss is {value} at epoch {epoch + 1}, step {step + 1}; the batch's {len(ids)} "
            f"image ids are in {self.file}; lower the learning rate, or set precision: fp32"
        )
