"""Hearing of a server's shutdown beside the server itself, whose own handlers go on as they are."""

import asyncio
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any


def heed_shutdown(loop: asyncio.AbstractEventLoop, action: Callable[[], None]) -> None:
    """Call this in the loop as soon as the process is told to end; only for the loop of the main thread."""
    if threading.current_thread() is threading.main_thread():
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, _chain(signal.getsignal(signum), loop, action))


def _chain(inherited: Any, loop: asyncio.AbstractEventLoop, action: Callable[[], None]) -> Callable[..., None]:
    def handler(signum: int, frame: Any) -> None:
        with suppress(RuntimeError):  # the loop has ended already
            loop.call_soon_threadsafe(action)
        if callable(inherited):
            inherited(signum, frame)
        elif inherited == signal.SIG_DFL:
            signal.signal(signum, signal.SIG_DFL)
            signal.raise_signal(signum)

    return handler
