"""Where code is: what a frame, a task or an exception says of it, without touching it."""

import asyncio
import sys
from types import FrameType
from typing import Any

from runs.errors import Interruption


def is_of_the_loop(frame: FrameType | None) -> bool:
    """Whether the frame is asyncio's own code and not the assistant's."""
    module = "" if frame is None else str(frame.f_globals.get("__name__", ""))
    return module.split(".")[0] in ("asyncio", "selectors")


def name_of_task(task: asyncio.Task[Any]) -> str:
    """Its name, and that of its function."""
    coroutine = task.get_coro()
    return f"task {task.get_name()!r} ({getattr(coroutine, '__qualname__', coroutine)})"


def between_two_jobs(frame: FrameType | None) -> bool:
    """Whether the thread is a pool's and executes none of its jobs, but the pool's own code around them.

    An exception there would end the thread without its pool's knowledge, which would give it the next job, or leave
    a job's future without a result: whoever waits for either would wait for ever.
    """
    called: FrameType | None = None
    while frame is not None:
        if frame.f_globals.get("__name__") == "concurrent.futures.thread":
            return called is None or called.f_globals.get("__name__") == "concurrent.futures._base"
        called, frame = frame, frame.f_back
    return False


def unwinding_threads() -> set[int | None]:
    """Threads that are handling an interruption, or something raised while handling one."""
    return {ident for ident, handled in sys._current_exceptions().items() if comes_from_interruption(_value(handled))}


def _value(handled: Any) -> BaseException | None:
    """`sys._current_exceptions` gives (type, value, traceback) before Python 3.12, the exception since."""
    value: BaseException | None = handled[1] if isinstance(handled, tuple) else handled
    return value


def comes_from_interruption(exception: BaseException | None, *, cancelled: bool = False) -> bool:
    """Whether it is one, or was raised while one was handled; `cancelled`: a task's cancellation counts as one."""
    seen: set[int] = set()
    while exception is not None and id(exception) not in seen:
        if isinstance(exception, Interruption) or (cancelled and isinstance(exception, asyncio.CancelledError)):
            return True
        seen.add(id(exception))
        exception = exception.__context__
    return False
