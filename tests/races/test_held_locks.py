"""One thread whose row somebody holds keeps nobody from the others."""

import threading
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from pytest_django import Settings

from runs import locks
from runs.execution.clerk import Clerk
from runs.execution.persistence import DATABASE_TROUBLE, is_transient
from runs.locks import bounded_lock_waits, is_lock_timeout, lock_thread, try_lock_keys
from runs.models import ClockTimestamp, IdempotencyKey, Run, Thread
from runs.services.idempotency import Idempotency, take_key
from runs.services.lifecycle import time_out_run
from runs.services.recover import recover_stalled_runs, time_out_overdue_runs
from runs.services.retention import forget_idempotency_keys, remove_deleted_runs
from runs.services.threads import delete_run
from runs.states import RunStatus
from tests.support.api import assert_problem, make_api
from tests.support.factories import (
    SYSTEM,
    bury,
    create,
    finish,
    make_actor,
    make_overdue,
    make_run,
    make_thread,
    make_worker,
    running,
    stored,
)
from tests.support.race import Rival, wait_for

pytestmark = [pytest.mark.usefixtures("intact")]


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "LOCK_WAIT_SECONDS", 0.05)


def hold(thread: Thread) -> None:
    """Hold the thread's row until the transaction ends."""
    Thread.objects.select_for_update(no_key=True).get(pk=thread.pk)


def is_timed_out(run: Run) -> bool:
    return stored(run).status == RunStatus.TIMEOUT


def test_a_sweep_passes_over_a_thread_that_is_held() -> None:
    held, free = make_thread(), make_thread()
    runs = [make_overdue(running(thread)) for thread in (held, free)]
    with transaction.atomic():
        hold(held)
        assert Rival(time_out_overdue_runs).start().outcome() == 1
    assert [is_timed_out(run) for run in runs] == [False, True]
    assert time_out_overdue_runs() == 1


def test_recovery_passes_over_a_thread_that_is_held() -> None:
    held, free, worker = make_thread(), make_thread(), make_worker()
    runs = [running(thread, worker) for thread in (held, free)]
    bury(worker)
    with transaction.atomic():
        hold(held)
        assert Rival(recover_stalled_runs).start().outcome() == 1
    assert [stored(run).leased for run in runs] == [True, False]
    assert recover_stalled_runs() == 1


def test_the_clerk_does_the_other_jobs_first_and_then_what_was_held() -> None:
    held, free = make_thread(), make_thread()
    runs = [make_overdue(running(thread)) for thread in (held, free)]
    clerk = Clerk()
    with transaction.atomic():
        hold(held)
        for run in runs:
            clerk.submit(str(run.pk), partial(time_out_run, run_id=run.pk, attempt=1, actor=SYSTEM))
        clerk.start()
        wait_for(lambda: is_timed_out(runs[1]))
        assert not is_timed_out(runs[0])
    clerk.stop(30.0)
    assert is_timed_out(runs[0])


def test_a_clerk_that_is_stopped_finishes_what_it_put_off() -> None:
    done: list[str] = []
    clerk = Clerk()

    def held_once() -> None:
        done.append("tried")
        if done == ["tried"]:
            clerk._jobs.put(None)  # stopped meanwhile
            raise OperationalError from type("Held", (Exception,), {"sqlstate": "55P03"})()

    clerk.submit("a", held_once)
    clerk.start()
    clerk._thread.join(30.0)
    assert done == ["tried", "tried"]


def test_only_who_serves_many_threads_stops_waiting() -> None:
    thread = make_thread()

    def wait(bounded: bool) -> Thread:
        with transaction.atomic():
            return lock_thread(thread.pk).thread

    def wait_a_while() -> Thread:
        with bounded_lock_waits():
            return wait(True)

    with transaction.atomic():
        hold(thread)
        refused = Rival(wait_a_while).start().outcome()
        patient = Rival(partial(wait, False)).start().wait_until_blocked_or_done()
        assert not patient.done
    assert patient.outcome() == thread
    assert isinstance(refused, OperationalError)
    assert is_lock_timeout(refused)
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("0",)


@pytest.mark.parametrize(("seconds", "kept"), [(0.2, False), (0.0, True)])
def test_who_stands_still_in_a_transaction_loses_its_locks(seconds: float, kept: bool, settings: Settings) -> None:
    """Otherwise nobody could recover the run of a machine that was stopped in the middle of one."""
    settings.RUNS = {**settings.RUNS, "TRANSACTION_IDLE_SECONDS": seconds}
    thread, locked, go_on = make_thread(), threading.Event(), threading.Event()

    def stand_still() -> int:
        with transaction.atomic():
            lock_thread(thread.pk)
            locked.set()
            go_on.wait(30.0)
            return Thread.objects.filter(pk=thread.pk).update(error={"late": True})

    def lock() -> Thread:
        with transaction.atomic():
            return lock_thread(thread.pk).thread

    still = Rival(stand_still).start()
    assert locked.wait(30.0)
    other = Rival(lock).start()
    if kept:
        other.wait_until_blocked_or_done()
        assert not other.done
        go_on.set()
    assert other.outcome() == thread
    go_on.set()
    outcome = still.outcome()
    thread.refresh_from_db()
    if kept:
        assert (outcome, thread.error) == (1, {"late": True})
    else:
        assert isinstance(outcome, DATABASE_TROUBLE)
        assert is_transient(outcome)
        assert thread.error is None


