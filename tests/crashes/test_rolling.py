"""A deploy under load: web processes and workers are replaced one by one, and clients notice at most a reconnect."""

import signal
from collections.abc import Iterator

import pytest

from runs.models import Run
from runs.services.api_keys import create_api_key
from runs.states import RunStatus
from tests.support.factories import make_actor
from tests.support.ledger import entries
from tests.support.scale import rounds
from tests.support.stack import Stack
from tests.support.stage import empty_queue
from tests.support.visitors import Visit, Visitors

pytestmark = [pytest.mark.usefixtures("db", "intact", "swept"), pytest.mark.timeout(3600)]

PAID = {"paid 0", "paid 1", "paid 2"}


@pytest.fixture(scope="module")
def stack(db: None) -> Iterator[Stack]:
    """Two of each."""
    empty_queue()
    with Stack(workers=2, webs=2) as stack:
        yield stack


def test_rolling_restart(stack: Stack) -> None:
    key = create_api_key(owner=make_actor().owner, name="deploy")[1]
    body = {"assistant_id": "payer", "input": {"seconds": 0.5}}
    with Visitors([web.url for web in stack.webs], key, body=body) as visitors:
        visitors.wait_for_more(4)
        for _ in range(rounds(20)):
            deploy(stack)
        visitors.wait_for_more(4)
    assert sum(visit.cuts for visit in visitors.visits) > 0
    for visit in visitors.visits:
        check(visit)


def deploy(stack: Stack) -> None:
    """The new worker is there before the old one goes; a web process comes back where it was."""
    former, successors = list(stack.workers), [stack.new_worker() for _ in stack.workers]
    stack.workers += successors
    for new in successors:  # they need a while, in which the web processes are replaced
        new.launch()
    for web in stack.webs:
        web.stop()
        web.start()
    for old, new in zip(former, successors, strict=True):
        new.wait_until_ready()
        old.send(signal.SIGTERM)
        assert old.wait(60.0) == 0
        stack.workers.remove(old)


def check(visit: Visit) -> None:
    """The run succeeded, no crash was counted, and its client was shown that, each event once and in order."""
    run = Run.objects.get(pk=visit.run)
    assert (run.status, run.crashes) == (RunStatus.SUCCESS, 0), (visit, run.reason)
    starts = [entry.attempt for entry in entries(run.pk, "start")]
    assert starts == list(range(1, run.attempt + 1))
    if visit.how == "wait":
        assert set(visit.answer) >= PAID, visit
        return
    names = [event.name for event in visit.events]
    assert (names[-1], names.count("end"), set(names) & {"error", "gap"}) == ("end", 1, set()), visit
    places = [tuple(int(part) for part in event.id.split("-")) for event in visit.events if event.id]
    assert places == sorted(set(places)), visit
