"""The event loop of a loop process: it knows whose everything is, and cuts off what an attempt has left on it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextvars import Context
from typing import Any, TypeVar

from runs.execution.loops.owner import Owner, _owner, current_owner

T = TypeVar("T")


class AttemptLoop(asyncio.SelectorEventLoop):
    """An event loop that many attempts share."""

    def __init__(self) -> None:
        super().__init__()
        self.set_task_factory(_make_task)  # type: ignore[arg-type] # its context is the loop's to pass

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> "asyncio.Future[T]":  # type: ignore[override]
        """Without an executor: in the attempt's own, so that none waits for the threads of another."""
        owner = current_owner()
        if executor is None and owner is not None:
            executor = owner.executor()
        return super().run_in_executor(executor, func, *args)

    def _asyncgen_firstiter_hook(self, agen: AsyncGenerator[Any, Any]) -> None:
        if (owner := current_owner()) is not None:
            owner.add_generator(agen)
        super()._asyncgen_firstiter_hook(agen)  # type: ignore[misc]

    def cut_off(self, owner: Owner) -> None:
        """Nothing that this owner has left on the loop is ever called, a connection's own code apart.

        Attempts may share a client, and whoever comes first opens its connection: that is read for all who follow.
        """
        for handle in list(self._handles()):
            if handle._context.get(_owner) is owner and not _is_of_a_connection(handle):
                handle.cancel()

    def _handles(self) -> Iterator[Any]:
        """Timers, what is to be called next, and what is called when a socket is ready."""
        state = vars(self)
        yield from state["_scheduled"]
        yield from state["_ready"]
        for key in list(state["_selector"].get_map().values()):
            yield from (handle for handle in key.data or () if handle is not None)

    def run_until_stopped(self) -> None:
        """Run; what makes other loops end, a task of an assistant that exits, is that task's own end here."""
        while True:
            try:
                return self.run_forever()
            except (SystemExit, KeyboardInterrupt):
                continue


def _is_of_a_connection(handle: Any) -> bool:
    return isinstance(getattr(handle._callback, "__self__", None), asyncio.BaseTransport)


def _make_task(
    loop: asyncio.AbstractEventLoop,
    coroutine: Coroutine[Any, Any, Any],
    context: Context | None = None,
    **options: Any,
) -> "asyncio.Task[Any]":
    task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, context=context, **options)
    owner = current_owner() if context is None else context.get(_owner)
    if owner is not None:
        owner.add_task(task)
    return task
