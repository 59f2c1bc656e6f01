"""One terminal for many processes: every line says who wrote it."""

import os
import sys
import threading
from contextlib import suppress
from typing import IO

_COLOURS = {"web": 36, "worker": 32, "scheduler": 33, "flower": 35, "runyard": 1}
_WIDTH = 9


class Console:
    """Writes whole lines, in colour on a terminal. A reader that has gone away is no error."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream or sys.stdout
        self._colourful = self._stream.isatty() and "NO_COLOR" not in os.environ
        self._turn = threading.Lock()

    def say(self, text: str) -> None:
        """A message of `make up` itself."""
        for line in text.splitlines():
            self.line("runyard", line)

    def line(self, name: str, text: str) -> None:
        """One line of the process `name`."""
        prefix = f"{name:<{_WIDTH}} | "
        if self._colourful:
            prefix = f"\033[{_COLOURS.get(name, 0)}m{prefix}\033[0m"
        with self._turn, suppress(OSError, ValueError):
            self._stream.write(f"{prefix}{text}\n")
            self._stream.flush()
