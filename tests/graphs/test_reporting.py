"""What a graph's model calls and messages tell about its run, without the graph knowing of it."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from runs.actors import Actor
from runs.models import Run, Thread
from runs.services.cancel import cancel_run
from runs.states import RunStatus
from tests.support.factories import make_run, make_thread
from tests.support.ledger import entries, open_gate, wait_for_entry, wait_until
from tests.support.stage import wait_for_status, wait_until_settled
from tests.support.worker import WorkerProcess

pytestmark = pytest.mark.usefixtures("db", "intact", "swept")


@pytest.fixture(scope="module")
def worker(db: None) -> Iterator[WorkerProcess]:
    """Two children."""
    with WorkerProcess(concurrency=2, runs={"INTERRUPT_EVERY_SECONDS": 0.1}) as worker:
        yield worker


def used(calls: int, input_tokens: int, output_tokens: int) -> dict[str, int]:
    """As a run shows it."""
    total = input_tokens + output_tokens
    return {"calls": calls, "input_tokens": input_tokens, "output_tokens": output_tokens, "total_tokens": total}


def question(text: str) -> dict[str, Any]:
    """An input."""
    return {"messages": [{"role": "user", "content": text}]}


def execute(graph: str, thread: Thread | None = None, **kwargs: Any) -> Run:
    """A run, from its start to its end."""
    run = make_run(thread or make_thread(), assistant=graph, kwargs=kwargs)
    return ended(run)


def ended(run: Run) -> Run:
    """The run as it is once nothing executes it."""
    wait_until_settled(run.pk)
    run.refresh_from_db()
    return run


def texts(run: Run) -> tuple[int, str, str]:
    """What is known of its messages."""
    return run.message_count, run.first_message, run.last_message


@pytest.mark.parametrize("mode", ["values", "messages-tuple", "events"])
def test_usage(worker: WorkerProcess, mode: str) -> None:
    """Every call that answered, once, by model and by node; the model that did most."""
    run = execute("talk", input=question("hi"), stream_mode=[mode])
    assert (run.status, run.error) == (RunStatus.SUCCESS, None)
    assert run.usage == {
        **used(3, 30, 9),
        "by_model": {"small": used(2, 20, 6), "large": used(1, 10, 3)},
        "by_caller": {"plan": used(2, 20, 6), "child|answer": used(1, 10, 3)},
    }
    assert run.model_name == "small"


def test_messages(worker: WorkerProcess) -> None:
    """Those of the run, not those that the thread had."""
    thread = make_thread()
    assert texts(execute("talk", thread, input=question("first?"))) == (2, "first?", "large of 1")
    second = execute("talk", thread, input=question("second?"))
    assert texts(second) == (2, "second?", "large of 3")
    assert (second.usage["by_model"]["large"], second.model_name) == (used(1, 30, 3), "large")
    assert texts(execute("talk", thread, input=None)) == (0, "", "")


def test_messages_without_ids(worker: WorkerProcess) -> None:
    """Objects with a role do as well, and so does content in blocks."""
    thread = make_thread()
    execute("plain", thread, input=question("one"))
    before = Thread.objects.select_related("head").get(pk=thread.pk).head
    assert before is not None
    second = execute("plain", thread, input={"messages": [*before.values["messages"], *question("two")["messages"]]})
    assert texts(second) == (2, "two", "plain")
    assert (second.usage, second.model_name) == ({}, None)


def test_a_step_is_counted_once(worker: WorkerProcess) -> None:
    """What it used is stored with it: after `kill -9` it is neither lost nor counted again."""
    run = make_run(make_thread(), assistant="talk_and_work", kwargs={"input": question("hi")})
    os.kill(wait_for_entry(run.pk, "start work").pid, signal.SIGKILL)
    wait_until(lambda: len(entries(run.pk, "start work")) == 2, "another process to execute the run")
    run.refresh_from_db()
    assert run.usage["calls"] == 1
    open_gate(run.pk)
    wait_for_status(run.pk, RunStatus.SUCCESS)
    run = ended(run)
    assert (run.attempt, run.usage["calls"], run.usage["total_tokens"]) == (2, 1, 13)
    assert texts(run) == (2, "hi", "large of 1")


def test_a_cancelled_run_has_used_what_it_used(worker: WorkerProcess) -> None:
    """Whatever becomes of its state."""
    run = make_run(make_thread(), assistant="talk_and_work", kwargs={"input": question("hi")})
    wait_for_entry(run.pk, "start work")
    cancel_run(run_id=run.pk, actor=Actor("operator"))
    run = ended(run)
    assert (run.status, run.usage["calls"], run.model_name) == (RunStatus.INTERRUPTED, 1, "large")
    assert texts(run) == (2, "hi", "large of 1")


def test_usage_of_a_run_whose_last_step_the_database_refuses(worker: WorkerProcess) -> None:
    """What was used has to be paid, whatever becomes of the outcome."""
    run = execute("spoiling", input={})
    assert (run.status, run.model_name) == (RunStatus.ERROR, "large")
    assert used(1, 10, 3).items() <= run.usage.items()
