"""What the wake of a run's end says is what a wait is answered that asks."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from runs.services.results import find_result
from runs.states import RunStatus
from runs.streaming import log, wakes
from tests.support.factories import make_run, make_thread
from tests.support.stage import wait_until_settled
from tests.support.watching import Eavesdropper
from tests.support.worker import WorkerProcess

pytestmark = pytest.mark.usefixtures("db", "intact", "swept")


@pytest.fixture(scope="module", params=["prefork", "async"])
def worker(db: None, request: pytest.FixtureRequest) -> Iterator[WorkerProcess]:
    """A worker of each kind."""
    with WorkerProcess(concurrency=2, pool=request.param) as worker:
        yield worker


@pytest.fixture
def eavesdropper(db: None) -> Iterator[Eavesdropper]:
    """Listens to all runs."""
    eavesdropper = Eavesdropper(log.channel(UUID(int=0)).replace(str(UUID(int=0)), "*"))
    yield eavesdropper
    eavesdropper.close()


def told(eavesdropper: Eavesdropper) -> list[Any]:
    """What is said of successes until the next end of a stream."""
    found: list[Any] = []
    while (said := wakes.parted(eavesdropper.next()))[0] != log.END_OF_STREAM:
        if said[0] == RunStatus.SUCCESS and said[1]:
            found.append(json.loads(said[1]))
    return found


#: A graph, what it is given, and whether its end can say what it answers: it writes a head with its end.
RUNS: list[tuple[str, Any, dict[str, Any], bool]] = [
    ("echo", {"text": "hi"}, {}, True),
    ("slow", {"n": 2, "tag": "A"}, {}, True),
    ("parent", {"log": ["in"]}, {}, True),
    ("parallel", {"log": ["in"]}, {}, True),
    ("hitl", {"question": "yes?"}, {}, True),
    ("asking_parent", {"log": ["in"]}, {}, False),
    ("slow", {"n": 3, "tag": "A"}, {"interrupt_after": ["step"]}, False),
    ("boom", {"msg": "kaput"}, {}, False),
]


@pytest.mark.parametrize("case", RUNS, ids=[case[0] for case in RUNS])
def test_what_is_told_is_what_is_answered(worker: WorkerProcess, eavesdropper: Eavesdropper, case: Any) -> None:
    graph, given, options, is_told = case
    run = make_run(make_thread(), assistant=graph, kwargs={"input": given, **options})
    wait_until_settled(run.pk)
    assert told(eavesdropper) == ([find_result(run.pk)] if is_told else [])


def test_an_answer_to_a_question(worker: WorkerProcess, eavesdropper: Eavesdropper) -> None:
    thread = make_thread()
    for kwargs in ({"input": {"question": "yes?"}}, {"command": {"resume": "yes!"}}):
        run = make_run(thread, assistant="hitl", kwargs=kwargs)
        wait_until_settled(run.pk)
        assert told(eavesdropper) == [find_result(run.pk)]
