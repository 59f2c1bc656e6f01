"""Waiting for a run without holding a thread or a database connection: by notification, and by looking now and then."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection

from runs.api.turns import give_back_turn
from runs.errors import RunNotFound
from runs.services.results import find_result, is_settled
from runs.streaming.hub import hub
from runs.streaming.watch import Watch

T = TypeVar("T")


async def result(watch: Watch, *, within: float, is_new: bool = False) -> dict[str, Any] | None:
    """Return what the run answers as soon as it is terminal, None if it is not `within` these seconds.

    The wake of its end may have said it, and nothing changes it any more.
    `is_new`: watched from before it was committed, so that there is nothing to ask before the first wake.
    """
    return await _answered(_find_result, watch, within, at_once=not is_new, heard=_heard_result)


async def settled(run_id: UUID, *, within: float) -> bool:
    """Return True as soon as the run is terminal and its executor has left, False if not `within` these seconds."""
    async with hub().watch(run_id) as watch:
        return bool(await _answered(lambda run_id: is_settled(run_id) or None, watch, within))


async def _answered(
    question: Callable[[UUID], T | None],
    watch: Watch,
    within: float,
    *,
    at_once: bool = True,
    heard: Callable[[Watch], T | None] = lambda _: None,
) -> T | None:
    """Ask now and at every wake that may mean it. Should one be lost: the rows of all watched runs are looked at."""
    deadline = time.monotonic() + within
    if not at_once:
        await watch.wait_for_end(within)
    while True:
        answer = heard(watch)
        if answer is None:
            answer = await asyncio.to_thread(lambda: _ask(question, watch))
        if answer is not None:
            return answer
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        await watch.wait_for_end(left)


def _ask(question: Callable[[UUID], T | None], watch: Watch) -> T | None:
    """Ask, and let go of the connection: waiting must not use up the pool. A database that is away says nothing."""
    assert watch.run_id is not None  # noqa: S101 - for the type checker
    try:
        return question(watch.run_id)
    except (OperationalError, InterfaceError):
        return None
    finally:
        give_back_connection()


def _heard_result(watch: Watch) -> dict[str, Any] | None:
    if watch.result is None:
        return None
    try:
        found = json.loads(watch.result)
    except ValueError:  # nothing that we have said
        return None
    return found if isinstance(found, dict) else None


def _find_result(run_id: UUID) -> dict[str, Any] | None:
    try:
        return find_result(run_id)
    except RunNotFound as error:  # it was removed while it was waited for
        return {"__error__": {"error": "RunNotFound", "message": error.message}}


def give_back_connection() -> None:
    """Return this thread's connection to the pool, unless a transaction is using it, and the turn that came with it."""
    if not connection.in_atomic_block:
        connection.close()
    give_back_turn()
