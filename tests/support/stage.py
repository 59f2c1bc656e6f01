"""What tests with real workers share: committed rows that stay for a module, a ledger, and real publishing."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import override_settings
from pytest_django import DjangoDbBlocker

from tests.support.ledger import PATIENCE_SECONDS, VARIABLE, Entry, entries, wait_until

if TYPE_CHECKING:  # a conftest.py imports this before Django is set up
    from runs.models import Run, RunEvent


@pytest.fixture(scope="module")
def stage(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """For a module: rows are committed and stay, publishing is real, the ledger is empty and so is the queue.

    A worker keeps its row, so the tables are emptied when the module and its workers have ended.
    """
    from runs.assistants import registry
    from tests.support.assistants import paths

    with pytest.MonkeyPatch.context() as patch, django_db_blocker.unblock():
        patch.setenv(VARIABLE, str(tmp_path_factory.mktemp("ledger")))
        with override_settings(RUNS={**settings.RUNS, "ASSISTANTS": paths()}):
            registry.forget()
            empty_queue()
            yield
            empty_queue()
            call_command("flush", interactive=False, verbosity=0)
        registry.forget()


@pytest.fixture
def swept(db: None) -> Iterator[None]:
    """A test that fails leaves no run behind for the next one to stumble over."""
    yield
    from runs.actors import system
    from runs.errors import NotCancellable
    from runs.models import Run
    from runs.services.cancel import cancel_run

    for run_id in Run.objects.in_flight().values_list("pk", flat=True):
        with suppress(NotCancellable):  # it has just ended
            cancel_run(run_id=run_id, actor=system("tests"), force=True)


@pytest.fixture(scope="module")
def db(stage: None) -> None:
    """In place of pytest-django's, which rolls back; it makes the test database if a test asks for `db`."""


@contextmanager
def broker() -> Iterator[Any]:
    """The broker's own client."""
    from celery import current_app

    with current_app.connection_for_write() as connection:
        channel: Any = connection.default_channel
        yield channel.client


def empty_queue() -> None:
    """Forget every message, also those that a killed worker had taken."""
    with broker() as client:
        client.delete("runs", "unacked", "unacked_index", "unacked_mutex")


def queued_messages() -> int:
    """Messages that no worker has taken."""
    with broker() as client:
        return int(client.llen("runs"))


def messages() -> int:
    """Messages that are queued, or taken and not acknowledged: all that will ever be delivered."""
    with broker() as client:
        return int(client.llen("runs") + client.hlen("unacked"))


def nudge() -> None:
    """Publish everything that could be claimed now, as the scheduler does after the broker was away."""
    from runs.services.recover import dispatch_lost_runs, forget_dispatches

    forget_dispatches()
    dispatch_lost_runs()


def wait_for_start(run_id: UUID) -> Entry:
    """The first thing a worker does for the run; it is published every second, should the broker have lost it."""
    published = [0.0]

    def begun() -> list[Entry]:
        if time.monotonic() - published[0] > 1.0:
            published[0] = time.monotonic()
            nudge()
        return entries(run_id, "start")

    return wait_until(begun, f"run {run_id} to start", 60.0)[0]


def wait_for_status(run_id: UUID, status: str, seconds: float = PATIENCE_SECONDS) -> "Run":
    """The run, as soon as it has this status."""
    from runs.models import Run

    found = Run.objects.filter(pk=run_id, status=status)
    return wait_until(found.first, f"run {run_id} to be {status}", seconds)


def wait_until_settled(run_id: UUID) -> "Run":
    """The run, as soon as it is terminal and no worker holds it."""
    from runs.models import Run

    settled = Run.objects.filter(pk=run_id, finished_at__isnull=False, leased=False)
    return wait_until(settled.first, f"run {run_id} to be settled")


def head_values(run: "Run") -> Any:
    """The state of the run's thread now; None: it is empty."""
    from runs.models import Checkpoint

    return Checkpoint.objects.filter(head_of=run.thread_id).values_list("values", flat=True).first()


def settlement(run: "Run") -> "RunEvent":
    """The last event of a run's history."""
    event = run.events.last()
    assert event is not None
    return event


def error_of(run: "Run") -> dict[str, Any]:
    """The run's error."""
    assert run.error is not None
    error: dict[str, Any] = run.error
    return error
