"""What tests with real workers share: committed rows that stay for a module, a ledger, and real publishing."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import override_settings
from pytest_django import DjangoDbBlocker

from tests.support.ledger import VARIABLE, wait_until


@pytest.fixture(scope="module")
def stage(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """For a module: rows are committed and stay, publishing is real, the ledger is empty and so is the queue.

    A worker keeps its row, so the tables are emptied when the module and its workers have ended.
    """
    from runs.assistants import registry
    from tests.support.assistants import ASSISTANTS

    names = {name: f"tests.support.assistants:{name}" for name in ASSISTANTS}
    with pytest.MonkeyPatch.context() as patch, django_db_blocker.unblock():
        patch.setenv(VARIABLE, str(tmp_path_factory.mktemp("ledger")))
        with override_settings(RUNS={**settings.RUNS, "ASSISTANTS": names}):
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
    from runs.models import Run
    from runs.services.cancel import cancel_run

    for run_id in Run.objects.in_flight().values_list("pk", flat=True):
        cancel_run(run_id=run_id, actor=system("tests"), force=True)


@pytest.fixture(scope="module")
def db(stage: None) -> None:
    """In place of pytest-django's, which rolls back; it makes the test database if a test asks for `db`."""


def empty_queue() -> None:
    """Forget every message, also those that a killed worker had taken."""
    from celery import current_app

    with current_app.connection_for_write() as connection:
        connection.default_channel.client.delete("runs", "unacked", "unacked_index", "unacked_mutex")


def queued_messages() -> int:
    """Messages that no worker has taken."""
    from celery import current_app

    with current_app.connection_for_write() as connection:
        return int(connection.default_channel.client.llen("runs"))


def messages() -> int:
    """Messages that are queued, or taken and not acknowledged: all that will ever be delivered."""
    from celery import current_app

    with current_app.connection_for_write() as connection:
        return queued_messages() + int(connection.default_channel.client.hlen("unacked"))


def status_of(run_id: UUID) -> str:
    """The status of the run's row now."""
    from runs.models import Run

    return Run.objects.values_list("status", flat=True).get(pk=run_id)


def wait_for_status(run_id: UUID, status: str) -> Any:
    """The run, as soon as it has this status."""
    from runs.models import Run

    wait_until(lambda: status_of(run_id) == status, f"run {run_id} to be {status}")
    return Run.objects.select_related("thread__head").get(pk=run_id)


def wait_until_settled(run_id: UUID) -> Any:
    """The run, as soon as it is terminal and no worker holds it."""
    from runs.models import Run

    settled = Run.objects.filter(pk=run_id, finished_at__isnull=False, leased=False)
    return wait_until(lambda: settled.select_related("thread__head").first(), f"run {run_id} to be settled")
