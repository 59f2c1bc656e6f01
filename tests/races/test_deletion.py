"""Deleting what is being claimed, executed or created at the same moment."""

from functools import partial
from uuid import uuid4

import pytest

from runs.actors import Actor
from runs.errors import Fenced, ThreadDeleting, ThreadNotFound
from runs.models import Run, Thread
from runs.services.create import RunSpec, create_run
from runs.services.retention import remove_deleted_runs, remove_deleted_threads
from runs.services.threads import create_thread, delete_run, delete_thread
from runs.states import RunStatus
from tests.support.factories import (
    finish,
    leave,
    make_actor,
    make_run,
    make_thread,
    make_worker,
    running,
    step,
    try_claim,
)
from tests.support.race import racers
from tests.support.scale import rounds

pytestmark = [pytest.mark.usefixtures("intact"), pytest.mark.timeout(300)]


def test_a_run_deleted_while_it_is_claimed_is_interrupted_either_way() -> None:
    actor, worker = make_actor(), make_worker()
    with racers(2) as both:
        for _ in range(rounds(100)):
            thread = make_thread(actor)
            run = make_run(thread)
            delete = partial(delete_run, thread_id=thread.pk, run_id=run.pk, actor=actor)
            deleted, claimed = both([delete, partial(try_claim, run, worker)])
            assert deleted is None
            run.refresh_from_db()
            assert run.status == RunStatus.INTERRUPTED
            assert run.leased == (claimed is not None)
            assert remove_deleted_runs() == (not run.leased)
            if run.leased:
                leave(run)
                assert remove_deleted_runs() == 1


def test_a_thread_deleted_while_its_run_writes_or_ends_goes_when_the_run_has_left() -> None:
    actor, worker = make_actor(), make_worker()
    with racers(3) as three:
        for _ in range(rounds(100)):
            thread = make_thread(actor)
            run = running(thread, worker)
            delete = partial(delete_thread, thread_id=thread.pk, actor=actor)
            deleted, _, finished = three([delete, partial(step, run, page=1), partial(finish, run)])
            assert deleted is None
            assert isinstance(finished, Run | Fenced)
            if isinstance(finished, Fenced):
                assert remove_deleted_threads() == 0
                leave(run)
            assert remove_deleted_threads() == 1
            assert not Run.objects.filter(pk=run.pk).exists()
            with pytest.raises(Fenced):
                step(run, page=2)


def test_a_create_and_a_delete_of_the_thread_never_leave_a_run_in_flight() -> None:
    actor = make_actor()
    with racers(2) as both:
        for _ in range(rounds(100)):
            thread = make_thread(actor)
            created, deleted = both(
                [partial(make_run, thread), partial(delete_thread, thread_id=thread.pk, actor=actor)]
            )
            assert deleted is None
            assert isinstance(created, Run | ThreadNotFound)
            assert not Run.objects.filter(thread=thread).in_flight().exists()


def test_two_first_runs_of_one_new_thread_make_one_thread() -> None:
    actor = make_actor()
    spec = RunSpec(assistant="echo", multitask_strategy="enqueue", create_thread=True)
    with racers(4) as callers:
        for _ in range(rounds(50)):
            thread_id = uuid4()
            outcomes = callers([partial(create_run, thread_id=thread_id, spec=spec, actor=actor)] * 4)
            assert {outcome.run.thread_id for outcome in outcomes} == {thread_id}
            assert Run.objects.filter(thread=thread_id).count() == 4


def test_a_thread_is_made_anew_only_after_the_old_one_has_gone() -> None:
    actor: Actor = make_actor()
    with racers(2) as both:
        for _ in range(rounds(50)):
            thread = make_thread(actor)
            delete_thread(thread_id=thread.pk, actor=actor)
            removed, made = both([remove_deleted_threads, partial(create_thread, thread_id=thread.pk, actor=actor)])
            assert removed == 1
            assert isinstance(made, Thread | ThreadDeleting)
            assert Thread.objects.filter(pk=thread.pk).exists() == isinstance(made, Thread)
