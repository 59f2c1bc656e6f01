"""Waiting for a run without holding a thread or a database connection: by notification, and by looking now and then."""

import time
from collections.abc import Callable
from uuid import UUID

from asgiref.sync import SyncToAsync, sync_to_async
from django.db import InterfaceError, OperationalError, connection, connections

from runs.services.results import is_finished, is_settled
from runs.streaming.hub import hub
from runs.streaming.watch import Watch


async def finished(watch: Watch, *, within: float) -> bool:
    """Return True as soon as the run is terminal, False if it is not `within` these seconds."""
    return await _becomes(is_finished, watch, within)


async def settled(run_id: UUID, *, within: float) -> bool:
    """Return True as soon as the run is terminal and its executor has left, False if not `within` these seconds."""
    async with hub().watch(run_id) as watch:
        return await _becomes(is_settled, watch, within)


async def _becomes(question: Callable[[UUID], bool], watch: Watch, within: float) -> bool:
    """Ask now and at every wake that may mean it. Should one be lost: the rows of all watched runs are looked at."""
    deadline = time.monotonic() + within
    while not await sync_to_async(_ask, thread_sensitive=False)(question, watch):
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        await watch.wait_for_end(left)
    return True


def _ask(question: Callable[[UUID], bool], watch: Watch) -> bool:
    """Ask, and let go of the connection: waiting must not use up the pool. A database that is away says nothing."""
    assert watch.run_id is not None  # noqa: S101 - for the type checker
    try:
        return question(watch.run_id)
    except (OperationalError, InterfaceError):
        return False
    finally:
        give_back_connection()


def give_back_thread() -> None:
    """End the thread in which this request's view has run; to be called when what is left of the answer is awaited.

    Django keeps it until the answer is complete, which for a stream may be hours, with the stack it has grown. Should
    the request need one again (it does to close its response), it gets a new one. A connection that a middleware has
    opened after the view would be lost with the thread, and its place in the pool for ever.
    """
    context = SyncToAsync.thread_sensitive_context.get(None)
    if context is None or getattr(context, "_executor", None) is not None:  # then it belongs to whoever called Django
        return
    executor = SyncToAsync.context_to_thread_executor.pop(context, None)
    if executor is not None:
        executor.submit(connections.close_all)
        executor.shutdown(wait=False)


def give_back_connection() -> None:
    """Return this thread's connection to the pool, unless a transaction is using it."""
    if not connection.in_atomic_block:
        connection.close()
