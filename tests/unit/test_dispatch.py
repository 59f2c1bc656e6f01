"""What is sent after a commit: on commit only, bounded, and a broker that is away fails and slows nobody."""

import threading
from typing import Any
from unittest import mock

import pytest
from django.db import transaction

from runs import broker, dispatch
from runs.models import Run, Thread
from tests.support.fixtures import Outbox
from tests.support.race import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def closed_breaker() -> None:
    """No break lasts from another test."""
    dispatch.broker_is_back()


def run() -> Run:
    """A run that nobody stored."""
    return Run(thread=Thread(), assistant="echo", multitask_strategy="reject", attempt=2, status="interrupted")


def test_a_run_is_published_when_the_transaction_has_committed(outbox: Outbox) -> None:
    published = run()
    with transaction.atomic():
        dispatch.publish_on_commit(published)
        assert outbox.published == []
    assert outbox.published == [published.pk]


def test_nothing_is_sent_when_the_transaction_is_rolled_back(outbox: Outbox) -> None:
    with transaction.atomic():
        for send in (dispatch.publish_on_commit, dispatch.interrupt_on_commit, dispatch.force_stop_on_commit):
            send(run())
        dispatch.revoke_on_commit(run().pk)
        transaction.set_rollback(True)
    assert (outbox.published, outbox.told) == ([], [])


def test_workers_are_told_the_attempt_and_not_only_the_run(outbox: Outbox) -> None:
    stopped = run()
    dispatch.interrupt_on_commit(stopped)
    dispatch.force_stop_on_commit(stopped)
    dispatch.revoke_on_commit(stopped.pk)
    assert outbox.told == [
        ("interrupt_run", {"run_id": str(stopped.pk), "attempt": 2, "status": "interrupted"}),
        ("force_stop_run", {"run_id": str(stopped.pk), "attempt": 2}),
        ("revoke", {"task_id": str(stopped.pk)}),
    ]


def test_the_message_carries_ids_and_no_input(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(broker, "send_task", lambda name, **options: sent.append(options))
    published = run()
    published.kwargs = {"input": "a secret"}
    dispatch.publish_on_commit(published)
    assert sent[0]["args"] == (str(published.pk),)
    assert "secret" not in repr(sent)


def test_telling_workers_does_not_hold_up_the_caller() -> None:
    go_on = threading.Event()
    with mock.patch.object(broker, "broadcast", side_effect=lambda *_: go_on.wait()) as broadcast:
        dispatch.interrupt_on_commit(run())
        dispatch.interrupt_on_commit(run())
        wait_for(lambda: broadcast.call_count == 1)
        go_on.set()
        wait_for(lambda: broadcast.call_count == 2)
