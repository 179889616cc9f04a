"""Curves for TensorBoard, beside the history that tables and figures read."""

from pathlib import Path

from mmsn.files import naming


class Journal:
    """Writes one point an epoch and curve; nothing when there is no folder. A run taken up again goes on in it.

    Args:
        folder: of TensorBoard's event files, made private by the umask; None writes nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._writer, self._folder = None, folder or Path()
        if folder is not None:
            from torch.utils.tensorboard import SummaryWriter  # slow to import, and not needed by tests of the loop

            with naming(folder):
                self._writer = SummaryWriter(str(folder))

    def epoch(self, row: dict[str, float]) -> None:
        """Add a row of the history."""
        if self._writer is None:
            return
        with naming(self._folder):
            for name, value in row.items():
                if name not in ("epoch", "step"):
                    self._writer.add_scalar(f"pretrain/{name}", value, int(row["epoch"]))
            self._writer.flush()

    def close(self) -> None:
        """End the event file."""
        if self._writer is not None:
            with naming(self._folder):
                self._writer.close()
