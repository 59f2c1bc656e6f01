"""Sweeps: one failure is one failure, and what a broker may have lost is dispatched again soon."""

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import pytest
import redis
from celery import current_app
from django.core.management import call_command
from django.db import DatabaseError, connection
from pytest_django import Settings

from runs import dispatch, sentinel
from runs import scheduler as scheduler_module
from runs.locks import LockedThread
from runs.models import Run, Worker
from runs.scheduler import Scheduler
from runs.sentinel import KEY, Sentinel
from runs.services import recover, retention, workers
from runs.services.transition import dispatch_next
from tests.support.factories import expire, make_run, make_thread, make_worker, stored
from tests.support.fixtures import Outbox

pytestmark = pytest.mark.usefixtures("commits")


@pytest.fixture(autouse=True)
def known_broker(settings: Settings) -> None:
    """The broker has the sentinel's key, and burials need no patience."""
    settings.RUNS = {**settings.RUNS, "LEASE_SECONDS": 0.0}
    with redis.Redis.from_url(current_app.conf.broker_url) as client:
        client.set(KEY, "1")


def empty_broker() -> None:
    with redis.Redis.from_url(current_app.conf.broker_url) as client:
        client.delete(KEY)


def fail(error: Exception) -> Callable[..., Any]:
    def action(*_: Any, **__: Any) -> Any:
        raise error

    return action


def lost_worker() -> Worker:
    worker = make_worker()
    expire(worker)
    return worker


def is_buried(worker: Worker) -> bool:
    worker.refresh_from_db()
    return worker.buried_at is not None


@pytest.mark.parametrize(("standstill", "buried"), [(0.0, True), (2.1, False)])
def test_after_a_standstill_of_the_database_workers_may_renew_first(
    standstill: float, buried: bool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was cut off: an answer took longer than half a lease, and nobody could renew meanwhile."""
    settings.RUNS = {**settings.RUNS, "LEASE_SECONDS": 4.0}

    def find(limit: int) -> Sequence[UUID]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(%s)", [standstill])
        return workers.expired_workers(limit)

    monkeypatch.setattr(recover, "expired_workers", find)
    worker, scheduler = lost_worker(), Scheduler(_connected_since=time.monotonic() - 60)
    scheduler.sweep()
    assert is_buried(worker) == buried


def test_after_a_standstill_of_the_scheduler_workers_may_renew_first(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have stood still together with them."""
    settings.RUNS = {**settings.RUNS, "LEASE_SECONDS": 4.0}
    worker, scheduler = lost_worker(), Scheduler(_connected_since=time.monotonic() - 60)
    monkeypatch.setattr(scheduler_module, "NAP_SECONDS", 2.1)
    settings.RUNS = {**settings.RUNS, "SWEEP_SECONDS": 2.1}
    scheduler._pause()
    scheduler.sweep()
    assert not is_buried(worker)


@pytest.mark.parametrize("error", [DatabaseError("no"), ZeroDivisionError()])
def test_an_action_that_fails_ends_neither_the_sweep_nor_the_wait_before_burials(
    error: Exception, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recover, "time_out_overdue_runs", fail(error))
    monkeypatch.setattr(retention, "remove_deleted_runs", fail(error))
    worker, scheduler = lost_worker(), Scheduler()
    scheduler.sweep()
    assert is_buried(worker)
    assert scheduler._connected_since is not None


def test_a_lost_connection_ends_the_sweep_and_starts_the_wait_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = Scheduler(_connected_since=1.0)

    def cut_off() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return 0

    monkeypatch.setattr(recover, "time_out_overdue_runs", cut_off)
    worker = lost_worker()
    scheduler.sweep()
    assert scheduler._connected_since is None
    assert not is_buried(worker)


@pytest.mark.parametrize("error", [DatabaseError("no"), ZeroDivisionError()])
def test_an_item_that_fails_is_passed_over(error: Exception, outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = (make_run(make_thread()) for _ in range(2))
    recover.forget_dispatches()
    outbox.clear()

    def dispatch_but_one(locked: LockedThread) -> Run | None:
        return fail(error)() if bad in locked.runs else dispatch_next(locked)

    monkeypatch.setattr(recover, "dispatch_next", dispatch_but_one)
    Scheduler().sweep()
    assert outbox.published == [good.pk]
    assert stored(bad).dispatched_at is None


def test_an_emptied_broker_is_noticed_once(outbox: Outbox) -> None:
    run, scheduler = make_run(make_thread()), Scheduler()
    outbox.clear()
    scheduler.sweep()
    assert outbox.published == []
    empty_broker()
    for _ in range(2):
        scheduler.sweep()
    assert outbox.published == [run.pk]


def test_an_emptied_broker_is_remembered_until_the_dispatches_are_forgotten(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, scheduler = make_run(make_thread()), Scheduler()
    outbox.clear()
    empty_broker()
    with monkeypatch.context() as failing:
        failing.setattr(recover, "forget_dispatches", fail(DatabaseError("no")))
        scheduler.sweep()
    assert outbox.published == []
    scheduler.sweep()
    assert outbox.published == [run.pk]


def test_after_an_outage_what_was_swallowed_is_published_at_once(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler, there = Scheduler(), current_app.conf.broker_url
    monkeypatch.setattr(sentinel, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(current_app.conf, "broker_url", "redis://127.0.0.1:1/0")
    dispatch._breaker.call("the broker's last message", fail(ConnectionError()))
    run = make_run(make_thread())
    scheduler.sweep()
    assert outbox.published == []
    monkeypatch.setattr(current_app.conf, "broker_url", there)
    for _ in range(2):
        scheduler.sweep()
    assert outbox.published == [run.pk]


@pytest.mark.parametrize(
    "url", ["redis+socket:///tmp/x.sock", "redis://127.0.0.1:1/0;redis://127.0.0.1:2/0", "redis://[", "amqp://x", ""]
)
def test_a_broker_that_cannot_be_asked_lost_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current_app.conf, "broker_url", url)
    asked = Sentinel()
    assert [asked.broker_may_have_lost_messages(), asked.broker_may_have_lost_messages()] == [False, False]


def test_a_signal_stops_the_scheduler_also_in_its_pause(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.RUNS = {**settings.RUNS, "SWEEP_SECONDS": 3600.0}
    handlers = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)}
    pause = Scheduler._pause

    def pause_and_be_told(self: Scheduler) -> None:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        pause(self)

    monkeypatch.setattr(Scheduler, "_pause", pause_and_be_told)
    monkeypatch.setenv("PGAPPNAME", "")  # so that what the command sets is undone
    try:
        call_command("run_scheduler")
    finally:
        for signum, handler in handlers.items():
            signal.signal(signum, handler)
