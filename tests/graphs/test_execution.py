"""Graphs executed by a real worker."""

from collections.abc import Iterator
from typing import Any

import pytest

from runs.models import Run, Thread
from runs.states import RunStatus, ThreadStatus
from tests.support.factories import make_run, make_thread
from tests.support.stage import wait_until_settled
from tests.support.worker import WorkerProcess

pytestmark = pytest.mark.usefixtures("db", "intact", "swept")


@pytest.fixture(scope="module")
def worker(db: None) -> Iterator[WorkerProcess]:
    """Two children."""
    with WorkerProcess(concurrency=2) as worker:
        yield worker


def execute(graph: str, given: Any = None, thread: Thread | None = None, **kwargs: Any) -> Run:
    """The run, settled."""
    run = make_run(thread or make_thread(), assistant=graph, kwargs={"input": given, **kwargs})
    wait_until_settled(run.pk)
    run.refresh_from_db()
    return run


def state_of(run: Run) -> Any:
    """The thread's head."""
    thread = Thread.objects.select_related("head").get(pk=run.thread_id)
    return thread.head


@pytest.mark.parametrize(
    ("graph", "given", "values"),
    [
        ("echo", {"text": "hi"}, {"text": "hi", "log": ["echo hi"]}),
        ("slow", {"n": 2, "tag": "A"}, {"n": 2, "tag": "A", "log": ["A:0", "A:1"]}),
        ("looking", {"log": ["in"]}, {"log": ["in", "in"]}),
        ("parent", {"log": ["in"]}, {"log": ["in", "before"], "inner": ["child"]}),
        ("parallel", {"log": ["in"]}, {"log": ["in", "a", "b"]}),
        ("async_factory", {"log": []}, {"log": ["async"]}),
        ("managed_factory", {"log": []}, {"log": ["managed"]}),
    ],
)
def test_success(worker: WorkerProcess, graph: str, given: Any, values: Any) -> None:
    """Every kind of graph ends with the state it should."""
    run = execute(graph, given)
    assert run.error is None
    assert run.status == RunStatus.SUCCESS
    assert state_of(run).values == values
    assert state_of(run).next == []
    assert Thread.objects.get(pk=run.thread_id).status == ThreadStatus.IDLE


def test_an_exception(worker: WorkerProcess) -> None:
    """It is the run's error; what was finished stays."""
    run = execute("boom", {"msg": "kaput"})
    assert run.status == RunStatus.ERROR
    assert (run.error or {})["type"] == "ValueError"
    assert (run.error or {})["message"].startswith("kaput")
    assert state_of(run).values == {"msg": "kaput"}
    assert (state_of(run).tasks or [{}])[0]["error"] == "ValueError('kaput')"
    assert Thread.objects.get(pk=run.thread_id).status == ThreadStatus.ERROR


@pytest.mark.parametrize(
    ("graph", "why"), [("broken", "there_is_no_such_package"), ("missing", "there is no such file")]
)
def test_a_graph_that_cannot_be_loaded(worker: WorkerProcess, graph: str, why: str) -> None:
    """The run says which file and what to do; others go on."""
    run = execute(graph, {})
    assert run.status == RunStatus.ERROR
    assert why in (run.error or {})["message"]
    assert execute("echo", {"text": "hi"}).status == RunStatus.SUCCESS


def test_a_step_that_cannot_be_stored(worker: WorkerProcess) -> None:
    """The run fails and says why; the state is as before that step, and the thread goes on with its next run."""
    run = execute("unstorable_step", {"text": "in"})
    assert run.status == RunStatus.ERROR
    assert "lock" in (run.error or {})["message"]
    assert state_of(run).values == {"text": "in", "log": []}
    assert execute("echo", {"text": "hi"}, run.thread).status == RunStatus.SUCCESS


def test_a_former_failure_is_not_one_of_the_next_run(worker: WorkerProcess) -> None:
    """Although the state still has what the failed run left."""
    failed = execute("boom", {"msg": "kaput"})
    run = execute("echo", {"text": "hi"}, failed.thread)
    thread = Thread.objects.get(pk=run.thread_id)
    assert (run.status, run.error, thread.status, thread.error) == (RunStatus.SUCCESS, None, ThreadStatus.IDLE, None)
    assert state_of(run).values["log"] == ["echo hi"]


