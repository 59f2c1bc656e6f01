"""Driving assistant code of every kind, one durable step at a time."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import Any, cast

from runs.execution.interruption import Guard

#: Stores what was yielded; raises what the assistant is to see instead of going on.
OnStep = Callable[[Any], None]
SyncSteps = Generator[Any, None, Any]
AsyncSteps = AsyncGenerator[Any, None]


def drive(call: Callable[[], Any], guard: Guard, on_step: OnStep) -> Any:
    """Call the assistant, hand every yielded value to `on_step`, and return what it returns.

    Whatever leaves the assistant leaves this function; its generator and its event loop are closed then.
    """
    with guard.assistant_code():
        guard.raise_if_ordered()
        made = call()
    if inspect.isgenerator(made):
        return _drive_generator(cast(SyncSteps, made), guard, on_step)
    if inspect.isasyncgen(made):
        return _drive_async_generator(cast(AsyncSteps, made), guard, on_step)
    if inspect.iscoroutine(made):
        with asyncio.Runner() as runner:
            return _run(runner, made, guard)
    return made


def _drive_generator(generator: SyncSteps, guard: Guard, on_step: OnStep) -> Any:
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


def _drive_async_generator(generator: AsyncSteps, guard: Guard, on_step: OnStep) -> None:
    """The loop stands still between the steps, so that a step is stored outside of it."""
    with asyncio.Runner() as runner:

        async def step(refusal: BaseException | None) -> tuple[bool, Any]:
            refusal = refusal or guard.pending()
            try:
                return True, await (anext(generator) if refusal is None else generator.athrow(refusal))
            except StopAsyncIteration:
                return False, None

        try:
            _step_through(lambda refusal: _run(runner, step(refusal), guard), on_step)
        finally:
            _run(runner, _close(generator), guard)


async def _close(generator: AsyncSteps) -> None:
    await generator.aclose()


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


def _run(runner: asyncio.Runner, coroutine: Coroutine[Any, Any, Any], guard: Guard) -> Any:
    """Run the coroutine as a task that an order can cancel."""
    loop = runner.get_loop()
    task = loop.create_task(coroutine)
    with guard.driving(loop, task), guard.assistant_code():
        return loop.run_until_complete(task)
