"""A create that fails after it has displaced others: they go on, and nobody was told anything."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock
from uuid import UUID

import psycopg
import pytest
from django.db import DatabaseError, OperationalError

from runs import batches
from runs.actors import Actor
from runs.errors import OutcomeUnknown
from runs.locks import bounded_lock_waits, is_lock_timeout
from runs.models import Checkpoint, Run, RunEvent, Thread
from runs.services.create import CreatedRun, RunSpec, create_runs
from runs.states import MultitaskStrategy
from tests.support.factories import create, finish, make_actor, make_run, make_thread, running, step
from tests.support.fixtures import Outbox
from tests.support.race import rival_before
from tests.support.sent import somebody_else

pytestmark = pytest.mark.usefixtures("intact")

DISPLACING = [MultitaskStrategy.INTERRUPT, MultitaskStrategy.ROLLBACK]


def everything() -> list[Any]:
    """All rows of all tables that a create writes."""
    tables: list[Any] = [Thread, Run, RunEvent, Checkpoint]
    return [list(table.objects.order_by("pk").values()) for table in tables]


def busy_thread() -> tuple[Thread, Run]:
    """A thread with a run that has made a step, and one that waits."""
    thread = make_thread()
    finish(running(thread), page=0)
    run = running(thread)
    step(run, page=1)
    make_run(thread)
    return thread, run


@pytest.mark.parametrize("strategy", DISPLACING)
@pytest.mark.parametrize("failure", [DatabaseError, KeyboardInterrupt], ids=["insert fails", "caller is cancelled"])
def test_an_insert_that_fails_leaves_the_old_runs_untouched_and_unsignalled(
    strategy: MultitaskStrategy, failure: type[BaseException], outbox: Outbox
) -> None:
    thread, run = busy_thread()
    before = everything()
    outbox.clear()
    with mock.patch("runs.services.create.insert_run", side_effect=failure), pytest.raises(failure):
        create(thread, strategy)
    assert everything() == before
    assert (outbox.published, outbox.told) == ([], [])
    finish(run, page=2)


@pytest.mark.parametrize("strategy", DISPLACING)
def test_nobody_sees_a_displacement_before_the_new_run_exists(strategy: MultitaskStrategy, outbox: Outbox) -> None:
    thread, _ = busy_thread()
    outbox.clear()

    def look() -> tuple[list[str], list[UUID]]:
        assert outbox.told == []
        return list(thread.runs.order_by("sequence").values_list("status", flat=True)), outbox.published

    with rival_before("runs.services.create.accepted_on_commit", look) as reader:
        created = create(thread, strategy)
    assert reader.outcome() == (["success", "running", "pending"], [])
    assert outbox.commands() == ["interrupt_run", "revoke"]
    assert [run.status for run in created.displaced] == ["interrupted", "interrupted"]


def test_a_publish_that_fails_fails_nothing(outbox: Outbox) -> None:
    with mock.patch("runs.broker.send_task", side_effect=ConnectionError):
        run = make_run(make_thread())
    assert Run.objects.get(pk=run.pk).dispatches == 1


@contextmanager
def connection_breaks_at_commit(*, done: bool) -> Iterator[None]:
    """The answer to the next COMMIT is lost, with the commit done or not."""
    exchange = batches._exchange

    def without_answer(connection: Any, texts: Any, *, commits: bool) -> Any:
        if not commits:
            return exchange(connection, texts, commits=commits)
        if done:
            exchange(connection, texts, commits=commits)
        patched.stop()
        connection.close()
        raise psycopg.OperationalError("the connection is lost")

    patched = mock.patch.object(batches, "_exchange", without_answer)
    patched.start()
    yield


def test_a_create_whose_commit_was_done_but_not_answered_is_answered_and_published(outbox: Outbox) -> None:
    thread = make_thread()
    with connection_breaks_at_commit(done=True):
        run = make_run(thread)
    assert Run.objects.get(pk=run.pk).dispatches == 1
    assert outbox.published == [run.pk]


def test_a_create_whose_commit_may_not_have_been_done_says_so(outbox: Outbox) -> None:
    thread = make_thread()
    with connection_breaks_at_commit(done=False), pytest.raises(OutcomeUnknown) as unknown:
        make_run(thread)
    assert unknown.value.extra["thread_id"] == str(thread.pk)
    assert not Run.objects.exists()
    assert outbox.published == []


def test_what_the_database_refuses_at_the_end_is_no_unknown_outcome(outbox: Outbox) -> None:
    """It waited for a row that an insert refers to, and for no longer than it may."""
    thread = make_thread()
    with somebody_else() as other:
        other.execute("SELECT FROM auth_user WHERE id = %s FOR UPDATE", [thread.owner_id])
        with bounded_lock_waits(0.1), pytest.raises(OperationalError) as refused:
            make_run(thread)
    assert is_lock_timeout(refused.value)
    assert not Run.objects.exists()
    assert outbox.published == []


def batch(actor: Actor) -> list[CreatedRun]:
    """Two runs on threads of their own."""
    return create_runs(specs=[RunSpec(assistant="echo"), RunSpec(assistant="echo")], actor=actor)


def test_a_batch_whose_commit_was_done_but_not_answered_is_answered_and_published(outbox: Outbox) -> None:
    actor = make_actor()
    with connection_breaks_at_commit(done=True):
        created = batch(actor)
    assert outbox.published == [one.run.pk for one in created]
    assert Run.objects.count() == 2


def test_a_batch_whose_commit_may_not_have_been_done_says_so(outbox: Outbox) -> None:
    actor = make_actor()
    with connection_breaks_at_commit(done=False), pytest.raises(OutcomeUnknown):
        batch(actor)
    assert not Run.objects.exists()
    assert outbox.published == []
