"""Rivals put exactly between two steps of a service: whoever holds the thread's lock wins, the other one learns it."""

from functools import partial

import pytest
from django.db import transaction

from runs.errors import Fenced, NotCancellable, ThreadBusy
from runs.locks import lock_thread
from runs.models import Checkpoint, Run, Thread
from runs.services.cancel import cancel_run, cancel_runs
from runs.services.progress import Report, report_progress
from runs.states import RunStatus
from tests.races import windows
from tests.support.factories import (
    SYSTEM,
    claim,
    finish,
    history,
    leave,
    make_run,
    make_thread,
    make_worker,
    running,
    step,
    try_claim,
)
from tests.support.fixtures import Outbox
from tests.support.race import Rival, rival_before
from tests.support.scale import rounds

pytestmark = [pytest.mark.usefixtures("intact"), pytest.mark.timeout(300)]


def test_the_second_reject_waits_and_finds_the_thread_busy() -> None:
    first, second = windows.admit_while_admitting()
    assert isinstance(first, Run)
    assert isinstance(second, ThreadBusy)


def test_a_checkpoint_that_waited_behind_a_rollback_changes_nothing() -> None:
    for _ in range(rounds(200)):
        thread, run, outcome = windows.write_while_rolling_back()
        assert isinstance(outcome, Fenced)
        assert thread.head_id == run.base_id
        assert thread.head is not None
        assert thread.head.values == {"page": 0}


def test_a_change_of_the_state_that_waited_behind_a_create_is_refused() -> None:
    assert isinstance(windows.change_the_state_while_admitting(), ThreadBusy)


def test_a_run_that_waited_behind_a_change_of_the_state_goes_on_from_it() -> None:
    run, changed = windows.begin_while_the_state_is_changed()
    assert run.base_id == changed


def test_a_finish_that_waited_behind_a_create_dispatches_the_new_run(outbox: Outbox) -> None:
    for _ in range(rounds(200)):
        successor, published = windows.finish_while_enqueueing(outbox)
        assert published == [successor.pk]


def test_a_rollback_of_the_second_attempt_returns_to_before_the_first() -> None:
    thread, before = windows.roll_back_the_second_attempt()
    assert thread.head_id == before
    assert before is not None


def test_a_finish_that_waited_behind_a_cancel_is_fenced() -> None:
    run = running(make_thread())
    with rival_before("runs.services.cancel.stop_run", lambda: finish(run, page=1)) as late:
        cancel_run(run_id=run.pk, actor=SYSTEM)
    assert isinstance(late.outcome(), Fenced)
    run.refresh_from_db()
    assert (run.status, run.leased) == (RunStatus.INTERRUPTED, True)
    assert run.thread.head_id is None


def test_a_cancel_that_waited_behind_a_finish_is_told_the_status() -> None:
    run = running(make_thread())
    with rival_before("runs.services.lifecycle.load_attempt", lambda: cancel_run(run_id=run.pk, actor=SYSTEM)) as late:
        finish(run)
    refused = late.outcome()
    assert isinstance(refused, NotCancellable)
    assert refused.extra == {"status": "success"}
    assert history(run) == [(None, "pending"), ("pending", "running"), ("running", "success")]


def test_a_claim_that_waited_behind_a_cancel_finds_nothing_to_do() -> None:
    run = make_run(make_thread())
    with rival_before("runs.services.cancel.stop_run", lambda: try_claim(run)) as late:
        cancel_run(run_id=run.pk, actor=SYSTEM)
    assert late.outcome() is None
    assert history(run) == [(None, "pending"), ("pending", "interrupted")]


def test_a_write_that_waited_behind_the_end_of_its_lease_is_fenced() -> None:
    thread = make_thread()
    run = running(thread)
    step(run, page=1)
    with rival_before("runs.services.lifecycle._hand_back", lambda: step(run, page=2)) as late:
        leave(run)
    assert isinstance(late.outcome(), Fenced)
    again = claim(run)
    thread.refresh_from_db()
    assert (again.attempt, thread.head_id) == (2, None)


def test_a_stopping_run_keeps_the_next_one_waiting() -> None:
    assert windows.claim_beside_a_stopping_run() is None


def test_a_bulk_cancel_of_what_waits_spares_what_has_begun_meanwhile() -> None:
    run, worker = make_run(make_thread()), make_worker()
    with rival_before("runs.services.cancel._cancel_on_thread", lambda: try_claim(run, worker)):
        assert cancel_runs(actor=SYSTEM, statuses=[RunStatus.PENDING]) == []
    run.refresh_from_db()
    assert run.status == RunStatus.RUNNING


def test_a_report_does_not_wait_for_the_lock_of_the_thread() -> None:
    """Whoever inserts a row that refers to a locked one does not wait either: the locks are FOR NO KEY UPDATE."""
    run = running(make_thread())
    report = partial(report_progress, run_id=run.pk, attempt=1, report=Report(message_count=1))
    with transaction.atomic():
        lock_thread(run.thread_id)
        assert Rival(report).start().wait_until_blocked_or_done().done
        assert Rival(partial(insert_beside, run)).start().wait_until_blocked_or_done().done


def test_the_same_insert_waits_for_a_plain_for_update() -> None:
    run = running(make_thread())
    inserting = Rival(partial(insert_beside, run))
    with transaction.atomic():
        Thread.objects.select_for_update().get(pk=run.thread_id)
        assert not inserting.start().wait_until_blocked_or_done().done
    inserting.outcome()


def insert_beside(run: Run) -> None:
    """A row that refers to the thread."""
    Checkpoint.objects.create(thread_id=run.thread_id, step=0)
