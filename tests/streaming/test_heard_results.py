"""The wake of a run's end may say what the run answers: then a wait asks nobody, and answers the same."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from runs.api import waiting
from runs.api.waiting import result
from runs.models import Checkpoint, Run
from runs.models.fields import new_checkpoint_id
from runs.services import results
from runs.services.graph_checkpoints import GraphCheckpoint, GraphTasks
from runs.services.graph_writes import RootStep
from runs.services.lifecycle import Outcome, finish_run
from runs.services.results import find_result
from runs.states import RunStatus
from runs.streaming import hub as hubs
from runs.streaming import log, wakes
from runs.streaming.connection import writer
from runs.streaming.watch import Watch
from tests.support.factories import cancel, make_thread, running, step, stored
from tests.support.handwritten import put, running_run
from tests.support.ledger import wait_until
from tests.support.reading import Loop
from tests.support.watching import Watcher

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def loop(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loop]:
    """A loop of its own, in which no row is looked at unless somebody asks."""
    monkeypatch.setattr(hubs, "LOOK_EVERY_SECONDS", 3600.0)
    with Loop() as loop:
        first = Watcher(loop, uuid4()).ready()
        wait_until(lambda: first.watch and first.watch.looked, "the look at the begin of a hub")
        yield loop


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The status that each question for a result has found."""
    asked: list[str] = []

    def ask(run_id: UUID) -> dict[str, Any] | None:
        asked.append(Run.objects.get(pk=run_id).status)
        return find_result(run_id)

    monkeypatch.setattr(waiting, "find_result", ask)
    return asked


class Waiting:
    """Somebody who waits for the run's result, and has asked once."""

    def __init__(self, loop: Loop, run: Run, asked: list[str]) -> None:
        self.watch: Watch | None = None
        self._answer = loop.start(self._wait(loop, run))
        wait_until(lambda: asked and self.watch, "the first question")

    async def _wait(self, loop: Loop, run: Run) -> Any:
        async with loop.hub.watch(run.pk) as self.watch:
            return await result(self.watch, within=30.0)

    def answer(self) -> Any:
        """What it was told."""
        return self._answer.result(30)


def finish(run: Run, values: dict[str, Any] | None = None, *, is_heard: bool = True) -> Run:
    """The run, ended by itself while somebody listens."""
    outcome = Outcome(status=RunStatus.SUCCESS, values=values)
    return finish_run(run_id=run.pk, attempt=run.attempt, outcome=outcome, is_heard=is_heard)


VALUES: list[dict[str, Any]] = [
    {"answer": 42},
    {"a": [1, 2.5, 1e-7, 10**30, True, None], "b": {"\u00e9\n": '\u2028 \\ " \x7f'}, "": {}},
    {"large": "x" * (wakes.MOST_CARRIED - 100)},
]
LEFT_TO_POSTGRESQL: list[dict[str, Any]] = [
    {"large": "x" * wakes.MOST_CARRIED},
    {"float": 1e16},
    {"float": [-2.5e300]},
    {"zero": -0.0},
]


@pytest.mark.parametrize("values", VALUES, ids=range(len(VALUES)))
def test_a_wait_that_hears_the_result_asks_nobody(loop: Loop, asked: list[str], values: dict[str, Any]) -> None:
    run = running_run()
    waiting = Waiting(loop, run, asked)
    finish(run, values)
    answer = waiting.answer()
    assert asked == ["running"]
    assert answer == find_result(run.pk) == values
    assert json.dumps(answer, sort_keys=True) == json.dumps(find_result(run.pk), sort_keys=True)


@pytest.mark.parametrize("values", LEFT_TO_POSTGRESQL, ids=range(len(LEFT_TO_POSTGRESQL)))
def test_what_postgresql_would_write_otherwise_or_is_large_is_asked_for(
    loop: Loop, asked: list[str], values: dict[str, Any]
) -> None:
    run = running_run()
    waiting = Waiting(loop, run, asked)
    finish(run, values)
    answer = waiting.answer()
    assert asked == ["running", "success"]
    assert json.dumps(answer, sort_keys=True) == json.dumps(find_result(run.pk), sort_keys=True)


def test_the_state_is_the_whole_state_and_not_what_came_last(loop: Loop, asked: list[str]) -> None:
    run = running_run()
    step(run, kept=1, changed=1)
    waiting = Waiting(loop, run, asked)
    finish(run, {"changed": 2})
    assert waiting.answer() == {"kept": 1, "changed": 2}
    assert asked == ["running"]


