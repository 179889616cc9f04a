"""The exceptions that a user is meant to read."""


class UserError(Exception):
    """Something the user can mend: shown as one line, without a traceback.

    The message names what was wrong (file, column, row, value) and the next step.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class StoppedBySignal(Exception):  # noqa: N818  (no error: the job was asked to stop)
    """The job was asked to stop (Ctrl-C, a cluster's SIGTERM) and has saved its state."""