def test_a_human_is_asked(worker: WorkerProcess) -> None:
    """The run succeeds, the thread waits, the answer continues it."""
    run = execute("hitl", {"question": "yes?"})
    thread = Thread.objects.select_related("head").get(pk=run.thread_id)
    assert (run.status, thread.status) == (RunStatus.SUCCESS, ThreadStatus.INTERRUPTED)
    assert thread.head is not None
    ((task, interrupts),) = thread.head.interrupts.items()
    assert [one["value"] for one in interrupts] == [{"question": "yes?"}]
    assert thread.head.tasks is not None
    assert thread.head.tasks[0]["id"] == task
    assert thread.head.next == ["ask"]
    answered = execute("hitl", thread=thread, command={"resume": "yes!"})
    assert answered.status == RunStatus.SUCCESS
    assert state_of(answered).values == {"question": "yes?", "answer": "yes!"}
    assert Thread.objects.get(pk=run.thread_id).status == ThreadStatus.IDLE


def test_an_answer_by_id(worker: WorkerProcess) -> None:
    """The interrupt is named."""
    run = execute("hitl", {"question": "yes?"})
    (interrupts,) = state_of(run).interrupts.values()
    answered = execute("hitl", thread=run.thread, command={"resume": {interrupts[0]["id"]: "by id"}})
    assert state_of(answered).values["answer"] == "by id"


def test_update_and_goto(worker: WorkerProcess) -> None:
    """A command may change the state and say where to go on."""
    run = execute("parent", {"log": ["in"]})
    again = execute("parent", thread=run.thread, command={"update": {"log": ["updated"]}, "goto": "child"})
    assert again.error is None
    assert state_of(again).values == {"log": ["in", "before", "updated"], "inner": ["child", "child", "child"]}


def test_static_breakpoints(worker: WorkerProcess) -> None:
    """The run stops before or after a node and goes on without input."""
    run = execute("slow", {"n": 3, "tag": "A"}, interrupt_after=["step"])
    assert run.status == RunStatus.SUCCESS
    assert (state_of(run).values["log"], state_of(run).next, state_of(run).interrupts) == (["A:0"], ["step"], {})
    assert Thread.objects.get(pk=run.thread_id).status == ThreadStatus.INTERRUPTED
    again = execute("slow", thread=run.thread)
    assert state_of(again).values["log"] == ["A:0", "A:1", "A:2"]


def test_the_recursion_limit(worker: WorkerProcess) -> None:
    """A graph that does not come to an end is stopped."""
    run = execute("slow", {"n": 9}, config={"recursion_limit": 3})
    assert run.status == RunStatus.ERROR
    assert (run.error or {})["type"] == "GraphRecursionError"
    assert len(state_of(run).values["log"]) == 3


def test_metadata_of_a_run_does_not_replace_what_a_checkpoint_says(worker: WorkerProcess) -> None:
    """It stands beside it."""
    run = make_run(make_thread(), assistant="echo", kwargs={"input": {}}, metadata={"step": "mine", "mine": 1})
    wait_until_settled(run.pk)
    head = state_of(run)
    assert (head.step, head.metadata["step"], head.metadata["source"], head.metadata["mine"]) == (1, 1, "loop", 1)


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_durability(worker: WorkerProcess, durability: str) -> None:
    """The result is the same; how many steps are in the history is not."""
    run = execute("slow", {"n": 2, "tag": "A"}, durability=durability)
    assert state_of(run).values["log"] == ["A:0", "A:1"]
    assert run.checkpoints.count() == (1 if durability == "exit" else 4)


def test_fork(worker: WorkerProcess) -> None:
    """From a former checkpoint the graph goes on as it would have then."""
    run = execute("slow", {"n": 3, "tag": "A"})
    former = run.checkpoints.get(values__log=["A:0"])
    forked = execute("slow", thread=run.thread, checkpoint_id=str(former.pk), command={"update": {"tag": "B"}})
    assert forked.error is None
    assert state_of(forked).values["log"] == ["A:0", "B:1", "B:2"]


def test_a_fork_that_fails(worker: WorkerProcess) -> None:
    """What was there before is still there, to be gone on from."""
    first = execute("slow", {"n": 2, "tag": "A"})
    before = state_of(first)
    former = str(first.checkpoints.get(values__log=["A:0"]).pk)
    failed = execute("boom", {"msg": "kaput"}, first.thread, checkpoint_id=former)
    assert (failed.status, failed.base_id) == (RunStatus.ERROR, before.pk)
    again = execute("slow", {"tag": "B"}, first.thread, checkpoint_id=str(before.pk))
    assert state_of(again).values["log"] == ["A:0", "A:1", "B:2"]


def test_context(worker: WorkerProcess) -> None:
    """The graph sees its context; ids are the server's."""
    shared = {"name": "ada", "thread_id": "spoofed"}
    run = execute("ctx", {}, context=shared, config={"configurable": shared, "tags": ["x"]})
    seen = state_of(run).values["seen"]
    assert seen["context"]["name"] == "ada"
    assert seen["configurable"] == {"name": "ada", "graph_id": "ctx", "thread_id": str(run.thread_id)}
    assert seen["tags"] == ["x"]