def test_a_run_that_failed_is_asked_for_whatever_it_has_left(loop: Loop, asked: list[str]) -> None:
    run = running_run()
    waiting = Waiting(loop, run, asked)
    checkpoint = GraphCheckpoint(
        id=new_checkpoint_id(),
        parent_id=None,
        step=0,
        values={"answer": 42},
        tasks=GraphTasks(next=[], interrupts={}, tasks=[]),
    )
    error = {"type": "ValueError", "message": "no", "traceback": ""}
    outcome = Outcome(status=RunStatus.ERROR, error=error, writes=[RootStep(store=list, checkpoint=checkpoint)])
    finish_run(run_id=run.pk, attempt=1, outcome=outcome, is_heard=True)
    assert waiting.answer() == {"__error__": {"error": "ValueError", "message": "no"}}
    assert asked == ["running", "error"]


def test_a_run_that_was_cancelled_is_asked_for(loop: Loop, asked: list[str]) -> None:
    run = running_run()
    step(run, kept=1)
    waiting = Waiting(loop, run, asked)
    cancel(run)
    assert waiting.answer() == {"kept": 1}
    assert asked == ["running", "interrupted"]


def test_a_run_that_ends_where_it_stood_is_asked_for(loop: Loop, asked: list[str]) -> None:
    """Its executor has written no head with its end, and does not know what the head is."""
    thread = make_thread()
    finish(running(thread), {"former": 1})
    run = running(thread)
    waiting = Waiting(loop, run, asked)
    finish(run)
    assert waiting.answer() == {"former": 1}
    assert asked == ["running", "success"]


def test_a_run_of_which_nobody_is_known_to_hear_says_nothing(loop: Loop, asked: list[str]) -> None:
    run = running_run()
    waiting = Waiting(loop, run, asked)
    finish(run, {"answer": 42}, is_heard=False)
    assert waiting.answer() == {"answer": 42}
    assert asked == ["running", "success"]


@pytest.mark.parametrize("said", ["{", "[]", "1", "null"])
def test_what_nobody_of_ours_has_said_is_asked_for(loop: Loop, asked: list[str], said: str) -> None:
    run = running_run()
    waiting = Waiting(loop, run, asked)
    writer().publish(log.channel(run.pk), f"success\n{said}")
    wait_until(lambda: len(asked) == 2, "it to be asked for")
    finish(run, {"answer": 42}, is_heard=False)
    assert waiting.answer() == {"answer": 42}


def test_what_is_heard_was_committed_before(loop: Loop, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    carried, seen = results.carried, list[str]()
    run = running_run()

    def look(last_step: Checkpoint) -> str | None:
        seen.append(stored(run).status)
        return carried(last_step)

    monkeypatch.setattr(results, "carried", look)
    waiting = Waiting(loop, run, asked)
    finish(run, {"answer": 42})
    assert waiting.answer() == {"answer": 42}
    assert seen == ["success"]


def test_who_reads_the_stream_is_not_disturbed_by_the_result(loop: Loop) -> None:
    run = running_run()
    reading = loop.read(run.pk)
    loop.hold(reading)
    put(run, "1-0")
    finish_run(
        run_id=run.pk,
        attempt=1,
        outcome=Outcome(status=RunStatus.SUCCESS, values={"answer": 42}),
        last_frame=0,
        is_heard=True,
    )
    assert reading.to_the_end() == ["1-0", "end"]


def test_who_appends_is_told_how_many_listen(loop: Loop, asked: list[str]) -> None:
    run = running_run()
    assert log.append(run.pk, 1, [(0, "custom", "0")]) == 1
    waiting = Waiting(loop, run, asked)
    assert log.append(run.pk, 1, [(1, "custom", "1")]) == 2
    finish(run, {"answer": 42})
    assert waiting.answer() == {"answer": 42}
    assert log.append(run.pk, 1, [(2, "custom", "2")]) == 0


def test_interrupts_are_told_too() -> None:
    question = {"id": "1", "value": {"question": "yes?"}}
    kept = Checkpoint(values={"a": 1}, interrupts={"task": [question]})
    assert json.loads(results.carried(kept) or "") == {
        "a": 1,
        "__interrupt__": [{"response_schema": None, **question}],
    }
