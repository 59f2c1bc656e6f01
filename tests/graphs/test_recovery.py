"""Graphs whose process is killed, and runs that are rolled back: nothing is done twice, and nothing of them is left."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from runs.actors import Actor
from runs.api.state_presenters import present_state
from runs.errors import CheckpointNotFound
from runs.models import Checkpoint, Run, SubgraphCheckpoint, Thread
from runs.services.cancel import cancel_run
from runs.services.retention import purge_rolled_back_runs, remove_deleted_threads
from runs.services.subgraph_states import SubgraphStates
from runs.services.threads import delete_thread
from runs.states import CancelAction, RunStatus
from tests.support.factories import make_run, make_thread
from tests.support.ledger import entries, open_gate, wait_for_entry, wait_until
from tests.support.stage import wait_for_status, wait_until_settled
from tests.support.worker import WorkerProcess

pytestmark = pytest.mark.usefixtures("db", "intact", "swept")


@pytest.fixture(scope="module")
def worker(db: None) -> Iterator[WorkerProcess]:
    """Two children."""
    with WorkerProcess(concurrency=2, runs={"GRACE_SECONDS": 20.0, "INTERRUPT_EVERY_SECONDS": 0.1}) as worker:
        yield worker


def begin(graph: str, thread: Thread, node: str = "work", **kwargs: Any) -> Run:
    """A run that is at this node."""
    run = make_run(thread, assistant=graph, kwargs=kwargs)
    wait_for_entry(run.pk, f"start {node}")
    return run


def finished(run: Run) -> Run:
    """Let the run go to its end."""
    open_gate(run.pk)
    done = wait_for_status(run.pk, RunStatus.SUCCESS)
    wait_until_settled(run.pk)
    return done


def execute(graph: str, thread: Thread, **kwargs: Any) -> Run:
    """A run, from its start to its end."""
    return finished(make_run(thread, assistant=graph, kwargs=kwargs))


def kill(run: Run, node: str = "work") -> None:
    """`kill -9` of the process that executes the run; return when another executes it."""
    os.kill(wait_for_entry(run.pk, f"start {node}").pid, signal.SIGKILL)
    wait_until(lambda: count(run, f"start {node}") == 2, "another process to execute the run")


def roll_back(run: Run) -> None:
    """Cancel the run and undo what it has done."""
    cancel_run(run_id=run.pk, actor=Actor("operator"), action=CancelAction.ROLLBACK)
    wait_until_settled(run.pk)


def count(run: Run, event: str) -> int:
    """How often this happened."""
    return len(entries(run.pk, event))


def head_of(thread: Thread) -> Checkpoint | None:
    """The thread's state."""
    return Thread.objects.select_related("head").get(pk=thread.pk).head


def values_of(thread: Thread) -> Any:
    """Its values."""
    head = head_of(thread)
    return None if head is None else head.values


def shown(thread: Thread) -> Any:
    """All that the thread shows of its state."""
    head = head_of(thread)
    return head and (head.pk, head.values, head.next, head.interrupts, head.tasks)


def rows_of(thread: Thread, run: Run | None = None) -> int:
    """How many rows LangGraph's tables have of the thread, or of a run on it."""
    one = str(thread.pk)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM checkpoints WHERE thread_id = %s AND metadata ->> 'run_id' LIKE %s)"
            " + (SELECT count(*) FROM checkpoint_writes WHERE thread_id = %s AND task_id LIKE %s)"
            " + (SELECT count(*) FROM checkpoint_blobs WHERE thread_id = %s AND %s)",
            [one, str(run.pk) if run else "%", one, f"%{run.pk}" if run else "%", one, run is None],
        )
        return int(cursor.fetchone()[0])


# Crashes


@pytest.mark.parametrize("graph", ["sync_graph", "async_graph", "mixed_graph"])
def test_finished_steps_are_not_repeated(worker: WorkerProcess, graph: str) -> None:
    """The next attempt goes on at the head; the input is not applied a second time."""
    thread = make_thread()
    run = begin(graph, thread, input={"tag": "1", "log": ["in"]})
    kill(run)
    run = finished(run)
    assert (run.attempt, run.crashes) == (2, 1)
    assert count(run, "start first") == 1
    assert values_of(thread) == {"tag": "1", "log": ["in", "1:first", "1:work"]}


def test_finished_steps_are_repeated_if_nobody_waits_for_them(worker: WorkerProcess) -> None:
    """Negative control: what was not stored has not happened."""
    thread = make_thread()
    with worker.not_consuming(), WorkerProcess(concurrency=1, faults=("forgetful",)):
        run = begin("sync_graph", thread, input={"tag": "1", "log": ["in"]})
        kill(run)
        finished(run)
    assert count(run, "start first") == 2
    assert values_of(thread) == {"tag": "1", "log": ["in", "1:first", "1:work"]}


