"""Driving assistant code of every kind, one durable step at a time."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, cast

from runs.execution.event_loop import event_loop
from runs.execution.interruption import Guard


class AnyGuard(Protocol):
    """The part of a guard that a generator needs."""

    def assistant_code(self) -> AbstractContextManager[None]:
        """The block executes assistant code."""

    def pending(self) -> BaseException | None:
        """What to throw into the assistant now."""


#: Stores what was yielded; raises what the assistant is to see instead of going on.
OnStep = Callable[[Any], None]
SyncSteps = Generator[Any, None, Any]
AsyncSteps = AsyncGenerator[Any, None]


def drive(call: Callable[[], Any], guard: Guard, on_step: OnStep) -> Any:
    """Call the assistant, hand every yielded value to `on_step`, and return what it returns.

    Whatever leaves the assistant leaves this function; its generator and its event loop are closed then, and tasks that
    would not end with it are noted in `guard`.
    """
    with guard.assistant_code():
        guard.raise_if_ordered()
        made = call()
    if inspect.isgenerator(made):
        return drive_generator(cast(SyncSteps, made), guard, on_step)
    if inspect.isasyncgen(made):
        return _AsyncSteps(cast(AsyncSteps, made), guard, on_step).drive()
    if inspect.iscoroutine(made):
        return _drive_coroutine(made, guard)
    return made


def drive_generator(generator: SyncSteps, guard: AnyGuard, on_step: OnStep) -> Any:
    """Walk through a generator in this thread."""

    def advance(refusal: BaseException | None) -> tuple[bool, Any]:
        try:
            with guard.assistant_code():
                refusal = refusal or guard.pending()
                return True, next(generator) if refusal is None else generator.throw(refusal)
        except StopIteration as stop:
            return False, stop.value

    try:
        return _step_through(advance, on_step)
    finally:
        with guard.assistant_code():
            generator.close()


def _step_through(advance: Callable[[BaseException | None], tuple[bool, Any]], on_step: OnStep) -> Any:
    """A step that is refused is refused at the assistant's `yield`; one that comes after that is not stored."""
    refusal: BaseException | None = None
    while True:
        more, value = advance(refusal)
        if not more:
            return value
        if refusal is not None:
            raise refusal
        try:
            on_step(value)
        except BaseException as error:
            refusal = error


def _drive_coroutine(coroutine: Coroutine[Any, Any, Any], guard: Guard) -> Any:
    with event_loop(guard) as loop:
        task = loop.create_task(coroutine)
        with guard.driving(loop, task), guard.assistant_code():
            return loop.run_until_complete(task)


class _AsyncSteps:
    """An async generator, walked through by one task: what it opens around a `yield` it may close in a later step.

    The loop stands still between the steps, so that a step is stored outside of it.
    """

    def __init__(self, generator: AsyncSteps, guard: Guard, on_step: OnStep) -> None:
        self._generator, self._guard, self._on_step = generator, guard, on_step

    def drive(self) -> None:
        """Walk to the end; whatever leaves the generator leaves this function."""
        with event_loop(self._guard) as loop:
            task = loop.create_task(self._walk(loop))
            task.add_done_callback(lambda _: self._stop.set_result(None))
            with self._guard.driving(loop, task):
                while not task.done():
                    self._run_to_next_stop(loop)
            task.result()

    def _run_to_next_stop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let the loop run until the task has a step to store or has ended."""
        self._stop: asyncio.Future[_Step | None] = loop.create_future()
        with self._guard.assistant_code():
            step = loop.run_until_complete(self._stop)
        if step is None:
            return
        refusal = self._store(step.value)
        if not step.answer.done():  # cancelled meanwhile
            step.answer.set_result(refusal)

    def _store(self, value: Any) -> BaseException | None:
        try:
            self._on_step(value)
        except BaseException as refusal:
            return refusal
        return None

    async def _walk(self, loop: asyncio.AbstractEventLoop) -> None:
        refusal: BaseException | None = None
        try:
            while True:
                refusal = self._guard.pending() or refusal
                value = await (anext(self._generator) if refusal is None else self._generator.athrow(refusal))
                if refusal is not None:
                    raise refusal
                step = _Step(value, loop.create_future())
                self._stop.set_result(step)
                refusal = await step.answer
        except StopAsyncIteration:
            pass
        finally:
            await self._generator.aclose()


@dataclass(frozen=True)
class _Step:
    """What was yielded, and where to say why it was refused (None: it was stored)."""

    value: Any
    answer: "asyncio.Future[BaseException | None]"
