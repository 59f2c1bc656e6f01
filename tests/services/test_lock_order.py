"""Locks: the idempotency key, the thread, then the rest; nothing of a thread is written before its row is locked."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from runs.models import Run
from runs.services.cancel import cancel_runs
from runs.services.idempotency import Idempotency
from runs.services.lifecycle import time_out_run
from runs.services.progress import Report, report_progress
from runs.services.retry import retry_run
from runs.services.threads import delete_run, delete_thread, update_thread
from runs.statements import SEPARATOR
from runs.states import CancelAction, RunStatus
from tests.support.factories import (
    SYSTEM,
    cancel,
    claim,
    create,
    finish,
    leave,
    make_actor,
    make_overdue,
    make_run,
    make_thread,
    running,
    step,
)

pytestmark = pytest.mark.usefixtures("intact")

LOCK = re.compile(r'FROM "runs_(\w+)" .*FOR NO KEY UPDATE')
WRITE = re.compile(r'^(?:INSERT INTO|UPDATE|DELETE FROM) "runs_(\w+)"')


def locks_and_writes(act: Callable[[], Any]) -> list[str]:
    """The tables that were locked and written, in order, each time for the first time: "lock thread", "write run"."""
    with CaptureQueriesContext(connection) as captured:
        act()
    seen: list[str] = []
    for sql in (one for query in captured.captured_queries for one in query["sql"].split(SEPARATOR)):
        for what, pattern in (("lock", LOCK), ("write", WRITE)):
            if (found := pattern.search(sql)) and (entry := f"{what} {found[1]}") not in seen:
                seen.append(entry)
    return seen


def executing() -> Run:
    """A run that executes and has made a step; another one waits behind it."""
    thread = make_thread()
    run = running(thread)
    step(run, page=1)
    make_run(thread)
    return run


#: What is done to the run that executes, or to the other one on its thread.
SERVICES: dict[str, Callable[[Run], object]] = {
    "create": lambda run: create(run.thread),
    "create and displace": lambda run: create(run.thread, "rollback"),
    "retry": lambda run: retry_run(run_id=cancel(run).pk, actor=SYSTEM),
    "hand back": leave,
    "hand back and claim": lambda run: leave(run) and claim(run),
    "checkpoint": lambda run: step(run, page=2),
    "finish": lambda run: finish(run, page=2),
    "fail": lambda run: finish(run, RunStatus.ERROR),
    "time out": lambda run: time_out_run(run_id=run.pk, attempt=1, actor=SYSTEM),
    "cancel": cancel,
    "roll back": lambda run: cancel(run, CancelAction.ROLLBACK),
    "cancel many": lambda run: cancel_runs(actor=SYSTEM, thread_id=run.thread_id),
    "delete run": lambda run: delete_run(thread_id=run.thread_id, run_id=run.pk, actor=SYSTEM),
    "delete thread": lambda run: delete_thread(thread_id=run.thread_id, actor=SYSTEM),
    "update thread": lambda run: update_thread(thread_id=run.thread_id, actor=SYSTEM, metadata={}),
}


@pytest.mark.parametrize("service", SERVICES)
def test_the_thread_is_locked_before_anything_of_it_is_written(service: str) -> None:
    run = make_overdue(executing())
    order = locks_and_writes(lambda: SERVICES[service](run))
    assert order[0] == "lock thread"
    assert any(entry.startswith("write") for entry in order)


def test_an_idempotency_key_comes_before_the_thread() -> None:
    thread = make_thread()
    key = Idempotency.of(key="k", route="r", body={})
    order = locks_and_writes(lambda: create(thread, idempotency=key))
    assert order[:2] == ["write idempotencykey", "lock thread"]


def test_a_write_that_moves_the_head_locks_the_thread_and_then_the_attempt() -> None:
    for write in ("checkpoint", "finish"):
        order = locks_and_writes(partial(SERVICES[write], executing()))
        assert order[:2] == ["lock thread", "lock run"]


def test_a_report_locks_the_attempt_alone() -> None:
    run = executing()
    report = Report(message_count=1)
    order = locks_and_writes(lambda: report_progress(run_id=run.pk, attempt=1, report=report))
    assert order == ["lock run", "write run"]


def test_plain_for_update_is_never_asked_for_a_thread_or_a_run() -> None:
    actor = make_actor()
    with CaptureQueriesContext(connection) as captured:
        thread = make_thread(actor)
        run = running(thread)
        step(run, page=1)
        create(thread, "rollback")
        leave(run)
        delete_thread(thread_id=thread.pk, actor=actor)
    statements = [query["sql"] for query in captured.captured_queries]
    assert [sql for sql in statements if "FOR UPDATE" in sql] == []
    assert any("FOR NO KEY UPDATE" in sql for sql in statements)