@pytest.mark.parametrize(("graph", "log"), [("choosing", ["in"]), ("choosing_inside", ["in", "in"])])
def test_the_first_node_is_chosen_once(worker: WorkerProcess, graph: str, log: list[str]) -> None:
    """The choice is work of the graph's: it is stored before the node begins."""
    thread = make_thread()
    run = begin(graph, thread, input={"tag": "1", "log": ["in"]})
    kill(run)
    finished(run)
    assert (count(run, "start choose"), count(run, "start work")) == (1, 2)
    assert values_of(thread) == {"tag": "1", "log": [*log, "1:work"]}


def test_a_step_is_stored_as_it_was_when_the_graph_went_on(worker: WorkerProcess) -> None:
    """A node changes what it was given; when it is repeated, it is given the same again."""
    thread, many = make_thread(), {f"{number}": number for number in range(300)}
    run = begin("changing", thread, input={"log": ["in"], "many": many})
    wait_until(lambda: head_of(thread) is not None, "the step before the node to be stored")
    assert values_of(thread) == {"log": ["in"], "many": many}
    kill(run)
    finished(run)
    assert values_of(thread) == {"log": ["in", "changed"], "many": {}}


def test_finished_siblings_are_not_repeated(worker: WorkerProcess) -> None:
    """What one of two parallel nodes has written is kept."""
    thread = make_thread()
    run = begin("siblings", thread, input={"tag": "1", "log": ["in"]})
    wait_until(lambda: "quick" not in (getattr(head_of(thread), "next", None) or ["quick"]), "the sibling to be stored")
    kill(run)
    run = finished(run)
    assert count(run, "start quick") == 1
    assert values_of(thread) == {"tag": "1", "log": ["in", "1:quick", "1:work"]}


def test_finished_siblings_are_repeated_if_the_head_is_named(worker: WorkerProcess) -> None:
    """Negative control: by its id LangGraph takes the head for a point to go back to."""
    thread = make_thread()
    with worker.not_consuming(), WorkerProcess(concurrency=1, faults=("pinned",)):
        run = begin("siblings", thread, input={"tag": "1", "log": ["in"]})
        wait_until(lambda: "quick" not in (getattr(head_of(thread), "next", None) or ["quick"]), "the sibling")
        kill(run)
        finished(run)
        assert count(run, "start quick") == 2


def test_an_answer_is_given_once(worker: WorkerProcess) -> None:
    """A node that asks twice does not get the first answer for its second question, whoever is killed."""
    thread = make_thread()
    execute("asking_beside", thread, input={"tag": "1"})
    ids = ids_by_question(thread)
    resumed = begin("asking_beside", thread, "hold", command={"resume": {ids["first?"]: "a", ids["hold?"]: "h"}})
    wait_until(lambda: "second?" in ids_by_question(thread), "the second question")
    kill(resumed, "hold")
    finished(resumed)
    assert set(ids_by_question(thread)) == {"second?"}
    execute("asking_beside", thread, command={"resume": "b"})
    assert values_of(thread)["answers"] == ["a", "b", "h"]


@pytest.mark.parametrize("faults", [(), ("answer_taken_again",)], ids=["", "control"])
def test_an_answer_by_value_is_not_given_twice(worker: WorkerProcess, faults: tuple[str, ...]) -> None:
    """The node has taken it and asks again when its process is killed; in the control it is answered twice."""
    thread = make_thread()
    execute("asking", thread, input={"tag": "1"})
    with worker.not_consuming(), WorkerProcess(concurrency=1, faults=("dies_at_the_second_question", *faults)):
        run = execute("asking", thread, command={"resume": "a"})
    assert (run.attempt, run.crashes) == (2, 1)
    if faults:
        assert values_of(thread)["answers"] == ["a", "a"]
        return
    assert set(ids_by_question(thread)) == {"second?"}
    execute("asking", thread, command={"resume": "b"})
    assert values_of(thread)["answers"] == ["a", "b"]


def test_an_answer_by_value_is_not_lost(worker: WorkerProcess) -> None:
    """A node that is killed while it works with its answer gets it again."""
    thread = make_thread()
    execute("asking_once", thread, input={"tag": "1"})
    run = begin("asking_once", thread, "hold", command={"resume": "a"})
    kill(run, "hold")
    run = finished(run)
    assert (run.attempt, count(run, "start hold")) == (2, 2)
    assert values_of(thread)["answers"] == ["a"]


