"""The thread of a stateless run goes with it, so nothing else is accepted on it: it would be hidden, and executed."""

import pytest

from runs.errors import ThreadDeleting
from runs.models import Thread, new_id
from runs.services.create import RunSpec, create_run
from runs.services.invariants import find_violations
from runs.states import MultitaskStrategy, RunStatus
from tests.support.factories import claim, create, finish, make_actor, stored

pytestmark = pytest.mark.usefixtures("db", "assistants")


@pytest.mark.parametrize("strategy", MultitaskStrategy)
def test_nothing_is_accepted_beside_a_stateless_run(strategy: MultitaskStrategy) -> None:
    spec = RunSpec(assistant="echo", create_thread=True, on_completion="delete")
    running = claim(create_run(thread_id=new_id(), spec=spec, actor=make_actor("ada")).run)
    thread = Thread.objects.get(pk=running.thread_id)
    with pytest.raises(ThreadDeleting):
        create(thread, strategy)
    assert stored(running).status == RunStatus.RUNNING
    finish(running)
    assert list(map(str, find_violations([thread.pk]))) == []
