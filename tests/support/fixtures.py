"""Fixtures that several directories share; their conftest.py imports them.

The app is imported inside: a conftest.py is loaded before the engines run and settings can be read.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from pytest_django import Settings


@dataclass
class Outbox:
    """What has left the database after commits, instead of the broker."""

    published: list[UUID] = field(default_factory=list)
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def commands(self) -> list[str]:
        """The names of the control commands, in order."""
        return [command for command, _ in self.told]

    def clear(self) -> None:
        """Forget what was sent so far."""
        self.published.clear()
        self.told.clear()


@pytest.fixture
def outbox(monkeypatch: pytest.MonkeyPatch) -> Outbox:
    """Record at the sending end, so that whatever decides about sending is the real thing."""
    from runs import broker, dispatch

    box = Outbox()

    def send_task(name: str, *, task_id: str, args: tuple[str, ...], **options: Any) -> None:
        assert (name, args) == (dispatch.EXECUTE_RUN, (task_id,))
        box.published.append(UUID(task_id))

    monkeypatch.setattr(broker, "send_task", send_task)
    monkeypatch.setattr(broker, "broadcast", lambda command, arguments: box.told.append((command, arguments)))
    monkeypatch.setattr(broker, "revoke", lambda task_id: box.told.append(("revoke", {"task_id": task_id})))
    monkeypatch.setattr(dispatch._messenger, "post", lambda what, send: send())
    return box


@pytest.fixture
def assistants(settings: Settings) -> Iterator[None]:
    """The assistants of tests/support/factories.py are registered, and no others."""
    from runs.assistants import registry
    from tests.support.factories import ASSISTANTS

    settings.RUNS = {**settings.RUNS, "ASSISTANTS": ASSISTANTS}
    registry.forget()
    yield
    registry.forget()


@pytest.fixture
def registered(assistants: None) -> None:
    """They are in the database, too, as after `manage.py register_assistants`. Needs `db` or `transactional_db`."""
    from runs.services.registration import register_assistants

    register_assistants()


@pytest.fixture
def intact(request: pytest.FixtureRequest) -> Iterator[None]:
    """When the test is over, nothing that the database can show is wrong. Needs `db` or `transactional_db` before."""
    assert {"db", "transactional_db"} & set(request.fixturenames)
    yield
    from runs.services.invariants import find_violations, missing_constraints

    found = [str(violation) for violation in (*missing_constraints(), *find_violations())]
    assert found == [], found