def test_a_command_is_applied_once(worker: WorkerProcess) -> None:
    """Its update is stored beside the head before anything is executed."""
    thread = make_thread()
    execute("sync_graph", thread, input={"tag": "1"})
    run = begin("sync_graph", thread, command={"update": {"log": ["updated"]}, "goto": "work"})
    kill(run)
    finished(run)
    assert values_of(thread)["log"] == ["1:first", "1:work", "updated", "1:work"]


def ids_by_question(thread: Thread) -> dict[str, str]:
    """The interrupts that wait for an answer."""
    head = head_of(thread)
    return {one["value"]: one["id"] for of_task in (head.interrupts if head else {}).values() for one in of_task}


# Rollback


KILLED = pytest.mark.parametrize("killed", [False, True], ids=["", "after kill -9"])


@KILLED
@pytest.mark.parametrize("graph", ["sync_graph", "enlarging", "memory", "siblings", "differing"])
def test_rollback_is_exact(worker: WorkerProcess, graph: str, killed: bool) -> None:
    """Reducers, channels that the run added, subgraphs with their own memory: all is as before."""
    thread = make_thread()
    execute(graph, thread, input={"tag": "1", "log": ["in"]})
    before = shown(thread)
    run = begin(graph, thread, input={"tag": "2", "log": ["in"]})
    if killed:
        kill(run)
    wait_until(lambda: shown(thread) != before, "something of the run to be stored")
    roll_back(run)
    assert shown(thread) == before
    again = execute(graph, thread, input={"tag": "3", "log": ["in"]})
    fresh = make_thread()
    for tag in "13":
        execute(graph, fresh, input={"tag": tag, "log": ["in"]})
    assert values_of(thread) == values_of(fresh)
    assert again.status == RunStatus.SUCCESS


@KILLED
@pytest.mark.parametrize("graph", ["sync_graph", "memory"])
def test_rollback_of_the_first_run(worker: WorkerProcess, graph: str, killed: bool) -> None:
    """The thread is empty again, and the next run knows nothing."""
    thread = make_thread()
    run = begin(graph, thread, input={"tag": "1", "log": ["in"]})
    if killed:
        kill(run)
    roll_back(run)
    assert head_of(thread) is None
    execute(graph, thread, input={"tag": "2", "log": ["in"]})
    fresh = make_thread()
    execute(graph, fresh, input={"tag": "2", "log": ["in"]})
    assert values_of(thread) == values_of(fresh)


@KILLED
def test_states_of_a_subgraph_are_rolled_back(worker: WorkerProcess, killed: bool) -> None:
    """In every namespace, named or not."""
    thread = make_thread()
    execute("memory", thread, input={"tag": "1"})
    before = inside(thread, "call")
    assert [one.values["seen"] for one in before] == [["1", "!"], ["1"], []]
    run = begin("memory", thread, input={"tag": "2"})
    if killed:
        kill(run)
    during = inside(thread, "call")
    assert [one.values["seen"] for one in during[:3]] == [["1", "!", "2", "!"], ["1", "!", "2"], ["1", "!"]]
    roll_back(run)
    assert inside(thread, "call") == before
    with pytest.raises(CheckpointNotFound):
        SubgraphStates.of(thread_id=thread.pk, owner=None).named("call", during[0].checkpoint_id)
    purge_rolled_back_runs()
    assert SubgraphCheckpoint.objects.filter(thread=thread).count() == len(before)


@KILLED
def test_an_answer_to_a_subgraph_is_rolled_back(worker: WorkerProcess, killed: bool) -> None:
    """What its tasks show is as before, although another run had written its checkpoint."""
    thread = make_thread()
    execute("asking_inside", thread, input={"tag": "1"})
    ((name, before),) = subgraphs(thread).items()
    assert [one["value"] for one in before[0].tasks[0]["interrupts"]] == ["inside?"]
    run = begin("asking_inside", thread, command={"resume": "a"})
    if killed:
        kill(run)
    assert subgraphs(thread)[name][0].values["answers"] == ["a"]
    roll_back(run)
    ((_, after),) = subgraphs(thread).items()
    assert [(one.pk, one.tasks, one.next, one.interrupts) for one in after] == [
        (one.pk, one.tasks, one.next, one.interrupts) for one in before
    ]
    execute("asking_inside", thread, command={"resume": "b"})
    assert values_of(thread)["answers"] == ["b"]


def inside(thread: Thread, namespace: str) -> list[SubgraphCheckpoint]:
    """The states of a subgraph, the latest first."""
    return list(SubgraphStates.of(thread_id=thread.pk, owner=None).history(namespace, limit=100))


def subgraphs(thread: Thread) -> dict[str, list[SubgraphCheckpoint]]:
    """The states of all of them."""
    names = SubgraphCheckpoint.objects.filter(thread=thread).values_list("namespace", flat=True)
    return {name: inside(thread, name) for name in set(names)}