def test_a_request_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "REQUEST_LOCK_WAIT_SECONDS", 0.2)
    api, thread = make_api(), make_thread(make_actor("ada"))
    run = make_run(thread)
    requests = [
        partial(api.post, f"/threads/{thread.pk}/runs", {"assistant_id": "echo", "multitask_strategy": "enqueue"}),
        partial(api.post, f"/threads/{thread.pk}/runs/{run.pk}/cancel"),
        partial(api.patch, f"/threads/{thread.pk}", {"metadata": {"a": 1}}),
        partial(api.delete, f"/threads/{thread.pk}"),
    ]
    with transaction.atomic():
        hold(thread)
        answers: list[Any] = [Rival(request).start().outcome() for request in requests]
    for answer in answers:
        assert_problem(answer, 503, "thread_locked", "it was not changed")
        assert int(answer["Retry-After"]) > 0
    assert list(thread.runs.all()) == [run]
    assert api.post(f"/threads/{thread.pk}/runs/{run.pk}/cancel").status_code == 202


def test_a_request_does_not_wait_for_ever_for_a_twin_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor may every twin wait as long as all those before it together."""
    monkeypatch.setattr(locks, "REQUEST_LOCK_WAIT_SECONDS", 0.2)
    api, thread = make_api(), make_thread(make_actor("ada"))
    path, body = f"/threads/{thread.pk}/runs", {"assistant_id": "echo"}
    create_once = partial(api.post, path, body, Idempotency_Key="k")
    with transaction.atomic():
        assert take_key(Idempotency.of(key="k", route=f"POST {path}", body=body), make_actor("ada")) is None
        answer: Any = Rival(create_once).start().outcome()
    assert_problem(answer, 503, "thread_locked", "it was not changed")
    assert not thread.runs.exists()


def test_of_several_threads_those_before_the_held_one_are_deleted_and_the_answer_does_not_deny_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(locks, "REQUEST_LOCK_WAIT_SECONDS", 0.2)
    api, (first, held) = make_api(), [make_thread(make_actor("ada")) for _ in range(2)]
    prune = partial(api.post, "/threads/prune", {"thread_ids": [str(first.pk), str(held.pk)]})
    with transaction.atomic():
        hold(held)
        answer: Any = Rival(prune).start().outcome()
    assert_problem(answer, 503, "thread_locked", "this thread for too long, so it was not changed")
    assert [bool(Thread.objects.get(pk=thread.pk).deleted_at) for thread in (first, held)] == [True, False]
    assert prune().json() == {"pruned_count": 1}


def keys_of(*runs: Run) -> None:
    """Give every run a key that has grown old."""
    for run in runs:
        key = Idempotency.of(key=str(run.pk), route="r", body={})
        IdempotencyKey.objects.create(owner=run.owner, route="r", key=key.key, fingerprint=key.fingerprint, run=run)
    IdempotencyKey.objects.update(created_at=ClockTimestamp() - timedelta(days=9))


def test_forgetting_keys_passes_over_one_that_is_held() -> None:
    runs = [make_run(make_thread()) for _ in range(3)]
    keys_of(*runs)
    with transaction.atomic():
        IdempotencyKey.objects.select_for_update().get(run=runs[0])
        assert Rival(forget_idempotency_keys).start().outcome() == 2
    assert [key.run for key in IdempotencyKey.objects.all()] == [runs[0]]
    assert forget_idempotency_keys() == 1


def test_a_run_whose_key_is_held_is_removed_later() -> None:
    thread = make_thread()
    run = finish(running(thread))
    keys_of(run)
    delete_run(thread_id=thread.pk, run_id=run.pk, actor=SYSTEM)
    with transaction.atomic():
        IdempotencyKey.objects.select_for_update().get(run=run)
        assert Rival(remove_deleted_runs).start().outcome() == 0
        assert Rival(lambda: in_transaction(run)).start().outcome() is None
    assert remove_deleted_runs() == 1


def in_transaction(run: Run) -> object:
    with transaction.atomic():
        return try_lock_keys(run.pk)


def test_a_key_that_is_forgotten_while_it_is_asked_for_makes_a_new_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from runs.services import idempotency as module

    thread, key = make_thread(), Idempotency.of(key="k", route="r", body={})
    first = create(thread, idempotency=key).run
    insert, tries = module._insert, list[bool]()

    def insert_and_lose(*args: object) -> bool:
        tries.append(insert(*args))  # type: ignore[arg-type]
        if tries == [False]:
            Rival(lambda: IdempotencyKey.objects.all().delete()).start().outcome()
        return tries[-1]

    monkeypatch.setattr(module, "_insert", insert_and_lose)
    second = create(thread, idempotency=key)
    assert (tries, second.replayed, second.run == first) == ([False, True], False, False)
