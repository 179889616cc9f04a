"""Being asked to stop: a flag instead of an end in the middle of a step."""

import signal
from contextlib import AbstractContextManager
from types import FrameType
from typing import Any


class StopRequest(AbstractContextManager["StopRequest"]):
    """While entered, SIGTERM (a cluster, `kill`) and SIGINT (Ctrl-C) only set `made`."""

    def __init__(self) -> None:
        self.made = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        for number in (signal.SIGTERM, signal.SIGINT):
            self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self.made = True