@pytest.mark.parametrize("durability", ["exit", "async", "sync"])
def test_memory_of_a_subgraph_is_kept(worker: WorkerProcess, durability: str) -> None:
    """Also if the step during which it was written is not stored."""
    thread = make_thread()
    for tag, seen in (("1", 2), ("2", 4), ("3", 6)):
        execute("memory", thread, input={"tag": tag}, durability=durability)
        assert values_of(thread)["count"] == seen
    roll_back(begin("memory", thread, input={"tag": "4"}, durability=durability))
    assert inside(thread, "call")[0].values["seen"] == ["1", "!", "2", "!", "3", "!"]
    execute("memory", thread, input={"tag": "5"}, durability=durability)
    assert values_of(thread)["count"] == 8


def test_values_of_a_finished_sibling(worker: WorkerProcess) -> None:
    """The state now has them, the record of the step has not, and a rollback takes them away."""
    thread = make_thread()
    execute("siblings", thread, input={"tag": "1", "log": ["in"]})
    run = begin("siblings", thread, input={"tag": "2", "log": ["in"]})
    wait_until(lambda: "quick" not in (getattr(head_of(thread), "next", None) or ["quick"]), "the sibling to be stored")
    log = ["in", "1:quick", "1:work", "in"]
    head = head_of(thread)
    assert present_state(thread.pk, head, live=True)["values"]["log"] == [*log, "2:quick"]
    assert present_state(thread.pk, head, live=True)["next"] == ["work"]
    assert present_state(thread.pk, head)["values"]["log"] == log
    assert present_state(thread.pk, head)["next"] == ["quick", "work"]
    cancel_run(run_id=run.pk, actor=Actor("operator"))
    wait_until_settled(run.pk)
    assert present_state(thread.pk, head_of(thread), live=True)["values"]["log"] == [*log, "2:quick"]
    roll_back(begin("siblings", thread, input=None))
    assert present_state(thread.pk, head_of(thread), live=True)["values"]["log"] == [*log, "2:quick"]
    execute("siblings", thread, input=None)
    assert values_of(thread)["log"] == [*log, "2:quick", "2:work"]


def test_memory_of_a_subgraph_stays_without_our_checkpointer(worker: WorkerProcess) -> None:
    """Negative control: the latest row of a subgraph is one of the run that was rolled back."""
    thread = make_thread()
    with worker.not_consuming(), WorkerProcess(concurrency=1, faults=("unwrapped",)):
        execute("memory", thread, input={"tag": "1"})
        assert values_of(thread)["count"] == 2
        roll_back(begin("memory", thread, input={"tag": "2"}))
        execute("memory", thread, input={"tag": "3"})
        assert values_of(thread)["count"] == 6


@KILLED
def test_rollback_of_an_answer(worker: WorkerProcess, killed: bool) -> None:
    """The question is open again, although the run had gone on to the next one beside the same head."""
    thread = make_thread()
    execute("asking_beside", thread, input={"tag": "1"})
    before, ids = shown(thread), ids_by_question(thread)
    run = begin("asking_beside", thread, "hold", command={"resume": {ids["first?"]: "a", ids["hold?"]: "h"}})
    wait_until(lambda: "second?" in ids_by_question(thread), "the second question")
    if killed:
        kill(run, "hold")
    roll_back(run)
    assert shown(thread) == before
    execute("asking_beside", thread, command={"resume": {ids["first?"]: "other", ids["hold?"]: "h"}})
    execute("asking_beside", thread, command={"resume": "b"})
    assert values_of(thread)["answers"] == ["other", "b", "h"]


# What is removed


def test_rolled_back_rows_are_removed(worker: WorkerProcess) -> None:
    """Retention removes them, and only them."""
    thread = make_thread()
    execute("memory", thread, input={"tag": "1"})
    kept = rows_of(thread)
    run = begin("memory", thread, input={"tag": "2"})
    roll_back(run)
    assert rows_of(thread, run) > 0
    purge_rolled_back_runs()
    assert rows_of(thread, run) == 0
    assert rows_of(thread) == kept
    execute("memory", thread, input={"tag": "3"})
    assert values_of(thread)["count"] == 4


def test_rows_of_a_deleted_thread_are_removed(worker: WorkerProcess) -> None:
    """Nothing of it is left for the next owner of its id."""
    thread = make_thread()
    execute("memory", thread, input={"tag": "1"})
    assert rows_of(thread) > 0
    delete_thread(thread_id=thread.pk, actor=Actor("user:ada", owner=thread.owner))
    wait_until(remove_deleted_threads, "the thread to be removed")
    assert rows_of(thread) == 0
